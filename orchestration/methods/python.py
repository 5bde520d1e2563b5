"""The method Python: calls functions of the panel's own code, in a thread of this process."""

from __future__ import annotations

import io
import json
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator

from django.db import connections

from orchestration import calls
from orchestration.scripts import Done, Event, Host, Job, Output, Started, Tick, Unit

from .agent.clip import Clip
from .capture import captured
from .runner import TICK

#: A function with its arguments, and the path under which its results are kept.
Prepared = tuple[str, Callable[..., object], tuple[object, ...]]


class Python:
    """Call the functions of a unit's jobs, each with its arguments and the server."""

    def run(self, host: Host, unit: Unit) -> Iterator[Event]:
        """Run the jobs of a unit; see ``methods.Method``.

        A call cannot be killed: at a limit its job ends, and a note says that the call goes on.
        """
        succeeded: set[str] = set()
        for job in unit.jobs:
            for event in _run(host, unit, job, succeeded):
                yield event
                if isinstance(event, Done) and event.is_success:
                    succeeded.add(job.id)


def _run(host: Host, unit: Unit, job: Job, succeeded: set[str]) -> Iterator[Event]:
    missing = [needed for needed in job.needs if needed not in succeeded]
    if missing:
        yield Done(job.id, skipped=missing[0])
        return
    try:
        prepared = [(call.function, *calls.decode(call)) for call in job.calls]
    except Exception as error:  # noqa: BLE001  it imports and reads what the panel's author wrote
        yield Done(job.id, error=f"Nothing was called. {error}")
        return
    yield Started(job.id)
    work = Work(host, unit, job, prepared)
    work.start()
    try:
        yield from work.follow()
    finally:
        work.is_wanted = False


class Work:
    """The calls of one job: made in one thread, followed in another."""

    def __init__(self, host: Host, unit: Unit, job: Job, prepared: list[Prepared]) -> None:
        self._host, self._job, self._prepared = host, job, prepared
        self._events: queue.SimpleQueue[Output | Done] = queue.SimpleQueue()
        self._clips = Clip(unit.cap, unit.tail), Clip(unit.cap, unit.tail)
        self._results: dict[str, list[object]] = {}
        #: Nobody follows any more: no further call is begun.
        self.is_wanted = True

    def start(self) -> None:
        """Make the calls in a thread; in this one inside a transaction, whose changes no other thread sees.

        Lanes are drained inside one by the ``TestCase`` of a host project only.
        """
        if any(connection.in_atomic_block for connection in connections.all(initialized_only=True)):
            self._events.put(self._make())
            return
        threading.Thread(target=self._run, name=f"orchestration-call-{self._job.id}", daemon=True).start()

    def _run(self) -> None:
        try:
            done = self._make()
        finally:
            connections.close_all()
        self._events.put(done)

    def _make(self) -> Done:
        """Make the calls, one after the other, until one fails."""
        status, text = 0, ""
        with captured(Sink(self, 1), Sink(self, 2)):
            try:
                self._call_all()
            except SystemExit as error:
                status = error.code if isinstance(error.code, int) else int(error.code is not None)
            except BaseException:  # noqa: BLE001  whatever a call raises is its failure, and ends here
                status, text = 1, traceback.format_exc()
        return self._done(status=status, traceback=text, results=dict(self._results))

    def follow(self) -> Iterator[Event]:
        """Yield what happens until the last call has returned, or a limit is reached."""
        started = heard = time.monotonic()
        while True:
            now = time.monotonic()
            deadline = min(started + self._job.total, heard + self._job.idle)
            try:
                event = self._events.get(timeout=max(0.0, min(TICK, deadline - now)))
            except queue.Empty:
                if time.monotonic() >= deadline:
                    yield self._overdue("total" if deadline == started + self._job.total else "idle")
                    return
                yield Tick()
                continue
            yield event
            heard = time.monotonic()
            if isinstance(event, Done):
                return

    def note(self, stream: int, data: bytes) -> None:
        """Take what a call printed."""
        if head := self._clips[stream - 1].take(data):
            self._events.put(Output(self._job.id, stream, head))

    def _call_all(self) -> None:
        for path, function, args in self._prepared:
            if not self.is_wanted:
                return
            result = function(*args, self._host.server)
            if result is not None:
                self._results.setdefault(path, []).append(_storable(result))

    def _overdue(self, limit: str) -> Done:
        return self._done(limit=limit, notes=("The call cannot be killed and goes on.",))

    def _done(self, **fields: object) -> Done:
        stdout, stderr = self._clips
        return Done(
            self._job.id,
            stdout_size=stdout.size,
            stderr_size=stderr.size,
            stdout_tail=stdout.last(),
            stderr_tail=stderr.last(),
            **fields,  # type: ignore[arg-type]  # named by the two callers above
        )


class Sink(io.RawIOBase):
    """Where the prints of a call arrive as bytes."""

    def __init__(self, work: Work, stream: int) -> None:
        self._work, self._stream = work, stream

    def writable(self) -> bool:
        """Tell that it is for writing."""
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]  # wider in typeshed
        """Pass the bytes on."""
        self._work.note(self._stream, bytes(data))
        return len(data)


def _storable(result: object) -> object:
    """Return a result as JSON can hold it, else as text."""
    try:
        json.dumps(result)
    except (TypeError, ValueError):
        return repr(result)
    return result
