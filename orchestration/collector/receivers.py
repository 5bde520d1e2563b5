"""Receivers of Django's signals: they note in the unit's journal what happens, and do nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model

from orchestration.exceptions import BackendFailed
from orchestration.manager import describe
from orchestration.operations import DELETE, Operation

from . import pointers
from .journal import Deleted, Left, Reached, Saved, Touched
from .outside import find_unit
from .relations import Keys, ends, keys_of, linked, reach
from .snapshots import cast, snapshot
from .units import Unit
from .watching import Backend, watches

if TYPE_CHECKING:
    from .watching import ManyToMany

M2M_ACTIONS = frozenset({"pre_add", "pre_remove", "pre_clear"})


def loaded(sender: type[Model], instance: Model, **kwargs: object) -> None:
    """Remember what an object points to: once it is saved, nobody knows any more."""
    pointers.remember(instance, watches.models[sender].pointers)


def before_save(sender: type[Model], instance: Model, *, raw: bool, using: str, **kwargs: object) -> None:
    """Refuse a change outside units before it happens, and remember what nobody knows behind it."""
    if not raw:
        find_unit(sender, using)
        pointers.complete(instance, watches.models[sender].pointers, using)
        instance._state.orchestration_had_key = instance.pk is not None  # type: ignore[attr-defined]  # a note


def before_fixture(sender: type[Model], instance: Model, *, raw: bool, **kwargs: object) -> None:
    """Remember that an object comes from a fixture: Django 5.2 does not say so of its links."""
    instance._state.orchestration_raw = raw  # type: ignore[attr-defined]  # a note


def saved(
    sender: type[Model],
    instance: Model,
    *,
    created: bool,
    raw: bool,
    using: str,
    update_fields: frozenset[str] | None,
    **kwargs: object,
) -> None:
    """Note that an object was created or changed."""
    watch = watches.models[sender]
    left = pointers.moved(instance, watch.pointers, update_fields) if watch.pointers else {}
    unit = None if raw else find_unit(sender, using)
    if unit is None:
        return
    if watch.backends or watch.related:
        had_key = getattr(instance._state, "orchestration_had_key", True)
        unit.append(Saved(snapshot(instance, using), created, had_key, update_fields))
    for field in watch.links:
        _touch_ends(unit, field, instance)
    if left and not created:
        _note_left(unit, instance, left)


def deleting(sender: type[Model], instance: Model, *, using: str, **kwargs: object) -> None:
    """Note that an object is about to go, and all that only its relations tell."""
    unit = find_unit(sender, using)
    if unit is None:
        return
    watch = watches.models[sender]
    if (watch.backends or watch.related) and (copy := _whole_snapshot(instance, using)) is not None:
        for backend in watch.backends:
            # A row of a parent model sends a signal of its own, if it goes too.
            if backend.model_class()._meta.concrete_model is sender._meta.concrete_model:
                unit.append(_deletion(unit, backend, cast(copy, backend.model_class())))
        for backend, path in watch.related:
            unit.append(Reached(backend, reach(copy, backend, path)))
    for field in watch.links:
        _touch_ends(unit, field, instance)
    for field in watch.ends:
        _touch_linked(unit, field, instance)


def links_changing(
    sender: type[Model],
    instance: Model,
    *,
    action: str,
    reverse: bool,
    model: type[Model],
    pk_set: set[Any] | None,
    using: str,
    raw: bool = False,
    **kwargs: object,
) -> None:
    """Note both ends of many-to-many relations that are about to change."""
    if action not in M2M_ACTIONS or raw or getattr(instance._state, "orchestration_raw", False):
        return
    unit = find_unit(sender, using)
    if unit is None:
        return
    field = _field(sender, instance, reverse)
    if action == "pre_clear":
        keys = linked(field, instance, using, reverse=reverse)
    else:
        keys = keys_of(field, pk_set or (), using, reverse=reverse)
    if keys:
        touch(unit, type(instance), (instance.pk,))
        touch(unit, model, keys)


def touch(unit: Unit, model: type[Model], keys: Keys) -> None:
    """Note that objects changed otherwise than by their own ``save()``."""
    if keys and (watch := watches.find(model)) is not None and watch.has_subjects:
        unit.append(Touched(model, keys))


def _note_left(unit: Unit, instance: Model, left: pointers.Pointers) -> None:
    old = snapshot(instance, unit.using)
    vars(old).update(left)
    unit.append(Left(old))
    for field in watches.models[type(instance)].links:
        _touch_ends(unit, field, old)


def _whole_snapshot(instance: Model, using: str) -> Model | None:
    """Return a copy with all fields; None when somebody has deleted it already."""
    copy = snapshot(instance, using)
    if missing := copy.get_deferred_fields():
        try:
            copy.refresh_from_db(using=using, fields=missing)
        except ObjectDoesNotExist:
            return None
    return copy


def _deletion(unit: Unit, backend: Backend, instance: Model) -> Deleted:
    """Decide servers and let the backend look at relations, while they exist."""
    if DELETE not in backend.get_actions():
        return Deleted(backend, instance, ())
    targets = unit.router.targets(Operation(backend, instance, DELETE))
    if targets:
        _look(backend, instance)
    return Deleted(backend, instance, targets)


def _look(backend: Backend, instance: Model) -> None:
    # get_context() reads relations, which stay cached on the snapshot for the day of writing.
    try:
        writer = backend()
        writer.get_context(instance)
        writer.before_delete(instance)
    except BackendFailed:
        raise
    except Exception as error:  # whatever a backend raises: its author needs to know where
        name, what = backend.get_name(), describe(instance)
        raise BackendFailed(
            f"{name} failed before the deletion of {what}: {type(error).__name__}: {error}",
            backend=name,
            action=DELETE,
            instance=what,
        ) from error


def _field(through: type[Model], instance: Model, reverse: bool) -> ManyToMany:
    """Return the field whose links a signal is about: two fields may share a through model."""
    fields = watches.throughs[through]
    near = [field for field in fields if isinstance(instance, _end(field, reverse))]
    return near[0]


def _end(field: ManyToMany, reverse: bool) -> type[Model]:
    return field.related_model if reverse else field.model


def _touch_ends(unit: Unit, field: ManyToMany, link: Model) -> None:
    for model, keys in ends(field, link):
        touch(unit, model, keys)


def _touch_linked(unit: Unit, field: ManyToMany, instance: Model) -> None:
    for reverse in (False, True):
        other = _end(field, not reverse)
        if isinstance(instance, _end(field, reverse)) and watches.find(other) is not None:
            touch(unit, other, linked(field, instance, unit.using, reverse=reverse))
