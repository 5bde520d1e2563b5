"""From scripts to waiting rows, numbered in their lanes by the transaction that stores them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from orchestration import payloads
from orchestration.lanes import installation
from orchestration.lanes.output import storable
from orchestration.models import OperationLog, ScriptLog
from orchestration.models.database import alias
from orchestration.scripts import Script, Section

from .numbering import Locked, advance, lock_places
from .records import operation_rows

DISABLED = "Execution is disabled."
#: Characters of scripts in one INSERT: MariaDB takes 16 MiB, unless it is configured for more.
BATCH_SIZE = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Queued:
    """What a unit of work has stored."""

    unit: UUID
    logs: list[ScriptLog]
    #: Keys of the lanes to wake after COMMIT.
    lanes: list[int]
    #: Keys of the logs that whoever made the change waits for.
    waited: list[int]


#: A section and its log.
Row = tuple[Section, ScriptLog]


def enqueue(
    scripts: Iterable[Script],
    *,
    unit: UUID,
    user: AbstractBaseUser | None = None,
    origin: str = "",
    locked: Locked | None = None,
) -> Queued:
    """Store scripts, each with the next number of its lane.

    Call it last in the transaction of the change: to its end it holds the locks of the lanes, and so the
    numbers follow the order of commits. ``locked`` are lanes that were locked before the scripts were
    written. Raises LaneBusy when others are in the way.
    """
    scripts = list(scripts)
    if not scripts:
        return Queued(unit, [], [], [])
    with transaction.atomic(using=alias(), savepoint=False):
        locked = _lock_all(scripts, locked or Locked(), user)
        rows = list(_number(scripts, locked))
        for _, log in rows:
            log.unit, log.user_id, log.origin = unit, locked.author, storable(origin[:255])
        _insert(rows)
    return _queued(unit, [log for _, log in rows], {lane.pk: lane for lane in locked.lanes.values()})


def _lock_all(scripts: list[Script], locked: Locked, user: AbstractBaseUser | None) -> Locked:
    """Lock what is not locked yet: all lanes, or those of objects that a route takes only now."""
    missing = {(script.server, script.lane) for script in scripts} - locked.lanes.keys()
    more = lock_places(missing, user)
    return Locked(locked.lanes | more.lanes, locked.numbers | more.numbers)


def _number(scripts: list[Script], locked: Locked) -> Iterator[Row]:
    """Yield a row for each section, numbered in its lane."""
    numbers = dict(locked.numbers)
    keys = [locked.lanes[script.server, script.lane].pk for script in scripts]
    for script, lane in zip(scripts, keys, strict=True):
        for position, section in enumerate(script.sections):
            yield section, as_log(script, section, lane_id=lane, number=numbers[lane], position=position)
        numbers[lane] += 1
    advance(Counter(keys))


# Rows


def as_log(script: Script, section: Section, **place: int) -> ScriptLog:
    """Return the row of a section as it is first stored; ``place`` are its lane, number and position."""
    log = ScriptLog(
        backend=section.backend,
        server_id=script.server,
        server_name=script.server_name,
        route_id=section.route,
        background=section.background,
        script=storable(section.shown),
        **place,
    )
    if not section.groups:
        log.state, log.finished_at = ScriptLog.NOTHING, timezone.now()
    elif installation.is_disabled():
        log.state, log.reason, log.finished_at = ScriptLog.REVOKED, DISABLED, timezone.now()
    else:
        log.payload = payloads.dump(section)
    return log


def _insert(rows: list[Row]) -> None:
    """Insert logs and their operations, and tie those together that start one after the other."""
    logs = ScriptLog.objects.using(alias())
    for batch in _batches(log for _, log in rows):
        logs.bulk_create(batch)
    followers = list(_follow(rows))
    if followers:
        logs.bulk_update(followers, ["follows"])
    operations = [row for section, log in rows for row in operation_rows(section, log)]
    OperationLog.objects.using(alias()).bulk_create(operations)


def _batches(logs: Iterable[ScriptLog]) -> Iterator[list[ScriptLog]]:
    """Yield logs in lists whose texts fit into one statement."""
    batch: list[ScriptLog] = []
    room = BATCH_SIZE
    for log in logs:
        size = len(log.script) + len(log.payload or b"")
        if batch and size > room:
            yield batch
            batch, room = [], BATCH_SIZE
        batch.append(log)
        room -= size
    yield batch


def _follow(rows: list[Row]) -> Iterator[ScriptLog]:
    """Let each serialized section follow the same backend's section on the server before."""
    last: dict[str, ScriptLog] = {}
    for section, log in rows:
        if section.serialize and not log.is_finished:
            if section.backend in last:
                log.follows = last[section.backend]
                yield log
            last[section.backend] = log


def _queued(unit: UUID, logs: list[ScriptLog], lanes: dict[int | None, Any]) -> Queued:  # Any: as in _find
    waiting = [log for log in logs if not log.is_finished]
    waited = [log.pk for log in waiting if not log.background and _is_moving(lanes, log)]
    return Queued(unit, logs, sorted({log.lane_id for log in waiting if log.lane_id}), waited)


def _is_moving(lanes: dict[int | None, Any], log: ScriptLog) -> bool:  # Any: as in _find
    """Tell whether work of a lane may end soon: its server is neither out of reach nor out of use."""
    lane = lanes[log.lane_id]
    return lane.is_active and not lane.is_delayed and not installation.is_foreign(lane.installation)
