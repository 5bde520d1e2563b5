"""Lane: a queue of one server; Lease: who drains it now."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from .servers import Server


class Lane(models.Model):
    """A queue of scripts of one server, applied strictly in the order of their numbers."""

    id = models.BigAutoField(primary_key=True)
    server = models.ForeignKey(Server, models.CASCADE, related_name="lanes", verbose_name=_("server"))
    name = models.CharField(_("name"), max_length=64, blank=True, default="")
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    #: The number of the next script; the row's lock makes numbers follow the order of commits.
    next_number = models.PositiveBigIntegerField(default=1, editable=False)

    class Meta:
        verbose_name = _("lane")
        verbose_name_plural = _("lanes")
        constraints = [models.UniqueConstraint(fields=["server", "name"], name="orchestration_lane_unique")]

    def __str__(self) -> str:
        return f"{self.server}/{self.name}" if self.name else str(self.server)


class Lease(models.Model):
    """The right to drain a lane until it expires: a row of its own, so that no request waits for it."""

    lane = models.OneToOneField(Lane, models.CASCADE, primary_key=True, related_name="lease")
    #: Id of the worker that holds it; empty: nobody.
    owner = models.CharField(max_length=64, blank=True, default="")
    #: Counts the owners: a write of an earlier one is refused.
    epoch = models.PositiveBigIntegerField(default=0)
    #: On the database's clock.
    expires_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("lease")
        verbose_name_plural = _("leases")

    def __str__(self) -> str:
        return f"{self.lane_id} #{self.epoch}"
