"""The one database that holds our tables."""

from __future__ import annotations

from django.db import router


def alias() -> str:
    """Return the alias that our tables are written on; queues are also read there, never on a replica."""
    from .logs import ScriptLog  # noqa: PLC0415  the tables may ask for the alias themselves

    return router.db_for_write(ScriptLog)
