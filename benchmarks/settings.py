"""Settings of the benchmarks: those of the tests, with a database in a file that threads share."""

import os
import tempfile
from pathlib import Path

from tests.settings import *  # noqa: F403  all but the database is the same
from tests.settings import DATABASES

DATABASES["default"] |= {
    "NAME": Path(tempfile.gettempdir()) / f"orchestration-benchmarks-{os.getpid()}.sqlite3",
    "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"},
}
