"""One unit on its way through a runner: the frame that goes out, and the events that come back."""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Iterator
from functools import lru_cache

from orchestration.exceptions import CannotStart, ServerFull
from orchestration.scripts import Done, Event, Job, Output, Started, Unit


def encode(unit: Unit) -> bytes:
    """Return the frame of a unit. Raises CannotStart for an executable that cannot be written down."""
    lines = "\n".join(_describe(job) for job in unit.jobs)
    body = b"".join([lines.encode(), b"\n\n", *(job.text for job in unit.jobs)])
    head = f"unit {len(body)} {unit.id} {unit.lane} {unit.epoch} {unit.cap} {unit.tail}\n"
    return head.encode() + body


def _describe(job: Job) -> str:
    needs = ",".join(job.needs) or "-"
    return f"{job.id} {len(job.text)} {job.idle} {job.total} {needs} {_words(job.executable)}"


@lru_cache(maxsize=256)
def _words(executable: str) -> str:
    """Return the words of an executable, with tabs between them."""
    try:
        words = shlex.split(executable)
    except ValueError as error:
        raise CannotStart(f"{executable!r} is no executable: {error}.") from error
    if not words or any(set(word) & {"\t", "\n"} for word in words):
        raise CannotStart(f"{executable!r} is no executable.")
    return "\t".join(words)


class Exchange:
    """What the runner said about a unit and nobody has taken yet."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self._jobs = {job.id: job for job in unit.jobs}
        self._events: deque[Event] = deque()
        self._tails: dict[tuple[str, int], bytes] = {}
        self._refusal = ""
        #: The unit has ended and nothing more comes.
        self.is_over = False

    @property
    def keys(self) -> list[bytes]:
        """Return the ids under which the runner speaks of it."""
        return [self.unit.id.encode(), *(job.encode() for job in self._jobs)]

    def has_news(self) -> bool:
        """Tell whether there is anything to take, or it is over."""
        return bool(self._events) or self.is_over

    def take(self) -> Iterator[Event]:
        """Yield the events that have arrived. Raises ServerFull when the runner refused the unit."""
        while self._events:
            yield self._events.popleft()
        if self._refusal:
            raise ServerFull(f"The server has no room to start the script ({self._refusal}); nothing ran.")

    def receive(self, name: bytes, words: list[bytes], body: bytes) -> None:
        """Note what a frame says."""
        if name == b"end":
            self.is_over = True
            return
        if name == b"refused":
            self._refusal, self.is_over = body.decode(errors="replace"), True
            return
        job = words[0].decode()
        if name == b"started":
            self._events.append(Started(job))
        elif name == b"output":
            self._events.append(Output(job, int(words[1]), body))
        elif name == b"tail":
            self._tails[job, int(words[1])] = body
        elif name == b"done":
            self._events.append(self._done(job, words[1:], body))

    def _done(self, job: str, words: list[bytes], body: bytes) -> Done:
        status, number, limit, skipped, stdout_size, stderr_size = (word.decode() for word in words)
        error, *notes = body.decode(errors="replace").split("\n")
        if error:
            error = f"{self._jobs[job].executable} cannot be started: {error}."
        return Done(
            job,
            status=None if status == "-" or limit != "-" else int(status),
            signal=int(number) or None,
            limit=limit.strip("-"),
            skipped="" if skipped == "-" else skipped,
            error=error,
            stdout_size=int(stdout_size),
            stderr_size=int(stderr_size),
            stdout_tail=self._tails.pop((job, 1), b""),
            stderr_tail=self._tails.pop((job, 2), b""),
            notes=tuple(notes),
        )
