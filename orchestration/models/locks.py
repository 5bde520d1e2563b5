"""How long a transaction waits for the rows that it locks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connections

#: Statements that set a limit in milliseconds and remember the one before, and that set that again.
#: SQLite waits for the database as a whole, as long as ``timeout`` in the OPTIONS of DATABASES says.
POSTGRESQL = (
    "SELECT set_config('orchestration.lock_timeout', current_setting('lock_timeout'), true),"
    " set_config('lock_timeout', %s::text, true)",
    "SELECT set_config('lock_timeout', current_setting('orchestration.lock_timeout'), true)",
)
MARIADB = (
    "SET @orchestration = @@innodb_lock_wait_timeout, innodb_lock_wait_timeout = CEIL(%s / 1000)",
    "SET innodb_lock_wait_timeout = @orchestration",
)
STATEMENTS = {"postgresql": POSTGRESQL, "mysql": MARIADB}


@contextmanager
def lock_limit(seconds: float, using: str) -> Iterator[None]:
    """Let the queries inside wait at most ``seconds`` for a lock; then they raise OperationalError."""
    connection = connections[using]
    if connection.vendor not in STATEMENTS:
        yield
        return
    limit, restore = STATEMENTS[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(limit, [round(seconds * 1000)])
        try:
            yield
        except OperationalError:
            # PostgreSQL forgets the limit with the transaction, and takes no other statement before.
            if connection.vendor == "mysql":
                cursor.execute(restore)
            raise
        cursor.execute(restore)
