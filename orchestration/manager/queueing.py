"""From scripts to waiting rows, numbered in their lanes by the transaction that stores them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import OperationalError, transaction
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.utils import timezone

from orchestration import payloads
from orchestration.exceptions import LaneBusy
from orchestration.lanes import installation
from orchestration.lanes.output import storable
from orchestration.models import Installation, Lane, OperationLog, ScriptLog
from orchestration.models.clock import now_plus
from orchestration.models.database import alias
from orchestration.models.locks import lock_limit
from orchestration.scripts import Script, Section
from orchestration.settings import options

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


#: A lane's place: key of its server, and its name.
Place = tuple[int, str]
#: A section and its log.
Row = tuple[Section, ScriptLog]


def enqueue(
    scripts: Iterable[Script], *, unit: UUID, user: AbstractBaseUser | None = None, origin: str = ""
) -> Queued:
    """Store scripts, each with the next number of its lane.

    Call it last in the transaction of the change: from here to its end it holds the locks of the lanes,
    and so the numbers follow the order of commits. Raises LaneBusy when others are in the way.
    """
    scripts = list(scripts)
    if not scripts:
        return Queued(unit, [], [], [])
    with transaction.atomic(using=alias(), savepoint=False):
        lanes = _lanes({(script.server, script.lane) for script in scripts}, _author(user))
        rows = list(_number(scripts, lanes))
        author = next(iter(lanes.values())).author
        for _, log in rows:
            log.unit, log.user_id, log.origin = unit, author, storable(origin[:255])
        _insert(rows)
    return _queued(unit, [log for _, log in rows], {lane.pk: lane for lane in lanes.values()})


# Lanes and numbers


def _author(user: AbstractBaseUser | None) -> Subquery:
    """Return a query for the key of a user: none of one that has no row, or whose row this unit deleted."""
    users = get_user_model()._base_manager.all()
    found = users.filter(pk=user.pk) if isinstance(user, users.model) else users.none()
    return Subquery(found.values("pk")[:1])


def _lanes(places: set[Place], author: Subquery) -> dict[Place, Any]:  # Any: lanes with annotations
    """Return the lanes; missing ones are created before any lock is taken, so nobody deadlocks."""
    found = _find(places, author)
    if missing := sorted(places - found.keys()):
        lanes = [Lane(server_id=server, name=name) for server, name in missing]
        Lane.objects.using(alias()).bulk_create(lanes, ignore_conflicts=True)
        found = _find(places, author)
    if places - found.keys():  # MariaDB: deleted, or made behind the snapshot of REPEATABLE READ
        raise LaneBusy("The change was not stored: others change one of its servers just now. Try again.")
    return found


def _find(places: set[Place], author: Subquery) -> dict[Place, Any]:  # Any: lanes with annotations
    """Return the lanes that exist, with the author, and what decides whether somebody waits for them."""
    servers = defaultdict(list)
    for server, name in places:
        servers[name].append(server)
    which = [Q(name=name, server__in=keys) for name, keys in servers.items()]
    delayed = ScriptLog.objects.waiting().filter(lane=OuterRef("pk"), not_before__gt=now_plus())
    lanes = (
        Lane.objects.using(alias())
        .filter(reduce(or_, which))
        .annotate(
            is_active=F("server__is_active"),
            is_delayed=Exists(delayed),
            author=author,
            installation=Subquery(Installation.objects.values("name")[:1]),
        )
    )
    return {(lane.server_id, lane.name): lane for lane in lanes}


def _number(scripts: list[Script], lanes: dict[Place, Lane]) -> Iterator[Row]:
    """Yield a row for each section, numbered; the lanes are locked from here on."""
    keys = [lanes[script.server, script.lane].pk for script in scripts]
    numbers = _lock(set(keys))
    for script, lane in zip(scripts, keys, strict=True):
        for position, section in enumerate(script.sections):
            yield section, as_log(script, section, lane_id=lane, number=numbers[lane], position=position)
        numbers[lane] += 1
    _advance(Counter(keys))


def _lock(lanes: set[int]) -> dict[int, int]:
    """Lock lanes, all at once and always in the same order; return their next numbers."""
    rows = Lane.objects.using(alias()).filter(pk__in=lanes).order_by("pk").select_for_update()
    try:
        with lock_limit(options.LOCK_WAIT, alias()):
            return dict(rows.values_list("pk", "next_number"))
    except OperationalError as error:
        raise LaneBusy(
            f"The change was not stored: others hold the queue of a server for too long. Try again. ({error})"
        ) from error


def _advance(counts: Counter[int]) -> None:
    """Move the next numbers on; a unit has one script a lane, so that this is one statement."""
    for count in set(counts.values()):
        lanes = [lane for lane in counts if counts[lane] == count]
        Lane.objects.using(alias()).filter(pk__in=lanes).update(next_number=F("next_number") + count)


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
