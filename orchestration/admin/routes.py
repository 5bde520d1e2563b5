"""Routes in the admin: which objects of a backend belong on which server."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from orchestration.backends import ServiceBackend
from orchestration.models import Route

from . import display


def backend_choices(current: str = "") -> list[tuple[str, str]]:
    """Return the installed backends by name, and the current one even when it is not installed."""
    names = {backend.get_name() for backend in ServiceBackend.get_backends()}
    choices = [(name, name) for name in sorted(names)]
    if current and current not in names:
        choices.append((current, str(_("%s (not installed)") % current)))
    return choices


def action_choices(current: list[str]) -> list[tuple[str, str]]:
    """Return the actions of all installed backends, and the current ones."""
    names = {action for backend in ServiceBackend.get_backends() for action in backend.get_actions()}
    return [(name, name) for name in sorted(names.union(current))]


class RouteForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Offers the backends and actions that are installed while the form is shown."""

    backend = forms.ChoiceField(label=_("Backend"))
    async_actions = forms.MultipleChoiceField(
        label=_("Asynchronous actions"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Actions that no request waits for."),
    )

    class Meta:
        model = Route
        fields = ["backend", "host", "match", "run_async", "async_actions", "is_active"]
        widgets = {"match": forms.Textarea(attrs={"rows": 3, "cols": 80})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "backend" in self.fields:  # missing for those who may only view
            self.fields["backend"].choices = backend_choices(self.instance.backend)  # type: ignore[attr-defined]  # a ChoiceField
            self.fields["async_actions"].choices = action_choices(self.instance.async_actions)  # type: ignore[attr-defined]


@admin.register(Route)
class RouteAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Routes; their expression is checked when the form is saved."""

    form = RouteForm
    list_display = ["backend_display", "host", "match", "run_async", "is_active", "is_broken"]
    list_display_links = ["backend_display"]
    list_filter = ["is_active", "run_async", "host"]
    list_select_related = ["host"]
    search_fields = ["backend", "host__name", "match"]
    readonly_fields = ["broken_display"]
    fieldsets = [
        (None, {"fields": ["backend", "host", "match", "is_active", "broken_display"]}),
        (_("Who waits"), {"fields": ["run_async", "async_actions"]}),
    ]

    class Media:
        css = {"all": [display.CSS]}

    @admin.display(description=_("backend"), ordering="backend")
    def backend_display(self, route: Route) -> SafeString | str:
        """Return the backend, with a warning when it is not installed."""
        label = dict(backend_choices(route.backend))[route.backend]
        return label if label == route.backend else display.warning(label)

    @admin.display(description=_("broken"), ordering="broken")
    def is_broken(self, route: Route) -> SafeString | str:
        """Return a warning when the expression failed; the page of the route says why."""
        return display.warning(_("broken")) if route.broken else "-"

    @admin.display(description=_("broken"))
    def broken_display(self, route: Route) -> SafeString | str:
        """Return why the expression failed when it was last used."""
        return display.warning(route.broken) if route.broken else "-"
