"""Measurements against the budgets and against other tools: ``python -m benchmarks [topic…]``."""
