"""Outside units: what becomes of a watched change that no unit of work collects."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Self
from weakref import WeakKeyDictionary

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from orchestration.exceptions import OrchestrationError, OutsideUnit
from orchestration.models.database import alias
from orchestration.settings import options

from . import units
from .folding import Folding, fold
from .journal import Entry
from .units import Unit
from .watching import watches

logger = logging.getLogger(__name__)

REMEDY = (
    "%s changed outside any unit of work, so nothing runs on servers. Put the change into a block "
    "'with orchestrate():', or set ORCHESTRATION_OUTSIDE_UNIT."
)

_is_disabled: ContextVar[bool] = ContextVar("orchestration_is_disabled", default=False)
_request: ContextVar[Request | None] = ContextVar("orchestration_request", default=None)
_warned: set[type[Model]] = set()
_trailing: WeakKeyDictionary[BaseDatabaseWrapper, Trailing] = WeakKeyDictionary()


def find_unit(model: type[Model], using: str) -> Unit | None:
    """Return the unit that collects a change of a model on a database; None: nobody wants to know.

    Raises OutsideUnit when there is none, and the settings say so.
    """
    if _is_disabled.get():
        return None
    return units.find(using) or _outside(model, using)


@contextmanager
def disabled() -> Iterator[None]:
    """Collect nothing in a block."""
    before = _is_disabled.get()
    _is_disabled.set(True)
    try:
        yield
    finally:
        _is_disabled.set(before)


class Request:
    """The time of one request, in which changes outside its unit are stored after their COMMIT.

    Tasks that outlive the request must not take it for still being there.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.is_over = False

    def __enter__(self) -> Self:
        self._before = _request.get()
        _request.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        self.is_over = True
        _request.set(self._before)


class Trailing(Unit):
    """What changes outside any unit, stored in a transaction of its own right after the COMMIT of theirs."""

    _is_announced = False

    def append(self, entry: Entry) -> None:
        """Note what has just happened; without a transaction, that is COMMIT."""
        super().append(entry)
        if not self._is_announced:
            self._is_announced = True
            transaction.on_commit(self.flush, using=self.using, robust=True)

    def is_pending(self) -> bool:
        """Tell whether its COMMIT is still to come: a rollback also forgets the callback."""
        hooks = connections[self.using].run_on_commit
        return not self.is_finished and any(hook[1] == self.flush for hook in hooks)

    def fold(self) -> Folding:
        """Return what was collected amounts to, with states that units may have stored already."""
        return fold(self._journal.entries, watches, self.using, is_late=True)

    def flush(self) -> None:
        """Store what was collected; what cannot be stored is reported, because its change stands."""
        self.close()
        try:
            with transaction.atomic(using=self.using), transaction.atomic(using=alias(), savepoint=False):
                self.store()
        except OrchestrationError as error:
            logger.exception("What %s changed is saved, but nothing runs on servers.", self)
            self.fail(error)
        self.wake()


def _outside(model: type[Model], using: str) -> Unit | None:
    request = _request.get()
    if request is not None and not request.is_over:
        return _after_commit(using, request.path)
    match options.OUTSIDE_UNIT:
        case "after_commit":
            return _after_commit(using, "")
        case "raise":
            raise OutsideUnit(REMEDY % model._meta.label)
        case "warn" if model not in _warned:
            _warned.add(model)
            logger.warning(REMEDY, model._meta.label)
    return None


def _after_commit(using: str, origin: str) -> Trailing:
    connection = connections[using]
    unit = _trailing.get(connection)
    if unit is None or not unit.is_pending():
        if unit is not None:
            unit.close()
        unit = _trailing[connection] = Trailing(using, origin=origin)
    return unit
