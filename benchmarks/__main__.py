"""Run the benchmarks and print their table: ``python -m benchmarks [topic…]``, all topics without one."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
import traceback
from pathlib import Path

import benchmarks

from .table import Row, render

PREFIX = "bench_"


def topics() -> list[str]:
    """Return the names of all topics: the modules ``bench_<topic>`` of this package."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    return sorted(name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX))


def main() -> int:
    """Measure what the command line names; return 1 when a topic could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("topic", nargs="*", help=", ".join(topics()))
    chosen = parser.parse_args().topic or topics()
    if unknown := sorted(set(chosen) - set(topics())):
        parser.error(f"no topic {', '.join(unknown)}: choose from {', '.join(topics())}")
    database = prepare_django()
    try:
        measured = [measure(topic) for topic in chosen]
    finally:
        remove(database)
    print(render([row for rows in measured if rows is not None for row in rows]))
    return 1 if None in measured else 0


def measure(topic: str) -> list[Row] | None:
    """Return the rows of a topic; None, its traceback printed, when it failed."""
    print(f"measuring {topic} …", file=sys.stderr, flush=True)
    try:
        rows: list[Row] = importlib.import_module(f"benchmarks.{PREFIX}{topic}").run()
    except Exception:  # noqa: BLE001  one broken topic must not hide the numbers of the others
        traceback.print_exc()
        return None
    return rows


def prepare_django() -> Path:
    """Set Django up with a fresh database and return the database's path."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
    import django  # after its settings are named

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, verbosity=0)
    return Path(settings.DATABASES["default"]["NAME"])


def remove(database: Path) -> None:
    """Delete the database and what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
