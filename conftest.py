"""Fixtures of real services, for every test: pytest reads plugins only here."""

pytest_plugins = ["tests.services.sshd", "tests.services.proxy"]
