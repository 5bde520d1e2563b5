"""Running operations as a unit of work of their own, and probing without one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from uuid import uuid4

from django.db import connections, transaction

from orchestration import executors, lanes
from orchestration.exceptions import RouteBroken
from orchestration.models import ScriptLog
from orchestration.models.database import alias
from orchestration.operations import Operation
from orchestration.router import mark_broken

from .generation import generate
from .queueing import Queued, enqueue


def execute(
    operations: Iterable[Operation], *, serialize: bool = False, run_async: bool | None = None
) -> list[ScriptLog]:
    """Run operations as one unit of work and return its logs, by key.

    Outside a transaction what is waited for has ended then; inside one it joins that and all still waits.
    """
    try:
        queued = _store(operations, serialize=serialize, run_async=run_async)
    except RouteBroken as error:
        if not _is_in_transaction():
            mark_broken(error)
        raise
    if _is_in_transaction():
        return queued.logs
    lanes.wait(queued.waited)
    return lanes.wait([log.pk for log in queued.logs], seconds=0)


def _store(operations: Iterable[Operation], *, serialize: bool, run_async: bool | None) -> Queued:
    with transaction.atomic(using=alias()):
        scripts = generate(list(operations), serialize=serialize, run_async=run_async)
        queued = enqueue(scripts, unit=uuid4())
        # robust: a broken announcement must not keep other callbacks from running
        transaction.on_commit(partial(executors.wake, queued.lanes), using=alias(), robust=True)
    return queued


def _is_in_transaction() -> bool:
    return connections[alias()].in_atomic_block
