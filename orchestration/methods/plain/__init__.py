"""Plain exec: runs jobs on a host that has no python3, and so no runner.

All texts of a unit are sent first, and the far end counts them: a link that is cut before the last byte
runs nothing. Then each job is one command with a process group of its own, while another keeps the texts,
and kills what is to be killed. Limits and caps are up to this side.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from orchestration.scripts import Done, Event, Host, Unit

from .keeper import Keeper
from .process import Process
from .shell import PlainLink


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
    keeper = Keeper(link, host)
    processes = [Process(keeper, unit, job) for job in unit.jobs]
    succeeded: set[str] = set()
    with contextlib.closing(keeper):
        keeper.receive([job.text for job in unit.jobs])
        for number, process in enumerate(processes, start=1):
            job = process.job
            missing = next((need for need in job.needs if need not in succeeded), "")
            if missing:
                yield Done(job.id, skipped=missing)
                continue
            done = yield from process.run(number)
            yield done
            if done.is_success:
                succeeded.add(job.id)
