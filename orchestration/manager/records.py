"""Operations and their rows: from objects to operations, to what logs keep of them, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

from orchestration.backends import ServiceBackend
from orchestration.exceptions import InstanceGone
from orchestration.lanes.output import storable
from orchestration.models import OperationLog, ScriptLog
from orchestration.operations import Operation
from orchestration.router import Target
from orchestration.scripts import Section

#: What the columns of OperationLog hold.
_LONGEST = 255


def create_for_action(instances: Model | Iterable[Model], action: str) -> list[Operation]:
    """Return the operations that an action on one or several objects means, without duplicates."""
    several = [instances] if isinstance(instances, Model) else instances
    operations = (
        Operation(backend, instance, action)
        for instance in several
        for backend in ServiceBackend.get_backends(instance, action)
    )
    return list(dict.fromkeys(operations))


def operation_rows(section: Section, log: ScriptLog) -> Iterator[OperationLog]:
    """Yield the rows, not yet saved, of the operations of a section."""
    for operation in section.operations:
        yield _row(operation, log)


def store(operation: Operation, log: ScriptLog) -> OperationLog:
    """Save the row of one operation under a log."""
    row = _row(operation, log)
    row.save()
    return row


def load(row: OperationLog, log: ScriptLog | None = None) -> Operation:
    """Return the operation of a row; with a log it is bound to that log's server.

    Raises BackendUnknown when the backend is not installed, InstanceGone when the object is not there.
    """
    backend = ServiceBackend.get_backend(row.backend)
    if row.instance is None:
        raise InstanceGone(f"{row.instance_repr} is gone, so {row} cannot be made again.")
    return Operation(backend, row.instance, row.action, targets=_targets(log))


def _targets(log: ScriptLog | None) -> tuple[Target, ...] | None:
    if log is None or log.server is None:
        return None
    server = log.server
    return (Target(log.route_id or 0, server.pk, server.name, server.is_active, run_async=log.background),)


def _row(operation: Operation, log: ScriptLog) -> OperationLog:
    instance = operation.instance
    text = describe(instance)
    return OperationLog(
        log=log,
        backend=operation.backend.get_name(),
        action=operation.action,
        content_type=ContentType.objects.get_for_model(instance),
        object_id="" if instance.pk is None else str(instance.pk),
        instance_repr=_short(text),
        identity=_short(_identity(operation) or text),
    )


def _identity(operation: Operation) -> str:
    try:
        return operation.backend.identity(operation.instance)
    except Exception:  # noqa: BLE001  by default it is the object's text: see describe()
        return ""


def _short(text: str) -> str:
    return storable(text[:_LONGEST])


def describe(instance: Model) -> str:
    """Return the text of an object, or its model and key when it has none."""
    try:
        return str(instance)
    except Exception:  # noqa: BLE001  the object itself may be what is broken
        return f"{instance._meta.label} {instance.pk}"
