"""Notices: what a person is told about the scripts of a request, as Django messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from django.contrib import messages
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .failures import wants_json
from .models import ScriptLog

T = TypeVar("T")

State = ScriptLog.State
#: Level and text of a message.
Notice = tuple[int, str]


def add(request: HttpRequest, logs: Sequence[ScriptLog]) -> None:
    """Leave messages about what ran, failed, waits or goes on, with a link for those who may read logs."""
    if not hasattr(request, "_messages") or wants_json(request):
        return
    url = _url(request, logs)
    for level, text in notices(logs):
        messages.add_message(request, level, format_html('<a href="{}">{}</a>', url, text) if url else text)


def notices(logs: Sequence[ScriptLog]) -> Iterator[Notice]:
    """Return levels and texts, the worst first; sections without content are not worth a word."""
    told = [log for log in logs if log.state != State.NOTHING]
    yield from _failed(told)
    yield from _revoked(told)
    yield from _waiting(told)
    yield from _going_on(told)
    yield from _done(told)


def _failed(logs: list[ScriptLog]) -> Iterator[Notice]:
    if failed := sum(log.has_failed for log in logs):
        text = ngettext(
            "%(failed)d of %(count)d script failed.", "%(failed)d of %(count)d scripts failed.", len(logs)
        )
        yield messages.ERROR, text % {"failed": failed, "count": len(logs)}


def _revoked(logs: list[ScriptLog]) -> Iterator[Notice]:
    for reason in _distinct(log.reason for log in logs if log.state == State.REVOKED):
        yield messages.WARNING, _("Not run: %(reason)s") % {"reason": reason}


def _waiting(logs: list[ScriptLog]) -> Iterator[Notice]:
    for server, reason in _distinct((log.server_name, _hindrance(log)) for log in logs):
        if reason:
            values = {"server": server, "reason": reason}
            yield messages.WARNING, _("Scripts wait for %(server)s: %(reason)s") % values


def _going_on(logs: list[ScriptLog]) -> Iterator[Notice]:
    if count := sum(not log.is_finished and not _hindrance(log) for log in logs):
        text = ngettext(
            "%(count)d script goes on in the background.", "%(count)d scripts go on in the background.", count
        )
        yield messages.INFO, text % {"count": count}


def _done(logs: list[ScriptLog]) -> Iterator[Notice]:
    if count := sum(log.state == State.SUCCESS for log in logs):
        text = ngettext("%(count)d script was executed.", "%(count)d scripts were executed.", count)
        yield messages.SUCCESS, text % {"count": count}


def _hindrance(log: ScriptLog) -> str:
    """Return why a log waits, if it is not just its turn."""
    if log.state != State.RECEIVED:
        return ""
    if log.server is not None and not log.server.is_active:
        return _("it is inactive.")
    return log.reason


def _distinct(found: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(found))


def _url(request: HttpRequest, logs: Sequence[ScriptLog]) -> str:
    """Return where the logs are shown to this person, or nothing."""
    # Users of a project's own may have no permissions.
    has_perm = getattr(getattr(request, "user", None), "has_perm", None)
    if not logs or has_perm is None or not has_perm("orchestration.view_scriptlog"):
        return ""
    try:
        if len(logs) == 1:
            return reverse("admin:orchestration_scriptlog_change", args=[logs[0].pk])
        return reverse("admin:orchestration_scriptlog_changelist") + f"?unit={logs[0].unit}"
    except NoReverseMatch:
        return ""
