"""Pointers: where the foreign keys of an object led before it was saved, known without a query.

Only what was loaded without them costs one.
"""

from __future__ import annotations

from collections.abc import Set

from django.db.models import Model

#: Values of foreign keys by the names of their attributes.
Pointers = dict[str, object]


def remember(instance: Model, names: Set[str]) -> Pointers:
    """Keep where an object points now, and return it, as far as it was loaded."""
    values = vars(instance)
    pointers = {name: values[name] for name in names if name in values}
    instance._state.orchestration_pointers = pointers  # type: ignore[attr-defined]  # a note on Django's own
    return pointers


def complete(instance: Model, names: Set[str], using: str) -> None:
    """Read where an object points whose pointers were set after it was loaded without them."""
    known: Pointers = getattr(instance._state, "orchestration_pointers", {})
    missing = (names & vars(instance).keys()) - known.keys()
    if missing and not instance._state.adding:
        rows = type(instance)._base_manager.using(using).filter(pk=instance.pk)
        known.update(rows.values(*missing).first() or {})


def moved(instance: Model, names: Set[str], fields: frozenset[str] | None) -> Pointers:
    """Return where an object that was just saved pointed before, if that has changed, and remember anew.

    Foreign keys that ``fields`` (``update_fields``) do not name have not moved yet.
    """
    before: Pointers = getattr(instance._state, "orchestration_pointers", {})
    now = remember(instance, names)
    for name in before.keys() & now.keys():
        if not _is_named(instance, name, fields):
            now[name] = before[name]
    return before if any(now.get(name, key) != key for name, key in before.items()) else {}


def _is_named(instance: Model, name: str, fields: frozenset[str] | None) -> bool:
    return fields is None or name in fields or instance._meta.get_field(name).name in fields
