"""Running one script: its jobs go to their methods, consecutive ones of a method in one exchange."""

from __future__ import annotations

import itertools
import traceback
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import cast

from orchestration import methods
from orchestration.exceptions import CannotStart, ConnectionFailed, ConnectionLost, LeaseLost
from orchestration.models import Server
from orchestration.scripts import Done, Event, Job, Output, Unit
from orchestration.settings import options

from .outcome import End, Kept, Lost, is_success
from .section import SectionRun

Tick = Callable[[], None]

#: The end of a job that comes earlier in the same exchange: the method looks at it.
PENDING = Done("", status=0)
UNSEEN = "The method stopped without saying how it ended."


class ScriptRun:
    """One script on its way to its server; ``tick`` is called whenever something happened."""

    def __init__(
        self, server: Server, sections: Sequence[SectionRun], *, lane: str, epoch: int, tick: Tick
    ) -> None:
        self.host = server.as_host()
        self.lane, self.epoch, self.tick = lane, epoch, tick
        self.sections = sections
        self.owners = {step.job.id: run for run in sections for step in run.steps}
        #: The ends of all jobs so far: the sections share them.
        self.ends = sections[0].ends
        #: Why the rest of the script waits for another try.
        self.kept = next((end for end in self.ends.values() if isinstance(end, Kept)), None)

    def run(self) -> None:
        """Run all jobs that have no end yet; each has one afterwards. Raises only what ``tick`` raises."""
        steps = (step for run in self.sections for step in run.steps if step.job.id not in run.ends)
        for method, group in itertools.groupby(steps, key=lambda step: step.method):
            self._exchange(method, [step.job for step in group])

    def _exchange(self, method: str, jobs: Sequence[Job]) -> None:
        """Give the jobs that may run to their method; each has an end afterwards."""
        ready = [job for job in jobs if self._may_run(job)]
        if not ready:
            return
        try:
            self._converse(method, ready)
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001  whatever a method raises ends its script, never the lane
            self._end_rest(ready, _end_of(error))
        else:
            self._end_rest(ready, lambda job: Lost(UNSEEN))

    def _may_run(self, job: Job) -> bool:
        """Tell whether a job may be handed over; else give it its end."""
        if self.kept:
            self._end(job.id, self.kept)
            return False
        failed = next((need for need in job.needs if not is_success(self.ends.get(need, PENDING))), None)
        if failed:
            self._end(job.id, Done(job.id, skipped=failed))
        return not failed

    def _converse(self, method: str, jobs: Sequence[Job]) -> None:
        unit = Unit(
            id=uuid.uuid4().hex,
            lane=self.lane,
            epoch=self.epoch,
            jobs=tuple(replace(job, needs=self._open_needs(job)) for job in jobs),
            cap=options.OUTPUT_CAP,
            tail=options.OUTPUT_TAIL,
        )
        events = cast("Generator[Event]", methods.get(method).run(self.host, unit))
        with closing(events):  # whatever happens here, the method learns at once that nobody listens
            for event in events:
                self._take(event)

    def _open_needs(self, job: Job) -> tuple[str, ...]:
        """Return the needs that this exchange decides; the others are met."""
        return tuple(need for need in job.needs if need not in self.ends)

    def _take(self, event: Event) -> None:
        match event:
            case Output(job=job):
                self.owners[job].print(event)
            case Done(job=job):
                self._end(job, event)
        self.tick()

    def _end_rest(self, jobs: Sequence[Job], end: Callable[[str], End]) -> None:
        for job in jobs:
            if job.id not in self.ends:
                self._end(job.id, end(job.id))

    def _end(self, job: str, end: End) -> None:
        self.kept = end if isinstance(end, Kept) else self.kept
        self.owners[job].end(job, end)


def _end_of(error: Exception) -> Callable[[str], End]:
    """Return how the jobs ended whose end was not seen before this error."""
    sentence = str(error) or type(error).__doc__ or type(error).__name__
    match error:
        case ConnectionFailed():
            return lambda job: Kept(sentence)
        case ConnectionLost():
            return lambda job: Lost(sentence)
        case CannotStart():
            return lambda job: Done(job, error=sentence)
    text = "".join(traceback.format_exception(error))
    sentence = f"The method broke: {type(error).__name__}: {error}"
    return lambda job: Done(job, error=sentence, traceback=text)
