"""Script logs in the admin: what ran where, for whom, and how it ended."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from orchestration.backends import ServiceBackend
from orchestration.models import OperationLog, ScriptLog

from . import display
from .operations import SHOWN, OperationInline
from .pages import UncountedPaginator
from .readonly import ReadOnly

#: Columns that may be megabytes: no list reads them.
BIG = ("script", "stdout", "stderr", "traceback", "results")
#: Operations that the list names for each log.
NAMED = 3


class BackendFilter(admin.SimpleListFilter):
    """By installed backend: to find the names in the table would read all of it."""

    title = _("backend")
    parameter_name = "backend"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the names of the backends that are installed."""
        return sorted((backend.get_name(), backend.get_name()) for backend in ServiceBackend.get_backends())

    def queryset(self, request: HttpRequest, queryset: QuerySet[ScriptLog]) -> QuerySet[ScriptLog]:
        """Return the logs of the chosen backend."""
        return queryset.filter(backend=self.value()) if self.value() else queryset


class LogList(ChangeList):
    """Reads small columns only, and the first operations of each log."""

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[ScriptLog]:
        """Return the logs of the list; one more query finds their operations."""
        logs: QuerySet[ScriptLog] = super().get_queryset(request, *args, **kwargs)
        first = OperationLog.objects.order_by("id")[: NAMED + 1]
        return logs.defer(*BIG).prefetch_related(Prefetch("operations", queryset=first, to_attr="first"))


@admin.register(ScriptLog)
class ScriptLogAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """The list of logs and the page of each, to be read only."""

    list_display = ["backend", "state_display", "server_name", "operations_display", "created_at", "duration"]
    list_filter = ["state", "server", BackendFilter]
    list_select_related = False
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    inlines = [OperationInline]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("state_display", "exit_code", "duration"),
                    "reason",
                    ("backend", "server_display", "total"),
                ]
            },
        ),
        (_("Script"), {"fields": ["script_display"]}),
        (_("Output"), {"fields": ["stdout_display", "stderr_display", "traceback_display", "results"]}),
        (_("Cause"), {"fields": [("user", "origin"), ("route", "unit_display")]}),
        (
            _("Queue"),
            {
                "fields": [
                    ("lane", "number", "position"),
                    ("attempt", "not_before", "retry_of"),
                    ("created_at", "started_at", "finished_at"),
                ]
            },
        ),
    ]

    class Media:
        css = {"all": [display.CSS]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScriptLog]:
        """Leave what runs in the database: it is encrypted, and nobody's to see."""
        logs: QuerySet[ScriptLog] = super().get_queryset(request)
        return logs.defer("payload")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that leaves big columns alone."""
        return LogList

    def get_paginator(
        self, request: HttpRequest, queryset: QuerySet[Any], per_page: int, *args: Any, **kwargs: Any
    ) -> UncountedPaginator:
        """Return the paginator that does not count."""
        return UncountedPaginator.for_request(request, queryset, per_page)

    @admin.display(description=_("state"))
    def state_display(self, log: ScriptLog) -> SafeString:
        """Return the state in its colour."""
        return display.state(log)

    @admin.display(description=_("operations"))
    def operations_display(self, log: ScriptLog) -> str:
        """Return what the log did, shortened."""
        first: list[OperationLog] = log.first  # type: ignore[attr-defined]  # set by LogList
        named = [f"{operation.action} {operation.instance_repr}" for operation in first[:NAMED]]
        return ", ".join(named + ["…"] * (len(first) > NAMED))

    @admin.display(description=_("number of operations"))
    def total(self, log: ScriptLog) -> str:
        """Return how many operations there are; the page shows the first ones."""
        count = log.operations.count()
        if count <= SHOWN:
            return str(count)
        return _("%(count)d; the first %(shown)d are below") % {"count": count, "shown": SHOWN}

    @admin.display(description=_("duration"))
    def duration(self, log: ScriptLog) -> str:
        """Return how long it ran."""
        if not (log.started_at and log.finished_at):
            return "-"
        return f"{(log.finished_at - log.started_at).total_seconds():.2f} s"

    @admin.display(description=_("server"))
    def server_display(self, log: ScriptLog) -> SafeString | str:
        """Return a link to the server, or its name when it was deleted."""
        return display.link(log.server) if log.server else f"{log.server_name} ({_('deleted')})"

    @admin.display(description=_("unit of work"))
    def unit_display(self, log: ScriptLog) -> SafeString:
        """Return a link to all logs of the same request or command."""
        return display.logs_link(log.unit, unit=log.unit)

    @admin.display(description=_("script"))
    def script_display(self, log: ScriptLog) -> SafeString:
        """Return the masked script."""
        return display.block(log.script)

    @admin.display(description=_("output"))
    def stdout_display(self, log: ScriptLog) -> SafeString:
        """Return what it printed."""
        return display.block(log.stdout, size=log.stdout_size)

    @admin.display(description=_("error output"))
    def stderr_display(self, log: ScriptLog) -> SafeString:
        """Return what it printed as errors."""
        return display.block(log.stderr, size=log.stderr_size)

    @admin.display(description=_("traceback"))
    def traceback_display(self, log: ScriptLog) -> SafeString:
        """Return where our own side broke."""
        return display.block(log.traceback)
