"""A small hosting panel that shows how orchestration is used."""
