"""What is next in a lane, and when; and which lanes have been left alone with due work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, Exists, OuterRef, Q, Subquery, When

from orchestration.models import Lane, ScriptLog, Server
from orchestration.models.clock import now_plus
from orchestration.models.database import alias
from orchestration.models.logs import ScriptLogQuerySet

from . import installation, lease

#: What a run does not read: it may be big.
UNREAD = ("script", "stdout", "stderr", "traceback", "results")


@dataclass(frozen=True, slots=True)
class Head:
    """The first script of a lane that waits: its logs in order, those that have ended included."""

    server: Server
    #: UUID of the lane, 32 hexadecimal digits.
    lane: str
    logs: tuple[ScriptLog, ...]
    #: Seconds until it may start; None: until something else happens.
    pause: float | None

    @property
    def is_retry(self) -> bool:
        """Tell whether it was tried before, and did not get through."""
        return any(log.attempt and not log.is_finished for log in self.logs)


def head(lane: int) -> Head | None:
    """Return the script that is next in a lane; None when nothing waits."""
    first = _logs().waiting().filter(lane=lane).order_by("number").values("number")[:1]
    logs = list(
        _logs()
        .filter(lane=lane, number=Subquery(first))
        .annotate(clock=now_plus(), is_blocked=Case(When(_is_blocked(), then=True), default=False))
        .select_related("server", "lane")
        .defer(*UNREAD)
        .order_by("position")
    )
    if not logs:
        return None
    server, queue = logs[0].server, logs[0].lane
    assert server is not None and queue is not None, "both stay while work waits"  # noqa: PT018
    return Head(server, queue.uuid.hex, tuple(logs), _pause(server, logs))


def _is_blocked() -> Q:
    """Say when a log waits for the one that it follows: not when that one's server is out of reach."""
    starts = Q(follows__state=ScriptLog.RECEIVED, follows__attempt=0, follows__server__is_active=True)
    return Q(follows__state=ScriptLog.STARTED) | starts


def _pause(server: Server, logs: list[Any]) -> float | None:  # Any: logs with annotations
    waiting = [log for log in logs if log.state == ScriptLog.RECEIVED]
    if not waiting or not server.is_active or any(log.is_blocked for log in waiting):
        return None
    return max(_seconds_left(log.not_before, log.clock) for log in waiting)


def _seconds_left(moment: datetime | None, clock: datetime) -> float:
    return max((moment - clock).total_seconds(), 0) if moment else 0


def due() -> list[int]:
    """Return the lanes with due work, or with work of a vanished worker, that nobody drains."""
    if not installation.may_act():
        return []
    logs = _logs().filter(lane=OuterRef("pk"))
    first = logs.waiting().order_by("number").values("number")[:1]
    later = logs.waiting().filter(Q(not_before__gt=now_plus()) | _is_blocked(), number=OuterRef("head"))
    is_free = Q(lease=None) | lease.free("lease__")
    lanes = Lane.objects.using(alias()).filter(is_free).annotate(head=Subquery(first))
    is_due = Q(head__isnull=False, server__is_active=True) & ~Exists(later)
    return list(lanes.filter(is_due | Exists(logs.running())).values_list("pk", flat=True))


def _logs() -> ScriptLogQuerySet:
    return ScriptLog.objects.using(alias())
