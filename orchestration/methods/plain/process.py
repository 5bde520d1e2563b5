"""A job that runs by plain exec."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Generator, Iterator

from orchestration.exceptions import CannotStart, ConnectionFailed, ConnectionLost
from orchestration.methods.agent.clip import Clip
from orchestration.scripts import Done, Event, Job, Output, Started, Tick, Unit
from orchestration.settings import options

from .keeper import Keeper
from .shell import LOOK, RUN, PlainChannel, await_answer, execute

#: Seconds between two Ticks, and for which output may follow the end of a job.
TICK, LATE = 5.0, 0.3
#: Seconds for which a killed job may go on printing.
DYING = 5.0


class Process:
    """A job that runs: what it printed, its limits, and its end. Raises CannotStart without a command."""

    def __init__(self, keeper: Keeper, unit: Unit, job: Job) -> None:
        self.keeper, self.host, self.job = keeper, keeper.host, job
        self.command = _words(job.executable)
        self.streams = {number: Clip(unit.cap, unit.tail) for number in (1, 2)}
        self.group, self.limit, self.is_held = "", "", False

    def run(self, number: int) -> Generator[Event, None, Done]:
        """Run the text of this number to its end: yield what happens, return how it ended."""
        self.channel = yield from self._open(number)
        with contextlib.closing(self.channel):
            (word, *rest), output = await_answer(self.channel, self.keeper.mark)
            if word != "started":
                return self._not_started(word)
            self.group = rest[0]
            try:
                yield Started(self.job.id)
                yield from self._follow(output)
            except GeneratorExit:
                self.keeper.kill(self.group)
                raise
            return self._done()

    def _open(self, number: int) -> Generator[Event, None, PlainChannel]:
        """Return the channel of the running job, waiting for a host that grants no further one yet."""
        keeper, deadline = self.keeper, time.monotonic() + options.CONNECT_TIMEOUT
        while True:
            try:
                text = f"{keeper.folder}/{number}"
                return execute(keeper.link, self.host, RUN, keeper.mark, text, *self.command)
            except ConnectionFailed as error:
                if keeper.link.is_closed or (number > 1 and time.monotonic() > deadline):
                    raise ConnectionLost(str(error)) from error  # jobs ran before, or perhaps this one
                if time.monotonic() > deadline:
                    raise
            yield Tick()
            time.sleep(LOOK)

    def _not_started(self, word: str) -> Done:
        if not word and self.channel.exit_status() is None:
            raise ConnectionLost(f"The link to {self.host.name} was cut before the script began.")
        reasons = {
            "missing": f"There is no {self.job.executable} on {self.host.name}: install it.",
            "gone": f"The script has vanished from the temporary folder of {self.host.name}.",
        }
        said = self.channel.stderr_text().strip()[-500:]
        return Done(self.job.id, error=reasons.get(word, f"{self.host.name} did not start it: {said}"))

    def _follow(self, output: bytes) -> Iterator[Event]:
        """Yield output until the process has ended and its streams are empty."""
        started = heard = ticked = time.monotonic()
        ended, found = 0.0, (1, output) if output else None
        while not ended or time.monotonic() < ended:
            if found:
                heard = time.monotonic()
                yield from self._take(*found)
            elif time.monotonic() - ticked > TICK:
                ticked = time.monotonic()
                yield Tick()
            found = self.channel.receive_any(LOOK)
            if found and found[0] == 0:
                return
            ended = ended or self._look(started, heard)
        self.is_held = True

    def _take(self, number: int, data: bytes) -> Iterator[Event]:
        head = self.streams[number].take(data)
        if head:
            yield Output(self.job.id, number, head)

    def _look(self, started: float, heard: float) -> float:
        """Return until when to read on: 0 as long as it runs and may."""
        now = time.monotonic()
        if self.channel.has_ended():
            return now + LATE
        if now - started > self.job.total:
            return self._stop("total")
        if now - heard > self.job.idle:
            return self._stop("idle")
        return 0.0

    def _stop(self, limit: str) -> float:
        self.limit = limit
        self.keeper.kill(self.group)
        return time.monotonic() + DYING

    def _done(self) -> Done:
        status = None if self.limit else self.channel.exit_status()
        if status is None and not self.limit:
            raise ConnectionLost(f"The link to {self.host.name} was cut while the script ran.")
        out, err = self.streams[1], self.streams[2]
        return Done(
            self.job.id,
            status=status,
            limit=self.limit,
            stdout_size=out.size,
            stderr_size=err.size,
            stdout_tail=out.last(),
            stderr_tail=err.last(),
            notes=tuple(self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        yield f"There is no python3 on {self.host.name}: this ran without the runner."
        if self.is_held and not self.limit:
            yield "A background process kept the output open; what it printed later is not shown."


def _words(executable: str) -> list[str]:
    try:
        return shlex.split(executable)
    except ValueError as error:
        raise CannotStart(f"{executable!r} is no executable: {error}.") from error
