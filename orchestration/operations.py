"""Operation: a backend, an instance and an action, as a value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from django.db.models import Model

if TYPE_CHECKING:
    from .backends import ServiceBackend
    from .models import OperationLog, ScriptLog
    from .router import Target

SAVE = "save"
DELETE = "delete"
MONITOR = "monitor"
EXCEEDED = "exceeded"
RECOVERY = "recovery"


@dataclass(frozen=True, eq=False)
class Operation:
    """What a backend shall do with an instance.

    ``targets`` are the servers already decided (for deletes: while the relations existed); ``None``
    leaves them to the router. Two operations are equal when backend, action and object are.
    """

    backend: type[ServiceBackend]
    instance: Model
    action: str
    targets: tuple[Target, ...] | None = field(default=None, repr=False)

    SAVE: ClassVar[str] = SAVE
    DELETE: ClassVar[str] = DELETE
    MONITOR: ClassVar[str] = MONITOR
    EXCEEDED: ClassVar[str] = EXCEEDED
    RECOVERY: ClassVar[str] = RECOVERY

    @property
    def key(self) -> tuple[object, ...]:
        """Return what tells operations apart: backend, action, model and key of the object."""
        pk = self.instance.pk
        return (
            self.backend,
            self.action,
            self.instance._meta.concrete_model,
            id(self.instance) if pk is None else pk,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Operation) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return f"{self.backend.get_name()}.{self.action}({self.instance})"

    # Verbs: one lazy import of the manager each, the only exemption from the import contract.

    @classmethod
    def execute(
        cls, operations: Iterable[Operation], serialize: bool = False, run_async: bool | None = None
    ) -> list[ScriptLog]:
        """Run operations as one unit of work and return its logs.

        Outside a transaction the logs are finished (of what is waited for); inside one they join it and
        still wait. ``run_async``: None as the routes say, True nothing is waited for, False everything is.
        """
        from . import manager  # noqa: PLC0415  verbs are sugar on top of the manager

        return manager.execute(operations, serialize=serialize, run_async=run_async)

    @classmethod
    def create_for_action(cls, instances: Model | Iterable[Model], action: str) -> list[Operation]:
        """Return the operations that ``action`` on one or several objects means, without duplicates."""
        from . import manager  # noqa: PLC0415

        return manager.create_for_action(instances, action)

    @classmethod
    def execute_action(cls, instances: Model | Iterable[Model], action: str) -> list[ScriptLog]:
        """Run an action on one or several objects, also those that sent no signal (``update()``)."""
        return cls.execute(cls.create_for_action(instances, action))

    def store(self, log: ScriptLog) -> OperationLog:
        """Record this operation under a log."""
        from . import manager  # noqa: PLC0415

        return manager.store(self, log)

    @classmethod
    def load(cls, operation: OperationLog, log: ScriptLog | None = None) -> Operation:
        """Return the operation of a row; with a log it is bound to that log's server."""
        from . import manager  # noqa: PLC0415

        return manager.load(operation, log)
