"""Running operations as a unit of work of their own."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

from django.db import connections, transaction

from orchestration import executors, lanes
from orchestration.exceptions import RouteBroken
from orchestration.models import ScriptLog
from orchestration.models.database import alias
from orchestration.operations import Operation
from orchestration.router import get_router, mark_broken

from .generation import generate
from .numbering import lock, route
from .probing import is_probe, probe
from .queueing import Queued, enqueue


def execute(
    operations: Iterable[Operation], *, serialize: bool = False, run_async: bool | None = None
) -> list[ScriptLog]:
    """Run operations as one unit of work and return its logs.

    Outside a transaction what is waited for has ended then; inside one it joins that and all still waits.
    Actions that a backend lists as ``probes`` run at once, and their logs are not stored.
    """
    operations = list(operations)
    looks = probe(filter(is_probe, operations))
    changes = [operation for operation in operations if not is_probe(operation)]
    try:
        queued = _store(changes, serialize=serialize, run_async=run_async)
    except RouteBroken as error:
        if not _is_in_transaction():
            mark_broken(error)
        raise
    if _is_in_transaction():
        return [*looks, *queued.logs]
    lanes.wait(queued.waited, remind=lambda: executors.wake(queued.lanes))
    return [*looks, *lanes.wait([log.pk for log in queued.logs], seconds=0)]


def _store(operations: list[Operation], *, serialize: bool, run_async: bool | None) -> Queued:
    with transaction.atomic(using=alias()):
        operations = route(operations, get_router())
        locked = lock(operations)
        scripts = generate(operations, serialize=serialize, run_async=run_async)
        queued = enqueue(scripts, unit=uuid4(), locked=locked)
        # Robust: an announcement that breaks keeps no other callback from running, and loses no work. No
        # partial: Django logs the __qualname__ of what broke.
        transaction.on_commit(lambda: executors.wake(queued.lanes), using=alias(), robust=True)
    return queued


def _is_in_transaction() -> bool:
    return connections[alias()].in_atomic_block
