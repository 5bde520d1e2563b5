"""Plain exec: runs jobs on a host that has no python3, and so no runner.

All texts of a unit are sent first, and the far end counts them: a link that is cut before the last byte
runs nothing. Then each job is one command with a process group of its own. Limits, caps and the end of
a cancelled job are up to this side: it kills by a command of its own.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

from orchestration.exceptions import CannotStart, ConnectionFailed, ConnectionLost, ServerFull
from orchestration.methods.channel import Channel
from orchestration.scripts import Done, Event, Host, Unit

from .process import Process
from .shell import RECEIVE, REMOVE, PlainLink, await_answer, execute, finish, turned

#: Bytes in a second that the slowest of links carries.
SLOWEST = 100_000


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
    processes = [Process(link, host, unit, job) for job in unit.jobs]
    folder = _send(link, host, unit, mark)
    succeeded: set[str] = set()
    try:
        for number, process in enumerate(processes, start=1):
            job = process.job
            missing = next((need for need in job.needs if need not in succeeded), "")
            if missing:
                yield Done(job.id, skipped=missing)
                continue
            done = yield from process.run(mark, f"{folder}/{number}")
            yield done
            if done.is_success:
                succeeded.add(job.id)
    finally:
        finish(link, host, REMOVE, folder)


def _send(link: PlainLink, host: Host, unit: Unit, mark: str) -> str:
    """Send all texts; return the folder that has them at the far end."""
    texts = [job.text for job in unit.jobs]
    total = sum(map(len, texts))
    channel = execute(link, host, RECEIVE, mark, total, *map(len, texts))
    with contextlib.closing(channel):
        with turned(ConnectionLost, ConnectionFailed):  # it did not take all, so nothing can run
            channel.send(b"".join(texts))
        (word, *rest), _ = await_answer(channel, mark, patience=total / SLOWEST)
        if word == "ready":
            return rest[0]
        raise _refusal(host, channel, word)


def _refusal(host: Host, channel: Channel, word: str) -> Exception:
    if word == "full":
        return ServerFull(
            f"{host.name} has no space for the script in its temporary folder, or no such folder."
        )
    status, said = channel.exit_status(), channel.stderr_text().strip()[-500:]
    if status is None:
        return ConnectionFailed(f"The link to {host.name} was cut while the script was sent: nothing ran.")
    return CannotStart(f"The login shell of {host.name} runs no commands (exit status {status}): {said}")
