"""Numbering: the lanes of a unit, locked all at once, and the numbers that its scripts get there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import OperationalError, transaction
from django.db.models import Exists, F, OuterRef, Q, Subquery

from orchestration.exceptions import LaneBusy
from orchestration.models import Installation, Lane, ScriptLog
from orchestration.models.clock import now_plus
from orchestration.models.database import alias
from orchestration.models.locks import lock_limit
from orchestration.operations import Operation
from orchestration.router import Router
from orchestration.settings import options

#: A lane's place: key of its server, and its name.
Place = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Locked:
    """Lanes that a transaction has locked: to its end, nobody else stores scripts there."""

    #: With what decides whether somebody waits for their work.
    lanes: dict[Place, Any] = field(default_factory=dict)  # Any: lanes with annotations
    #: The next number of each lane, by its key.
    numbers: dict[int, int] = field(default_factory=dict)

    @property
    def author(self) -> int | None:
        """Return the key of the user, if there is one with a row."""
        return next((lane.author for lane in self.lanes.values()), None)


def route(operations: Iterable[Operation], router: Router) -> list[Operation]:
    """Return the operations with their targets. Raises RouteBroken."""
    return [replace(operation, targets=router.targets(operation)) for operation in operations]


def lock(operations: Iterable[Operation], *, user: AbstractBaseUser | None = None) -> Locked:
    """Lock the lanes of routed operations, before their scripts are written.

    What others committed for these servers is then seen, and what they do later comes later: of two who
    change different rows that one script is written from, the second has both changes in its script.
    Raises LaneBusy when others are in the way.
    """
    return lock_places(
        {(target.server, each.backend.lane) for each in operations for target in each.targets or ()}, user
    )


def lock_places(places: set[Place], user: AbstractBaseUser | None) -> Locked:
    """Lock lanes, all at once; those that are missing are created."""
    if not places:
        return Locked()
    with transaction.atomic(using=alias(), savepoint=False):
        lanes = _lanes(places, _author(user))
        return Locked(lanes, _lock({lane.pk for lane in lanes.values()}))


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


def advance(counts: Counter[int]) -> None:
    """Move the next numbers on; a unit has one script a lane, so that this is one statement."""
    for count in set(counts.values()):
        lanes = [lane for lane in counts if counts[lane] == count]
        Lane.objects.using(alias()).filter(pk__in=lanes).update(next_number=F("next_number") + count)
