"""Lanes in the admin: how long each queue is, and who works on it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from orchestration.models import Lane, Lease, ScriptLog

from . import display
from .readonly import ReadOnly


@admin.register(Lane)
class LaneAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """The queues of the servers, to be read only."""

    list_display = ["__str__", "waiting", "worker", "expires_at", "next_number"]
    list_filter = ["server"]
    list_select_related = ["server", "lease"]
    fieldsets = [
        (None, {"fields": ["server", "name", "uuid", "next_number", "waiting"]}),
        (_("Lease"), {"fields": ["worker", "expires_at"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Lane]:
        """Count what waits in the same query."""
        lanes: QuerySet[Lane] = super().get_queryset(request)
        return lanes.annotate(waiting_count=display.log_count("lane", ScriptLog.UNFINISHED))

    @admin.display(description=_("waiting"), ordering="waiting_count")
    def waiting(self, lane: Any) -> SafeString:  # Any: has the annotation
        """Return a link to what waits or runs in the lane."""
        return display.logs_link(
            lane.waiting_count, lane__id__exact=lane.pk, state__in=",".join(ScriptLog.UNFINISHED)
        )

    @admin.display(description=_("worker"))
    def worker(self, lane: Lane) -> str:
        """Return who drains the lane."""
        lease = _lease(lane)
        return lease.owner if lease else ""

    @admin.display(description=_("expires"))
    def expires_at(self, lane: Lane) -> datetime | None:
        """Return until when the worker owns the lane without a sign of life."""
        lease = _lease(lane)
        return lease.expires_at if lease else None


def _lease(lane: Lane) -> Lease | None:
    lease: Lease | None = getattr(lane, "lease", None)
    return lease
