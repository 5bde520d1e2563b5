"""``generate()``: operations become scripts, one for each server and lane."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from traceback import clear_frames, format_exception
from typing import TYPE_CHECKING

from django.dispatch import Signal

from orchestration import backends, signals
from orchestration.exceptions import BackendFailed
from orchestration.operations import DELETE, Operation
from orchestration.router import get_router
from orchestration.scripts import Script, Section
from orchestration.settings import options
from orchestration.shell import mask

from .ordering import needs, ordered
from .records import describe

if TYPE_CHECKING:
    from orchestration.backends import ServiceBackend
    from orchestration.router import Router, Target


def generate(
    operations: Iterable[Operation],
    *,
    router: Router | None = None,
    serialize: bool = False,
    run_async: bool | None = None,
) -> list[Script]:
    """Let each backend write its section once per server; return the scripts in order of the servers' keys.

    Sections follow first collection and ``after``; sections of deletes alone stand reversed.
    ``serialize``: sections of one backend start on one server after the other. ``run_async``: None as the
    routes say, True nobody waits, False all are waited for. Raises BackendFailed naming backend, action and
    object, and RouteBroken.
    """
    router = router or get_router()
    lanes: dict[tuple[int, str], dict[type[ServiceBackend], Writer]] = {}
    for operation in operations:
        for target in router.targets(operation):
            writers = lanes.setdefault((target.server, operation.backend.lane), {})
            writer = writers.get(operation.backend)
            if writer is None:
                writer = writers[operation.backend] = Writer(operation.backend, target)
                writer.prepare(operation)
            writer.write(operation, target)
    keys = sorted(lanes)
    return [_script(list(lanes.pop(key).values()), key[1], serialize, run_async) for key in keys]


def _script(writers: list[Writer], lane: str, serialize: bool, run_async: bool | None) -> Script:
    for writer in writers:
        writer.commit()
    writers = ordered(writers)
    sections = tuple(
        writer.section(needs(writer, writers), serialize=serialize, run_async=run_async) for writer in writers
    )
    target = writers[0].target
    return Script(target.server, target.server_name, lane, sections)


class Writer:
    """One backend that writes its section for one server."""

    __slots__ = ("backend", "is_background", "is_deletion", "operations", "target")

    def __init__(self, backend: type[ServiceBackend], target: Target) -> None:
        self.backend, self.target = backend(), target
        self.operations: list[Operation] = []
        #: Nobody waits for any of the operations; all of them delete.
        self.is_background, self.is_deletion = True, True

    def prepare(self, operation: Operation) -> None:
        """Let the backend write its head, for the first operation."""
        self.backend.part = self.backend.head
        with self._failing("prepare", operation):
            self._send(signals.pre_prepare)
            self.backend.prepare()
            self._send(signals.post_prepare)
        self.backend.part = self.backend.content

    def write(self, operation: Operation, target: Target) -> None:
        """Let the backend write what an operation needs."""
        backend, instance, action = self.backend, operation.instance, operation.action
        names = {"sender": operation.backend, "backend": backend, "instance": instance, "action": action}
        try:
            signals.pre_action.send(**names)
            getattr(backend, action)(instance)
            signals.post_action.send(**names)
        except Exception as error:  # noqa: BLE001  whatever a backend raises: its author needs to know where
            raise self._failure(action, operation, error) from self._cause(error)
        self.operations.append(operation)
        self.is_deletion &= action == DELETE
        self.is_background &= target.is_async(action) or action in backend.async_actions

    def commit(self) -> None:
        """Let the backend write its tail."""
        self.backend.part = self.backend.tail
        with self._failing("commit", self.operations[-1]):
            self._send(signals.pre_commit)
            self.backend.commit()
            self._send(signals.post_commit)

    def section(self, needs: tuple[int, ...], *, serialize: bool, run_async: bool | None) -> Section:
        """Return what was written."""
        backend, written = self.backend, backends.take(self.backend)
        return Section(
            backend=backend.get_name(),
            operations=tuple(self.operations),
            groups=written.groups,
            shown=written.shown,
            secrets=written.secrets,
            needs=needs,
            route=self.target.route or None,
            background=self.is_background if run_async is None else run_async,
            serialize=serialize or backend.serialize,
            idle=options.IDLE_TIMEOUT if backend.idle is None else backend.idle,
            total=options.TOTAL_TIMEOUT if backend.total is None else backend.total,
        )

    def _send(self, signal: Signal) -> None:
        signal.send(sender=type(self.backend), backend=self.backend)

    @contextmanager
    def _failing(self, action: str, operation: Operation) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  whatever a backend raises: its author needs to know where
            raise self._failure(action, operation, error) from self._cause(error)

    def _failure(self, action: str, operation: Operation, error: Exception) -> BackendFailed:
        """Return the error that names backend, action and object, and no secret that was appended."""
        name, instance = self.backend.get_name(), describe(operation.instance)
        reason = mask(f"{type(error).__name__}: {error}", backends.known_secrets(self.backend))
        message = f"{name}.{action} failed for {instance}: {reason}"
        return BackendFailed(message, backend=name, action=action, instance=instance)

    def _cause(self, error: Exception) -> Exception | None:
        """Return the error unless it tells a secret: whoever logs the failure logs its cause, too.

        The variables of the frames that it came through are forgotten: error pages show them.
        """
        clear_frames(error.__traceback__)
        told = "".join(format_exception(error))
        return error if mask(told, backends.known_secrets(self.backend)) == told else None
