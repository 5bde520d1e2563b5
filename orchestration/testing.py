"""For the tests of host projects: a method that records, and switches for what tests leave off."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from django.test import override_settings

from . import methods
from .backends import ServiceBackend, forget, installed
from .backends.registry import register
from .scripts import Done, Event, Host, Job, Output, Started, Tick, Unit

RECORDING = "orchestration.testing.RecordingMethod"


@dataclass(slots=True)
class Answer:
    """How a job shall end, and what it prints before; or the error that the method raises instead."""

    done: Done
    stdout: bytes = b""
    stderr: bytes = b""
    error: Exception | None = None


@dataclass(eq=False)
class RecordingMethod:
    """A method that runs nothing: it keeps what it was given, and answers as it was told."""

    #: What was run, in order.
    exchanges: list[tuple[Host, Unit]] = field(default_factory=list)
    _answers: deque[Answer] = field(default_factory=deque)
    _open: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._open.set()

    def reset(self) -> None:
        """Forget everything."""
        self.exchanges.clear()
        self._answers.clear()
        self._open.set()

    @property
    def jobs(self) -> list[Job]:
        """Return all jobs that were handed over, in order."""
        return [job for _, unit in self.exchanges for job in unit.jobs]

    @property
    def texts(self) -> list[str]:
        """Return the texts of all jobs, in order."""
        return [job.text.decode() for job in self.jobs]

    def answer(
        self, status: int | None = 0, *, stdout: bytes = b"", stderr: bytes = b"", **done: object
    ) -> None:
        """Let a coming job print this and end so; further keywords are fields of ``Done``.

        The first answer goes to the next job, the second to the one after; without one it succeeds.
        """
        self._answers.append(Answer(Done("", status, **done), stdout, stderr))  # type: ignore[arg-type]  # checked by Done

    def fail(self, error: Exception) -> None:
        """Raise this when a coming job is to start: in the order of ``answer``."""
        self._answers.append(Answer(Done(""), error=error))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let jobs start, and not end before this block does."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def run(self, host: Host, unit: Unit) -> Iterator[Event]:
        """Answer each job of the unit, in order."""
        self.exchanges.append((host, unit))
        failed: set[str] = set()
        for job in unit.jobs:
            for event in self._run(job, failed):
                if isinstance(event, Done) and not event.is_success:
                    failed.add(job.id)
                yield event

    def _run(self, job: Job, failed: set[str]) -> Iterator[Event]:
        if skipped := failed.intersection(job.needs):
            yield Done(job.id, skipped=min(skipped))
            return
        answer = self._answers.popleft() if self._answers else Answer(Done("", 0))
        if answer.error:
            raise answer.error
        yield Started(job.id)
        while not self._open.wait(0.02):
            yield Tick()
        yield from (Output(job.id, 1, answer.stdout), Output(job.id, 2, answer.stderr))
        yield replace(answer.done, job=job.id)


@contextmanager
def enabled_execution(*, executor: str = "inline") -> Iterator[None]:
    """Let scripts run in tests, by default in the test's own thread and before ``wake`` returns."""
    with override_settings(ORCHESTRATION_DISABLE_EXECUTION=False, ORCHESTRATION_EXECUTOR=executor):
        yield


@contextmanager
def recorded(*, executor: str = "inline") -> Iterator[RecordingMethod]:
    """Let scripts for servers with connection "ssh" go to a RecordingMethod, which is returned."""
    method = methods.get(RECORDING)
    assert isinstance(method, RecordingMethod)
    method.reset()
    with enabled_execution(executor=executor), override_settings(ORCHESTRATION_SSH_METHOD=RECORDING):
        yield method


@contextmanager
def registered(*backends: type[ServiceBackend]) -> Iterator[None]:
    """Have these backends installed, and no longer afterwards."""
    for backend in backends:
        if backend not in installed():
            register(backend)
    try:
        yield
    finally:
        for backend in backends:
            forget(backend)
