"""Plain exec: runs jobs on a host that has no python3, and so no runner.

All texts of a unit are sent first, and the far end counts them: a link that is cut before the last byte
runs nothing. Then each job is one command with a process group of its own. Limits, caps and the end of
a cancelled job are up to this side: it kills by a command of its own.
"""

from __future__ import annotations

import contextlib
import secrets
import shlex
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from orchestration.exceptions import CannotStart, ConnectionFailed, ConnectionLost, ServerFull
from orchestration.scripts import Done, Event, Host, Job, Output, Started, Tick, Unit
from orchestration.settings import options

from .channel import Channel

#: Seconds between two Ticks, between two looks at a silent job, and for which output may follow its end.
TICK, LOOK, LATE = 5.0, 0.1, 0.3
#: Seconds for which a killed job may go on printing.
DYING = 5.0

# $1 marks our own lines, $2 is the number of bytes to come, then the size of each text.
RECEIVE = """
umask 077; mark=$1 total=$2 offset=1 number=0; shift 2
folder=$(mktemp -d "${TMPDIR:-/tmp}/orchestration-XXXXXXXX") || { echo "$mark full"; exit; }
refuse() { rm -rf "$folder"; echo "$mark $1"; exit; }
holds() { [ "$(wc -c < "$1")" -eq "$2" ]; }
trap 'rm -rf "$folder"; exit 1' HUP INT TERM PIPE
head -c "$total" > "$folder/all" || refuse full
holds "$folder/all" "$total" || refuse short
for size; do
    number=$((number + 1))
    tail -c +$offset "$folder/all" | head -c "$size" > "$folder/$number" || refuse full
    holds "$folder/$number" "$size" || refuse full
    offset=$((offset + size))
done
rm -f "$folder/all"
echo "$mark ready $folder"
"""

# $1 marks our own lines, $2 is the text, the rest is what runs it. The text is gone from the disk when
# it starts; its output follows the line with its process group.
RUN = """
mark=$1 text=$2; shift 2
command -v "$1" > /dev/null || { echo "$mark missing"; exit; }
exec 3< "$text" && rm -f "$text" || { echo "$mark gone"; exit; }
start='echo "$0 started $$"; exec "$@" /dev/fd/3 < /dev/null'
alone=$(command -v setsid)
$alone sh -c "$start" "$mark" "$@" &
exec 2> /dev/null
wait $!
"""

# $1 is the process group (without setsid: the process).
KILL = """
send() { kill -$1 -$2 2> /dev/null || kill -$1 $2 2> /dev/null; }
send TERM $1
for try in 1 2 3 4 5 6 7 8 9 10; do send 0 $1 || exit 0; sleep 0.2 2> /dev/null || sleep 1; done
send KILL $1
"""


class PlainChannel(Channel, Protocol):
    """A channel whose stdout and stderr are read side by side."""

    def receive_any(self, timeout: float) -> tuple[int, bytes] | None:
        """Return a stream's number and what has arrived on it; None: nothing came; 0: both ended."""

    def has_ended(self) -> bool:
        """Tell whether the command itself has ended (others may still hold its streams)."""


class PlainLink(Protocol):
    """A connection that opens such channels."""

    @property
    def is_closed(self) -> bool:
        """Tell whether it has ended."""

    def open(self, command: str) -> PlainChannel:
        """Run a command in the login shell of the host."""

    def close(self) -> None:
        """Close it and all of its channels."""

    def abandon(self) -> None:
        """Let go of it in a forked child."""


class PlainConnection:
    """A connection to a host without python3, as a pool keeps it."""

    def __init__(self, host: Host, link: PlainLink) -> None:
        self._host, self._link = host, link

    @property
    def is_closed(self) -> bool:
        """Tell whether it has ended."""
        return self._link.is_closed

    def run(self, unit: Unit) -> Iterator[Event]:
        """Run a unit. Raises ConnectionFailed only when certainly nothing of it ran."""
        return run(self._link, self._host, unit)

    def close(self) -> None:
        """End it."""
        self._link.close()

    def abandon(self) -> None:
        """Let go of it in a forked child."""
        self._link.abandon()


def run(link: PlainLink, host: Host, unit: Unit) -> Iterator[Event]:
    """Run the jobs of a unit, as ``Method.run`` does."""
    mark = secrets.token_hex(16)
    folder = _send(link, host, unit, mark)
    succeeded: set[str] = set()
    try:
        for number, job in enumerate(unit.jobs, start=1):
            missing = next((need for need in job.needs if need not in succeeded), "")
            if missing:
                yield Done(job.id, skipped=missing)
                continue
            done = yield from _Process(link, host, unit, job).run(mark, f"{folder}/{number}")
            yield done
            if done.is_success:
                succeeded.add(job.id)
    finally:
        with contextlib.suppress(ConnectionFailed):
            _finish(_execute(link, host, 'rm -rf "$1"', folder))


def _send(link: PlainLink, host: Host, unit: Unit, mark: str) -> str:
    texts = [job.text for job in unit.jobs]
    total = sum(map(len, texts))
    channel = _execute(link, host, RECEIVE, mark, total, *map(len, texts))
    with contextlib.closing(channel):
        with _turned(ConnectionLost, ConnectionFailed):  # it did not take all, so nothing can run
            channel.send(b"".join(texts))
        (word, *rest), _ = _answer(channel, mark)
        if word == "ready":
            return rest[0]
        if word == "full":
            raise ServerFull(
                f"{host.name} has no space for the script in its temporary folder, or no such folder."
            )
        raise _no_answer(host, channel)


@contextlib.contextmanager
def _turned(known: type[Exception], meant: type[Exception]) -> Iterator[None]:
    try:
        yield
    except known as error:
        raise meant(str(error)) from error


def _no_answer(host: Host, channel: Channel) -> Exception:
    status, said = channel.exit_status(), channel.stderr_text().strip()[-500:]
    if status is None:
        return ConnectionFailed(f"The link to {host.name} was cut while the script was sent: nothing ran.")
    return CannotStart(f"The login shell of {host.name} runs no commands (exit status {status}): {said}")


def _answer(channel: Channel, mark: str) -> tuple[list[str], bytes]:
    """Return the words of the line with the mark (one empty word: none came), and what follows it."""
    text, deadline = b"", time.monotonic() + options.CONNECT_TIMEOUT
    while time.monotonic() < deadline:
        data = channel.receive(LOOK)
        if data == b"":
            break
        text += data or b""
        _, found, line = text.partition(mark.encode())
        if found and b"\n" in line:
            line, _, rest = line.partition(b"\n")
            return line.decode(errors="replace").split(), rest
    return [""], b""


def _finish(channel: Channel) -> None:
    channel.exit_status()
    channel.close()


def _execute(link: PlainLink, host: Host, script: str, *arguments: object) -> PlainChannel:
    words = ["sh", "-c", script.strip(), "sh", *map(str, arguments)]
    prefix = "sudo -n -- " if host.sudo else "exec "
    return link.open(prefix + shlex.join(words))


@dataclass
class _Stream:
    """One output stream: the first bytes are passed on, of the others the last are kept."""

    cap: int
    keep: int
    size: int = 0
    tail: bytearray = field(default_factory=bytearray)

    def take(self, data: bytes) -> bytes:
        room = max(0, self.cap - self.size)
        self.size += len(data)
        self.tail += data[room:]
        if len(self.tail) > 4 * self.keep:
            del self.tail[: len(self.tail) - self.keep]
        return data[:room]

    def last(self) -> bytes:
        return bytes(self.tail[-self.keep :]) if self.keep else b""


class _Process:
    """A job that runs: what it printed, its limits, and its end."""

    def __init__(self, link: PlainLink, host: Host, unit: Unit, job: Job) -> None:
        self.link, self.host, self.job = link, host, job
        self.streams = {number: _Stream(unit.cap, unit.tail) for number in (1, 2)}
        self.group, self.limit, self.is_held = "", "", False

    def run(self, mark: str, text: str) -> Generator[Event, None, Done]:
        """Run to the end: yield what happens, return how it ended."""
        command = shlex.split(self.job.executable)
        with _turned(ConnectionFailed, ConnectionLost):  # jobs ran before, and perhaps this one
            self.channel = _execute(self.link, self.host, RUN, mark, text, *command)
        with contextlib.closing(self.channel):
            (word, *rest), output = _answer(self.channel, mark)
            if word != "started":
                return self._not_started(word)
            self.group = rest[0]
            yield Started(self.job.id)
            try:
                yield from self._follow(output)
            except GeneratorExit:
                self._kill()
                raise
            return self._done()

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
        self._kill()
        return time.monotonic() + DYING

    def _kill(self) -> None:
        with contextlib.suppress(ConnectionFailed):
            _finish(_execute(self.link, self.host, KILL, self.group))

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
