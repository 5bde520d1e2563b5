"""Snapshots: copies of instances that later, unsaved changes do not reach."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import TypeVar

from django.db.models import F, Model
from django.db.models.base import ModelState
from django.db.models.expressions import BaseExpression
from django.db.models.fields.files import FieldFile

AnyModel = TypeVar("AnyModel", bound=Model)

#: Types whose values never change: nearly all values of nearly all instances.
IMMUTABLE = frozenset(
    {
        type(None),
        bool,
        int,
        float,
        str,
        bytes,
        decimal.Decimal,
        uuid.UUID,
        datetime.date,
        datetime.datetime,
        datetime.time,
        datetime.timedelta,
    }
)
#: Containers whose changes in place would reach the copy.
COPIED = frozenset({list, dict, set})


def snapshot(instance: AnyModel, using: str) -> AnyModel:
    """Return a copy as the database ``using`` has it: own state, no cached relations, key at once.

    Lists, dicts and sets are copied one by one: ``deepcopy`` is 15 times slower, and fails on locks and
    files. Values that only the database knows (``F("size") + 1``) are left out, so that they are read.
    """
    values = dict(vars(instance))
    values.pop("_prefetched_objects_cache", None)
    values["_state"] = None
    for name, value in vars(instance).items():
        kind = type(value)
        if kind in IMMUTABLE or name not in values:
            continue
        if issubclass(kind, (F, BaseExpression)):
            del values[name]
        elif kind in COPIED or issubclass(kind, FieldFile):
            values[name] = _copied(value)
    values["_state"] = _state(using)
    return _made(type(instance), values)


def cast(instance: Model, model: type[AnyModel]) -> AnyModel:
    """Return the instance as an object of its own model, or of a proxy, base or parent of it."""
    if type(instance) is model:
        return instance
    return _made(model, {**vars(instance), "_state": _state(instance._state.db)})


def refresh(instance: Model, fresh: Model) -> None:
    """Take over the fields' values of another copy, keep attributes that are no fields."""
    for field in fresh._meta.concrete_fields:
        vars(instance)[field.attname] = vars(fresh)[field.attname]
    instance._state.fields_cache.clear()


def _made(model: type[AnyModel], values: dict[str, object]) -> AnyModel:
    # Not through __init__: it would send signals, and convert each value once more.
    made = model.__new__(model)
    vars(made).update(values)
    return made


def _state(using: str | None) -> ModelState:
    state = ModelState()
    state.adding = False
    state.db = using
    return state


def _copied(value: object) -> object:
    kind = type(value)
    if kind is dict:
        return {key: _copied(item) for key, item in value.items()}  # type: ignore[attr-defined]  # a dict
    if kind is list:
        return [_copied(item) for item in value]  # type: ignore[attr-defined]  # a list
    if kind is set:
        return set(value)  # type: ignore[call-overload]  # a set
    if isinstance(value, FieldFile):
        # The descriptor makes a file of the copy's own from the name.
        return value.name
    return value
