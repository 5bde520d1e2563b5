"""Waiting for scripts: woken by this process, and looking for what other processes do."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable

from django.db.models import Exists, OuterRef

from orchestration.models import ScriptLog
from orchestration.models.clock import now_plus
from orchestration.models.database import alias
from orchestration.settings import options

#: Seconds between two looks: the first one, and the longest.
FIRST_LOOK, LONGEST_LOOK = 0.02, 0.5

_changed = threading.Condition()
_changes = 0


def _begin() -> None:
    """Start from nothing in a forked child: a thread of the parent may hold the lock for ever."""
    global _changed
    _changed = threading.Condition()


os.register_at_fork(after_in_child=_begin)


def announce() -> None:
    """Tell whoever waits in this process that something ended."""
    global _changes
    with _changed:
        _changes += 1
        _changed.notify_all()


def wait(
    pks: Iterable[int], *, seconds: float | None = None, remind: Callable[[], object] | None = None
) -> list[ScriptLog]:
    """Wait until these logs have ended, at most ``seconds``; return them as they are then, by pk.

    What cannot go on now is not waited for: its server is inactive or was out of reach a moment ago.
    ``remind`` is called every ``options.POLL`` seconds: who drained the lane before may have vanished.
    """
    pks = list(pks)
    deadline = time.monotonic() + seconds if seconds is not None else None
    look, reminder = FIRST_LOOK, time.monotonic() + options.POLL
    while True:
        seen = _changes
        left = deadline - time.monotonic() if deadline is not None else look
        if not _has_moving(pks) or left <= 0:
            break
        _wait_for_change(seen, min(look, left))
        look = min(look * 2, LONGEST_LOOK)
        if remind and time.monotonic() > reminder:
            remind()
            reminder = time.monotonic() + options.POLL
    return list(ScriptLog.objects.using(alias()).filter(pk__in=pks).defer("payload").order_by("pk"))


def _wait_for_change(seen: int, seconds: float) -> None:
    with _changed:
        _changed.wait_for(lambda: _changes != seen, seconds)


def _has_moving(pks: list[int]) -> bool:
    """Tell whether some of the logs wait or run, and can go on."""
    logs = ScriptLog.objects.using(alias())
    delayed = logs.waiting().filter(
        lane=OuterRef("lane"), number__lte=OuterRef("number"), not_before__gt=now_plus()
    )
    active = logs.unfinished().filter(pk__in=pks, server__is_active=True)
    return active.exclude(Exists(delayed)).exists()
