"""Servers in the admin: what they are, whose keys are trusted, how much waits there."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from orchestration.models import Lane, ScriptLog, Server
from orchestration.models.validators import host_key_lines

from . import display


def fingerprint(line: str) -> str:
    """Return the fingerprint of a pinned key as OpenSSH prints it."""
    *kind, blob = line.split()
    digest = hashlib.sha256(base64.b64decode(blob)).digest()
    return f"{' '.join(kind)} SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


@admin.register(Server)
class ServerAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Servers; nothing here opens a connection."""

    list_display = ["name", "address_display", "os", "connection", "is_active", "waiting", "failed"]
    list_filter = ["is_active", "connection", "os"]
    list_select_related = False
    search_fields = ["name", "address", "description"]
    readonly_fields = ["fingerprints"]
    fieldsets = [
        (None, {"fields": ["name", "address", "description", "os", "is_active"]}),
        (_("Connection"), {"fields": ["connection", "port", "user", "sudo"]}),
        (_("Identity"), {"fields": ["host_keys", "fingerprints"]}),
    ]

    class Media:
        css = {"all": [display.CSS]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Server]:
        """Count what waits and what failed in the same query."""
        servers: QuerySet[Server] = super().get_queryset(request)
        return servers.annotate(
            waiting_count=display.log_count("lane__server", ScriptLog.UNFINISHED),
            failed_count=display.log_count("lane__server", ScriptLog.RED),
        )

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:  # Any: Django's own signature
        """Let the server decide: nobody may delete lanes and logs by themselves."""
        to_delete, counts, missing, protected = super().get_deleted_objects(objs, request)
        missing -= {Lane._meta.verbose_name, ScriptLog._meta.verbose_name}
        return to_delete, counts, missing, protected

    @admin.display(description=_("address"), ordering="address")
    def address_display(self, server: Server) -> str:
        """Return the address, or the name of a server that has none."""
        return server.get_address()

    @admin.display(description=_("waiting"), ordering="waiting_count")
    def waiting(self, server: Any) -> SafeString:  # Any: has annotations
        """Return a link to what waits or runs there."""
        return _counted(server.waiting_count, server, ScriptLog.UNFINISHED)

    @admin.display(description=_("failed"), ordering="failed_count")
    def failed(self, server: Any) -> SafeString:  # Any: has annotations
        """Return a link to what failed there."""
        return _counted(server.failed_count, server, ScriptLog.RED)

    @admin.display(description=_("fingerprints"))
    def fingerprints(self, server: Server) -> SafeString | str:
        """Return the pinned keys as people compare them."""
        lines = [(fingerprint(line),) for line in host_key_lines(server.host_keys)]
        return format_html_join("", '<code class="orchestration-key">{}</code>', lines) or "-"


def _counted(count: int, server: Server, states: tuple[ScriptLog.State, ...]) -> SafeString:
    return display.logs_link(count, server__id__exact=server.pk, state__in=",".join(states))
