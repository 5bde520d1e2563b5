"""Units of work: what one transaction collects, and how it is stored together with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Self
from uuid import UUID, uuid4

from django.db import transaction

from orchestration import executors, lanes, manager, router
from orchestration.exceptions import OrchestrationError, RouteBroken
from orchestration.models import ScriptLog
from orchestration.models.database import alias
from orchestration.signals import unit_failed

from .folding import Folding, fold
from .journal import Entry, Journal
from .watching import watches

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

_current: ContextVar[Unit | None] = ContextVar("orchestration_unit", default=None)


class Unit:
    """All operations of one transaction; it belongs to one thread and one database connection."""

    def __init__(
        self, using: str, *, user: AbstractBaseUser | AnonymousUser | None = None, origin: str = ""
    ) -> None:
        self.using, self.user, self.origin = using, user, origin
        #: After COMMIT: the logs of its scripts, as far as they are known.
        self.logs: list[ScriptLog] = []
        #: What was stored; None: nothing was to be done, or it was rolled back.
        self.queued: manager.Queued | None = None
        #: Its own COMMIT is done.
        self.is_committed = False
        #: What made it fail as a whole.
        self.error: OrchestrationError | None = None
        self.is_finished = False
        self._thread = threading.get_ident()
        self._journal = Journal(using)

    def __str__(self) -> str:
        return self.origin or str(self.uuid)

    def __enter__(self) -> Self:
        """Collect what this thread changes."""
        self._before = _current.get()
        _current.set(self)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # Not by a token: an async unit may be left in another context than it was entered in.
        _current.set(self._before)
        self.close()
        if isinstance(error, OrchestrationError):
            self.error = error

    @cached_property
    def uuid(self) -> UUID:
        """What the logs of this unit have in common."""
        return uuid4()

    @cached_property
    def router(self) -> router.Router:
        """The router of this unit: it reads the table of routes once, when it is first asked."""
        return router.get_router()

    def collects(self, using: str) -> bool:
        """Tell whether a change in this thread, on a database, is part of it."""
        return not self.is_finished and self.using == using and self._thread == threading.get_ident()

    def append(self, entry: Entry) -> None:
        """Note what has just happened."""
        self._journal.append(entry)

    def close(self) -> None:
        """Collect nothing any more."""
        self.is_finished = True
        self._journal.close()

    def fold(self) -> Folding:
        """Return what was collected amounts to."""
        return fold(self._journal.entries, watches, self.using)

    def store(self) -> None:
        """Turn what was collected into scripts, and insert their rows: last in the transaction.

        Raises RouteBroken, BackendFailed and other errors of generation; then all must be rolled back.
        """
        try:
            self._store()
        except OrchestrationError as error:
            self.error = error
            raise

    def _store(self) -> None:
        folding = self.fold()
        operations = manager.route(folding.operations(), self.router)
        if not operations:
            return
        user = self.user if self.user is not None and self.user.is_authenticated else None
        locked = manager.lock(operations, user=user)
        if folding.is_stale:
            # Others may have committed while the locks were waited for.
            operations = folding.operations()
        scripts = manager.generate(operations, router=self.router)
        if scripts:
            self.queued = manager.enqueue(
                scripts, unit=self.uuid, user=user, origin=self.origin, locked=locked
            )
            self.logs = list(self.queued.logs)

    def wake(self) -> None:
        """Have its scripts run: to be called after COMMIT."""
        if self.queued is not None:
            executors.wake(self.queued.lanes)

    def wait(self, seconds: float | None = None) -> None:
        """Wait for its scripts that are not background (None: without a limit), then refresh ``logs``."""
        if self.queued is None:
            return
        # With a limit it is a request, which must not drain what others left.
        remind = self.wake if seconds is None else None
        lanes.wait(self.queued.waited, seconds=seconds, remind=remind)
        logs = ScriptLog.objects.using(alias()).filter(unit=self.uuid)
        self.logs = list(logs.select_related("server").defer("payload").order_by("pk"))

    def fail(self, error: OrchestrationError) -> None:
        """Mark what was wrong and have it reported: to be called after the rollback."""
        self.queued, self.logs = None, []
        if isinstance(error, RouteBroken) and not transaction.get_connection(alias()).needs_rollback:
            router.mark_broken(error)
        unit_failed.send_robust(sender=Unit, unit=self, error=error)


def find(using: str) -> Unit | None:
    """Return the unit that collects the changes of this thread on a database."""
    unit = _current.get()
    return unit if unit is not None and unit.collects(using) else None


@contextmanager
def work(unit: Unit) -> Iterator[Unit]:
    """Run a block as one transaction, and store at its end what it asks for.

    Inside another transaction it is a savepoint, and its scripts run after the COMMIT of that one.
    """
    connection = transaction.get_connection(unit.using)
    is_own = not connection.in_atomic_block and connection.get_autocommit()
    try:
        with transaction.atomic(using=unit.using):
            with unit:
                yield unit
            if not connection.get_rollback():
                unit.store()
            if unit.queued is not None and not is_own:
                transaction.on_commit(unit.wake, using=unit.using, robust=True)
        unit.is_committed = is_own
    finally:
        if unit.error is not None:
            unit.fail(unit.error)
        elif is_own:
            # Also when a callback of somebody else raised after COMMIT.
            unit.wake()
