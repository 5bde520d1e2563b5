"""The database's clock in UTC: the one clock that all workers share."""

from __future__ import annotations

from typing import Any

from django.db.models import DateTimeField, Func
from django.db.models.sql.compiler import SQLCompiler


class ClockTime(Func):
    """The time now on the database's clock, plus some seconds, as every backend stores it."""

    output_field = DateTimeField()

    def __init__(self, seconds: float = 0, **extra: Any) -> None:  # Any: Func's own signature
        super().__init__(**extra)
        self.seconds = float(seconds)

    def as_sql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> tuple[str, list[object]]:
        """Refuse databases whose clock nobody has checked."""
        raise NotImplementedError(f"orchestration does not know the clock of {connection.vendor}.")

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **context: Any) -> tuple[str, list[object]]:
        """Return it as Django stores it there: text with six digits of a second."""
        return "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f000', 'now', %s)", [f"{self.seconds:+.3f} seconds"]

    def as_postgresql(
        self, compiler: SQLCompiler, connection: Any, **context: Any
    ) -> tuple[str, list[object]]:
        """Return the wall clock: not the start of the transaction, which may be old."""
        return "(CLOCK_TIMESTAMP() + make_interval(secs => %s))", [self.seconds]

    def as_mysql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> tuple[str, list[object]]:
        """Return UTC: CURRENT_TIMESTAMP is in the zone of the session."""
        return "(UTC_TIMESTAMP(6) + INTERVAL %s MICROSECOND)", [round(self.seconds * 1_000_000)]


def now_plus(seconds: float = 0) -> ClockTime:
    """Return the database's time in ``seconds`` seconds, to be used inside a query."""
    return ClockTime(seconds)
