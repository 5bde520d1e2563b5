"""The database's clock in UTC: the one clock that all workers share."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, Func
from django.db.models.sql.compiler import SQLCompiler

Parameters = tuple[str | int, ...]


class ClockTime(Func):
    """The time on the database's clock, plus some seconds, in the form in which each database stores it."""

    output_field = DateTimeField()

    def __init__(self, seconds: float = 0) -> None:
        super().__init__()
        self.seconds = float(seconds)

    def as_sql(  # type: ignore[override]  # the stubs name neither template nor context
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: object
    ) -> tuple[str, Parameters]:
        """Refuse databases whose clock nobody has checked."""
        raise NotImplementedError(f"orchestration does not know the clock of {connection.vendor}.")

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: object
    ) -> tuple[str, Parameters]:
        """Return text with six digits of a second, as Django stores it."""
        return "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f000', 'now', %s)", (f"{self.seconds:+.3f} seconds",)

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: object
    ) -> tuple[str, Parameters]:
        """Return the wall clock: CURRENT_TIMESTAMP is the start of the transaction."""
        return "(CLOCK_TIMESTAMP() + make_interval(secs => %s))", (str(self.seconds),)

    def as_mysql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: object
    ) -> tuple[str, Parameters]:
        """Return UTC: CURRENT_TIMESTAMP is in the zone of the session."""
        return "(UTC_TIMESTAMP(6) + INTERVAL %s MICROSECOND)", (round(self.seconds * 1_000_000),)


def now_plus(seconds: float = 0) -> ClockTime:
    """Return the database's time in ``seconds`` seconds, to be used inside a query."""
    return ClockTime(seconds)
