"""Writing what happens to a script into its logs: at its start, while it runs, and at its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from math import inf
from random import SystemRandom
from time import monotonic, sleep
from typing import Any

from django.db import DataError, IntegrityError, InterfaceError, OperationalError, connections, transaction
from django.db.models import F
from django.utils import timezone

from orchestration.models import ScriptLog
from orchestration.models.clock import now_plus
from orchestration.models.database import alias
from orchestration.models.logs import ScriptLogQuerySet
from orchestration.settings import options

from . import lease
from .section import STDERR, STDOUT, SectionRun
from .waiting import announce

_jitter = SystemRandom()
logger = logging.getLogger(__name__)
#: Characters of output written a second, at most: a long, slow output is written less often.
PACE = 16 * 1024
#: Seconds between two tries to write an end that the database did not take, and for all of them. More
#: than a lease is no risk: renewing it tells whether another worker has taken over.
PATIENCE, PERSISTENCE = 0.5, 600.0
REFUSED = "The database refused what it printed or returned; see the log of the process."
ORPHANED = "The worker that ran it vanished, so nobody saw its end."
#: What a section has printed before its first job.
NO_OUTPUT = {"stdout": "", "stderr": "", "stdout_size": 0, "stderr_size": 0}

#: The errors of a database that is away or busy, and may be back; and those of values that it cannot hold.
Away = (OperationalError, InterfaceError)
Refused = (DataError, IntegrityError, TypeError, ValueError)


class Recorder:
    """Writes the logs of one script, and keeps its lease alive; every write proves the lease first."""

    def __init__(self, claim: lease.Claim, sections: Sequence[SectionRun]) -> None:
        self.claim = claim
        self.unwritten = list(sections)
        self.names = {step.job.id: run.log.backend for run in sections for step in run.steps}
        self.pause = _backoff(max((run.log.attempt for run in sections), default=0))
        self._written: dict[int, tuple[int, int]] = {}
        self._next_write = monotonic() + 1
        self._next_renewal = monotonic() + options.LEASE / 4

    def start(self) -> bool:
        """Mark all sections as started; False, and nothing is written, when one waits no more."""
        changes = {"state": ScriptLog.STARTED, "reason": "", "not_before": None}
        waiting = _logs().waiting().filter(pk__in=[run.log.pk for run in self.unwritten])
        with transaction.atomic(using=alias()):
            lease.renew(self.claim)
            started = waiting.update(started_at=timezone.now(), epoch=self.claim.epoch, **changes)
            if started < len(self.unwritten):
                transaction.set_rollback(True, using=alias())
        return started == len(self.unwritten)

    def tick(self) -> None:
        """Renew the lease and write what is new, when it is time for it. Raises LeaseLost.

        While the database is away the script goes on: nobody else can take the lease then either. It also
        goes on when the database refuses what it printed; then nothing more is shown before its end.
        """
        now = monotonic()
        try:
            if now >= self._next_write and any(map(self._has_news, self.unwritten)):
                self._next_write = now + 1
                self._write_all(self._write_progress)
                self._next_write = now + max(1, sum(map(sum, self._written.values())) / PACE)
            elif now >= self._next_renewal:
                self._next_renewal = now + 1
                self._renew()
        except Refused as error:
            self._next_write = inf
            self._say_refused(error)
        except Away as error:
            self._bear(error)

    def finish(self) -> None:
        """Write the ends of all sections; a database that is away gets PERSISTENCE seconds to return."""
        deadline, write = monotonic() + PERSISTENCE, self._write_end
        while self.unwritten:
            try:
                self._write_all(write)
            except Refused as error:
                if write == self._write_bare_end:
                    raise
                self._say_refused(error)
                write = self._write_bare_end
            except Away as error:
                if monotonic() > deadline or connections[alias()].in_atomic_block:
                    raise
                self._bear(error)
                sleep(PATIENCE)

    def _say_refused(self, error: Exception) -> None:
        logger.error("Lane %s: the database refuses a result: %s", self.claim.lane, error)

    def _bear(self, error: Exception) -> None:
        """Say that the database is away, and let the next query open a new connection."""
        logger.warning("Lane %s: the database does not take the result: %s", self.claim.lane, error)
        if not connections[alias()].in_atomic_block:
            connections[alias()].close()

    def _renew(self) -> None:
        lease.renew(self.claim)
        self._next_renewal = monotonic() + options.LEASE / 4

    def _write_all(self, write: Callable[[SectionRun], None]) -> None:
        with transaction.atomic(using=alias()):
            self._renew()
            for run in self.unwritten:
                write(run)
        if any(run.is_over for run in self.unwritten):
            self.unwritten = [run for run in self.unwritten if not run.is_over]
            announce()

    def _write_progress(self, run: SectionRun) -> None:
        """Write the end of a section that has ended, and what the others have printed by now."""
        if not self._has_news(run):
            return
        if run.is_over:
            self._write_end(run)
            return
        self._written[run.log.pk] = _lengths(run)
        self._update(run, **_output(run))

    def _has_news(self, run: SectionRun) -> bool:
        return run.is_over or _lengths(run) != self._written.get(run.log.pk, (0, 0))

    def _write_end(self, run: SectionRun) -> None:
        """Write the final state of a section, or that it waits again: the only place that does."""
        outcome = run.outcome(self.names)
        changes: dict[str, Any] = {"state": outcome.state, "reason": outcome.reason}  # Any: columns
        if outcome.is_kept:
            again = {"attempt": F("attempt") + 1, "not_before": now_plus(self.pause), "started_at": None}
            self._update(run, **changes, **again, **NO_OUTPUT)
            return
        if outcome.state == ScriptLog.SUCCESS:
            changes["payload"] = None
        changes |= {"exit_code": outcome.exit_code, "traceback": outcome.traceback}
        changes |= {"results": outcome.results, "finished_at": timezone.now()}
        self._update(run, **changes, **_output(run))

    def _write_bare_end(self, run: SectionRun) -> None:
        """Write the final state without what a method said: the database refuses something in it."""
        outcome = run.outcome(self.names)
        if outcome.is_kept:
            self._write_end(run)
        else:
            end = {"state": outcome.state, "exit_code": outcome.exit_code, "finished_at": timezone.now()}
            self._update(run, reason=REFUSED, **end)

    def _update(self, run: SectionRun, **changes: object) -> None:
        mine = _logs().running().filter(pk=run.log.pk, epoch=self.claim.epoch)
        mine.update(**changes)


def rescue(claim: lease.Claim) -> None:
    """End what the lane's earlier owner left running: it cannot write any more, so nobody will know."""
    orphans = _logs().running().filter(lane=claim.lane)
    if orphans.update(state=ScriptLog.ABORTED, reason=ORPHANED, finished_at=timezone.now()):
        announce()


def _output(run: SectionRun) -> dict[str, object]:
    return {
        "stdout": run.text(STDOUT),
        "stderr": run.text(STDERR),
        "stdout_size": run.size(STDOUT),
        "stderr_size": run.size(STDERR),
    }


def _lengths(run: SectionRun) -> tuple[int, int]:
    return len(run.text(STDOUT)), len(run.text(STDERR))


def _backoff(attempt: int) -> float:
    """Return the seconds until the next try: jittered, so that many servers do not come at once."""
    longest = min(options.RETRY_PAUSE, 2.0 ** min(attempt, 30))
    return _jitter.uniform(longest / 10, longest)


def _logs() -> ScriptLogQuerySet:
    return ScriptLog.objects.using(alias())
