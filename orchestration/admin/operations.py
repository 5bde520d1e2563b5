"""The operations of a log, each with a link to its object."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from orchestration.models import OperationLog

from . import display
from .readonly import ReadOnly

#: Operations shown on the page of a log; one may have many thousands.
SHOWN = 200


def attach_instances(operations: list[OperationLog]) -> None:
    """Set ``found`` of each operation to its object or None: one query for each model.

    The generic foreign key cannot: it fails for models that were removed, and for keys that do not fit.
    """
    keys: dict[int, set[str]] = defaultdict(set)
    for operation in operations:
        keys[operation.content_type_id or 0].add(operation.object_id)
    found = {kind: _instances(kind, wanted) for kind, wanted in keys.items()}
    for operation in operations:
        operation.found = found[operation.content_type_id or 0].get(operation.object_id)  # type: ignore[attr-defined]  # set here


def _instances(content_type: int, keys: set[str]) -> dict[str, Model]:
    model = ContentType.objects.get_for_id(content_type).model_class() if content_type else None
    if model is None:
        return {}
    fitting = [key for key in keys if _fits(model, key)]
    return {str(row.pk): row for row in model._base_manager.filter(pk__in=fitting)}


def _fits(model: type[Model], key: str) -> bool:
    try:
        model._meta.pk.run_validators(model._meta.pk.to_python(key))
    except ValidationError:
        return False
    return bool(key)


class OperationFormSet(BaseInlineFormSet):  # type: ignore[type-arg]  # not generic at run time
    """The first operations of a log, with their objects."""

    def get_queryset(self) -> QuerySet[OperationLog]:
        """Return the rows that are shown."""
        if not hasattr(self, "_queryset"):
            self._queryset = super().get_queryset()[:SHOWN]
            attach_instances(list(self._queryset))
        return self._queryset


class OperationInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]  # not generic at run time
    """Operations below their log."""

    model = OperationLog
    formset = OperationFormSet
    fields = ["action", "object_display"]
    readonly_fields = ["action", "object_display"]
    extra = 0

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # Any: Django's own
        """Show them to whoever may see their log."""
        return bool(request.user.has_perm("orchestration.view_scriptlog"))

    @admin.display(description=_("object"))
    def object_display(self, operation: OperationLog) -> SafeString:
        """Return a link to the object, or what it was called when it was deleted."""
        found = operation.found  # type: ignore[attr-defined]  # set by attach_instances
        if found:
            return display.link(found, operation.instance_repr)
        return format_html("{} ({})", operation.instance_repr, _("deleted"))
