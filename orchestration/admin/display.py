"""How values are shown: everything escaped, colours by class, because a CSP may forbid inline styles."""

from __future__ import annotations

from django.db.models import Count, IntegerField, Model, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from orchestration.models import ScriptLog
from orchestration.settings import options

#: The style sheet of these pages; each admin names it in its Media.
CSS = "orchestration/admin.css"


def state(log: ScriptLog) -> SafeString:
    """Return the state of a log in its colour."""
    return format_html(
        '<span class="orchestration-state orchestration-{}">{}</span>',
        log.state.lower(),
        log.get_state_display(),
    )


def warning(text: object) -> SafeString:
    """Return a text that asks for attention."""
    return format_html('<span class="orchestration-warning">{}</span>', text)


def block(text: str, *, size: int = 0) -> SafeString:
    """Return text as it was printed; ``size`` is how many bytes there were, when not all are kept."""
    if not text:
        return format_html("{}", "-")
    shown = format_html('<pre class="orchestration-text">{}</pre>', text)
    # Masked secrets make a text shorter than what was printed.
    if size <= max(options.OUTPUT_CAP, len(text.encode(errors="replace"))):
        return shown
    note = _("%(size)d bytes were printed; the middle of them is not kept.") % {"size": size}
    return format_html('{}<p class="help">{}</p>', shown, note)


def link(instance: Model, text: str = "") -> SafeString:
    """Return a link to the page of an object, or its text when the admin has no page of it."""
    meta = instance._meta
    text = text or str(instance)
    try:
        url = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[instance.pk])
    except NoReverseMatch:
        return format_html("{}", text)
    return format_html('<a href="{}">{}</a>', url, text)


def logs_link(text: object, **lookups: object) -> SafeString:
    """Return a link to the logs that match some lookups."""
    url = reverse("admin:orchestration_scriptlog_changelist", query=lookups)
    return format_html('<a href="{}">{}</a>', url, text)


def log_count(owner: str, states: tuple[ScriptLog.State, ...]) -> Coalesce:
    """Return the number of logs in some states, for each row of ``owner``: "lane" or "lane__server".

    Always through lanes: their index counts without reading a log.
    """
    logs = ScriptLog.objects.filter(**{owner: OuterRef("pk")}, state__in=states).order_by()
    counted = logs.values(owner).annotate(count=Count("pk")).values("count")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)
