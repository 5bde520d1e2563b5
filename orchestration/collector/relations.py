"""Relations: which objects are concerned when another one changes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, cast

from django.db.models import ForeignKey, Model

from orchestration.backends import ServiceBackend
from orchestration.backends.base import follow
from orchestration.exceptions import BackendFailed
from orchestration.manager import describe

from .watching import Backend, foreign_key, through_of

if TYPE_CHECKING:
    from .watching import ManyToMany

Keys = tuple[Any, ...]  # whatever type the model's key has


def reach(instance: Model, backend: Backend, path: str) -> Keys:
    """Return the keys of the backend's objects that ``accessor__accessor`` leads to; NULL leads nowhere."""
    try:
        if _is_custom(backend):
            return tuple(other.pk for other in backend.get_related(instance))
        if (field := _foreign_key(instance, path)) is not None:
            return _key(instance, field)
        return tuple(other.pk for other in follow(instance, path))
    except AttributeError as error:
        name, label = backend.get_name(), instance._meta.label
        raise BackendFailed(
            f"{name} cannot reach its objects from {label} by '{path}': {error}. Correct its related_models.",
            backend=name,
            instance=describe(instance),
        ) from error


def _is_custom(backend: Backend) -> bool:
    return backend.get_related.__func__ is not ServiceBackend.get_related.__func__  # type: ignore[attr-defined]  # a method


def _foreign_key(instance: Model, name: str) -> ForeignKey[Any, Any] | None:
    """Return the field of that name when its value is the key of the other object: no query is needed."""
    field = foreign_key(type(instance), name)
    return field if field is not None and field.target_field.primary_key else None


def _key(instance: Model, field: ForeignKey[Any, Any]) -> Keys:
    key = getattr(instance, field.attname)
    return () if key is None else (key,)


def keys_of(field: ManyToMany, values: Collection[object], using: str, *, reverse: bool) -> Keys:
    """Return the keys of objects that a signal of a many-to-many field names by what its links point to."""
    name = field.m2m_field_name() if reverse else field.m2m_reverse_field_name()
    link = through_of(field)._meta.get_field(name)
    target = cast("ForeignKey[Any, Any]", link).target_field
    if target.primary_key:
        return tuple(values)
    rows = target.model._base_manager.using(using).filter(**{f"{target.name}__in": values})
    return tuple(rows.values_list("pk", flat=True))


def linked(field: ManyToMany, instance: Model, using: str, *, reverse: bool) -> Keys:
    """Return the keys of all objects that a many-to-many field links with an instance."""
    mine, other = field.m2m_field_name(), field.m2m_reverse_field_name()
    if reverse:
        mine, other = other, mine
    rows = through_of(field)._base_manager.using(using).filter(**{mine: instance})
    return tuple(rows.values_list(f"{other}__pk", flat=True))


def ends(field: ManyToMany, link: Model) -> Iterator[tuple[type[Model], Keys]]:
    """Return model and key of both ends of a link, an object of an explicit through model."""
    for name, model in (
        (field.m2m_field_name(), field.model),
        (field.m2m_reverse_field_name(), field.related_model),
    ):
        if (end := _foreign_key(link, name)) is not None:
            yield model, _key(link, end)
        else:
            yield model, tuple(other.pk for other in follow(link, name))
