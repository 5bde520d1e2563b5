"""Draining a lane: whoever does it takes the lease, runs what is due in order, and gives the lease back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestration.exceptions import LeaseLost
from orchestration.models import ScriptLog
from orchestration.models.database import alias

from . import installation, lease
from .head import Head, head
from .recording import Recorder, rescue
from .running import ScriptRun
from .section import prepare

#: Scripts of one lane in a row, before other lanes get their turn.
BATCH = 20


@dataclass(frozen=True, slots=True)
class Rest:
    """What remains after a drain, for the executor that asked for it."""

    #: Seconds after which the lane should be drained again, 0: at once; None: nothing to do there.
    again: float | None = None
    #: Other lanes whose scripts waited for those that have ended now.
    wake: frozenset[int] = frozenset()
    #: Its next script was tried before, and did not get through.
    is_troubled: bool = False


def drain(lane: int, *, stop: Callable[[], bool] = lambda: False) -> Rest:
    """Run what is due in a lane, unless another worker does; ``stop`` is asked between two scripts.

    Work that arrives while the lease is held is seen by the look after its release, so no wake-up is lost.
    """
    if not installation.may_act():
        return Rest()
    claim = lease.claim(lane)
    if claim is None:
        return Rest()
    try:
        wake = _work(claim, stop)
    except LeaseLost:
        return Rest()
    finally:
        lease.release(claim)
    following = head(lane)
    if following is None:
        return Rest(wake=wake)
    return Rest(following.pause, wake, following.is_retry)


def _work(claim: lease.Claim, stop: Callable[[], bool]) -> frozenset[int]:
    """Run scripts in order, up to BATCH; return the lanes that waited for one of them."""
    rescue(claim)
    freed: set[int] = set()
    for _ in range(BATCH):
        following = head(claim.lane)
        if stop() or following is None or following.pause != 0:
            break
        freed |= _run(claim, following)
    return frozenset(freed)


def _run(claim: lease.Claim, following: Head) -> set[int]:
    """Run one script and write how it ended; return the lanes that waited for it."""
    sections = prepare(following.server, following.logs)
    recorder = Recorder(claim, sections)
    if not recorder.start():
        return set()  # somebody cancelled a part of it: the next look shows what is left
    epoch = claim.epoch
    ScriptRun(following.server, sections, lane=following.lane, epoch=epoch, tick=recorder.tick).run()
    recorder.finish()
    return _followers([run.log.pk for run in sections if run.section.serialize])


def _followers(logs: list[int]) -> set[int]:
    """Return the lanes of the scripts that waited for these logs."""
    if not logs:
        return set()
    followers = ScriptLog.objects.using(alias()).waiting().filter(follows__in=logs, lane__isnull=False)
    return set(followers.values_list("lane", flat=True))
