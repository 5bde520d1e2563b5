"""The journal of a transaction: what changed, in order, without what its savepoints took back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from orchestration.backends import ServiceBackend
from orchestration.router import Target


@dataclass(frozen=True, slots=True)
class Saved:
    """An object was created or changed."""

    #: A snapshot of it, of the very class that was saved.
    instance: Model
    is_new: bool
    #: The key was given before: rows of its parent models may have existed.
    had_key: bool
    #: Names given as ``update_fields``; None: all.
    fields: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """An object points to something else now: what it pointed to before is concerned too."""

    #: A snapshot of it that still points there.
    instance: Model


@dataclass(frozen=True, slots=True)
class Deleted:
    """An object of a backend's model goes: servers are known already, while its relations existed."""

    backend: type[ServiceBackend]
    #: A snapshot of it, an object of the backend's model.
    instance: Model
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Touched:
    """Objects changed otherwise than by their own ``save()``: they are read when the unit ends."""

    model: type[Model]
    keys: tuple[Any, ...]  # whatever type the model's key has


@dataclass(frozen=True, slots=True)
class Reached:
    """Objects of a backend's model were found through relations that may be gone at the unit's end."""

    backend: type[ServiceBackend]
    keys: tuple[Any, ...]


Entry = Saved | Left | Deleted | Touched | Reached


class Journal:
    """Entries of one transaction of one connection; a savepoint's rollback cuts what came after it."""

    def __init__(self, using: str) -> None:
        self.entries: list[Entry] = []
        self._using = using
        self._connection: BaseDatabaseWrapper | None = None
        #: Number of entries at each savepoint; those from before the first entry are not known: 0.
        self._marks: dict[str, int] = {}

    def append(self, entry: Entry) -> None:
        """Add what has just happened; from the first entry on, savepoints are followed."""
        if self._connection is None:
            self._connection = connections[self._using]
            # In front, because ``connection.execute_wrapper()`` blocks pop theirs from the end.
            self._connection.execute_wrappers.insert(0, self._follow)
        self.entries.append(entry)

    def close(self) -> None:
        """Follow the connection no longer."""
        if self._connection is not None:
            self._connection.execute_wrappers.remove(self._follow)
            self._connection = None

    def _follow(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:  # the signature of Django's execute wrappers, which have no types
        result = execute(sql, params, many, context)
        start = sql[:9].upper() if isinstance(sql, str) else ""
        if start == "SAVEPOINT":
            self._marks[_last_word(sql)] = len(self.entries)
        elif start == "ROLLBACK ":
            del self.entries[self._marks.get(_last_word(sql), 0) :]
        return result


def _last_word(sql: str) -> str:
    return sql.rsplit(maxsplit=1)[-1]
