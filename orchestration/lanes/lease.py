"""The right of one worker to drain a lane, until it expires on the database's clock."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass

from django.db.models import F, Q, QuerySet

from orchestration.exceptions import LeaseLost
from orchestration.models import Lane, Lease
from orchestration.models.clock import now_plus
from orchestration.models.database import alias
from orchestration.settings import options


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease that this worker has taken. ``epoch`` tells it from those of earlier owners."""

    lane: int
    owner: str
    epoch: int


def free(prefix: str = "") -> Q:
    """Return the condition under which anybody may take a lease; of a lane with prefix ``lease__``."""
    return Q(**{f"{prefix}owner": ""}) | Q(**{f"{prefix}expires_at__lt": now_plus()})


def claim(lane: int) -> Claim | None:
    """Take the lease of a lane; None when another worker has it."""
    owner = f"{socket.gethostname()[:24]}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
    if not _take(lane, owner) and not (_create(lane) and _take(lane, owner)):
        return None
    return Claim(lane, owner, _leases().values_list("epoch", flat=True).get(lane=lane))


def _take(lane: int, owner: str) -> bool:
    leases = _leases().filter(free(), lane=lane)
    changes = {"owner": owner, "epoch": F("epoch") + 1, "expires_at": now_plus(options.LEASE)}
    return leases.update(**changes) == 1


def _create(lane: int) -> bool:
    """Create the row of a lane that nobody has drained yet; False when it was there, or the lane is gone."""
    if not Lane.objects.using(alias()).filter(pk=lane, lease=None).exists():
        return False
    _leases().bulk_create([Lease(lane_id=lane)], ignore_conflicts=True)
    return True


def renew(claim: Claim) -> None:
    """Extend the lease. Raises LeaseLost when another worker has taken it, however late we are."""
    if not _held(claim).update(expires_at=now_plus(options.LEASE)):
        raise LeaseLost(f"Another worker has taken over lane {claim.lane}.")


def release(claim: Claim) -> None:
    """Give the lease back, unless somebody else has it already."""
    _held(claim).update(owner="", expires_at=None)


def _held(claim: Claim) -> QuerySet[Lease]:
    return _leases().filter(lane=claim.lane, owner=claim.owner, epoch=claim.epoch)


def _leases() -> QuerySet[Lease]:
    return Lease.objects.using(alias())
