"""Values as JSON and back: what arguments of stored calls may be."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePath
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Field, Model, QuerySet
from django.utils.functional import Promise

from orchestration.exceptions import NotStorable
from orchestration.shell import Raw, Secret, Shell

#: The key that marks a value which JSON has no form for: {"$": tag, "v": its parts}.
_TAG = "$"

# JSON is of any shape, and so are values.
Json = Any


def encode(value: object) -> Json:
    """Return a value in terms of JSON; NotStorable when there is no way back."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Enum) and isinstance(value, int | str):
        return encode(value.value)
    for kind, (tag, to_json) in _ENCODERS.items():
        if isinstance(value, kind):
            return {_TAG: tag, "v": to_json(value)}
    return _encode_similar(value)


def _encode_similar(value: object) -> Json:
    """Encode what is some kind of a plain value, or refuse it."""
    if isinstance(value, list):
        return _items(value)
    if isinstance(value, dict):
        return _encode_dict(value)
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else float(value)
    if isinstance(value, Promise | str):
        return _encode_text(value)
    if isinstance(value, type) and issubclass(value, Model):
        return {_TAG: "class", "v": value._meta.label}
    if isinstance(value, QuerySet):
        raise NotStorable("a QuerySet cannot be stored. Give a list of its objects or keys.")
    raise NotStorable(
        f"{type(value).__name__} cannot be stored. Give numbers, text, lists, dates or objects."
    )


def _encode_text(value: object) -> Json:
    if isinstance(value, Shell) and value.secrets:
        raise NotStorable("shell text with a Secret in it cannot be stored. Give the Secret itself.")
    tag = {_TAG: "raw", "v": str(value)}
    return tag if isinstance(value, Raw) else str(value)


def _encode_dict(value: Mapping[object, object]) -> Json:
    if _TAG not in value and all(type(key) is str for key in value):
        return {key: encode(item) for key, item in value.items()}
    return {_TAG: "dict", "v": [[encode(key), encode(item)] for key, item in value.items()]}


def decode(data: Json) -> object:
    """Return the value that was encoded."""
    if isinstance(data, list):
        return [decode(item) for item in data]
    if not isinstance(data, dict):
        return data
    if _TAG not in data:
        return {key: decode(item) for key, item in data.items()}
    return _DECODERS[data[_TAG]](data["v"])


def _items(value: Any) -> Json:  # Any: any collection
    return [encode(item) for item in value]


def _encode_moment(value: datetime | time) -> Json:
    return [value.isoformat(), value.fold]


# Objects of models are snapshots: they are the same when the row has changed or is gone.


def _encode_model(instance: Model) -> Json:
    missing = instance.get_deferred_fields()
    values = {
        field.attname: _encode_field(field, instance)
        for field in instance._meta.concrete_fields
        if field.attname not in missing
    }
    state = instance._state
    return {"model": instance._meta.label, "values": values, "db": state.db, "adding": state.adding}


def _encode_field(field: Field[Any, Any], instance: Model) -> Json:  # Any: the types of a field's value
    try:
        return encode(field.value_from_object(instance))
    except NotStorable:
        return {_TAG: "text", "v": [instance._meta.label, field.name, field.value_to_string(instance)]}


def _decode_text(data: Json) -> object:
    label, name, text = data
    field: Any = apps.get_model(label)._meta.get_field(name)  # Any: relations have no to_python
    return field.to_python(text)


def _decode_model(data: Json) -> Model:
    model, values = apps.get_model(data["model"]), data["values"]
    # Fields that the model has lost since are left out; those it has got since are loaded when used.
    names = [field.attname for field in model._meta.concrete_fields if field.attname in values]
    instance: Model = model.from_db(data["db"], names, [decode(values[name]) for name in names])
    instance._state.adding = data["adding"]
    return instance


def secrets(value: object) -> Iterator[str]:
    """Yield what must be masked where a value is shown."""
    if isinstance(value, Secret):
        yield value.reveal()
    elif isinstance(value, Mapping):
        yield from secrets([*value, *value.values()])
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from secrets(item)


_ENCODERS: dict[type, tuple[str, Callable[[Any], Json]]] = {
    Secret: ("secret", Secret.reveal),
    bytes: ("bytes", lambda value: base64.b64encode(value).decode()),
    tuple: ("tuple", _items),
    set: ("set", _items),
    frozenset: ("frozenset", _items),
    datetime: ("datetime", _encode_moment),
    date: ("date", date.isoformat),
    time: ("time", _encode_moment),
    timedelta: ("timedelta", lambda value: [value.days, value.seconds, value.microseconds]),
    Decimal: ("decimal", str),
    UUID: ("uuid", str),
    PurePath: ("path", str),
    Model: ("object", _encode_model),
}

_DECODERS: dict[str, Callable[[Json], object]] = {
    "secret": Secret,
    "raw": Raw,
    "bytes": base64.b64decode,
    "tuple": lambda data: tuple(map(decode, data)),
    "set": lambda data: set(map(decode, data)),
    "frozenset": lambda data: frozenset(map(decode, data)),
    "dict": lambda data: {decode(key): decode(item) for key, item in data},
    "datetime": lambda data: datetime.fromisoformat(data[0]).replace(fold=data[1]),
    "date": date.fromisoformat,
    "time": lambda data: time.fromisoformat(data[0]).replace(fold=data[1]),
    "timedelta": lambda data: timedelta(*data),
    "decimal": Decimal,
    "uuid": UUID,
    "path": Path,
    "class": apps.get_model,
    "object": _decode_model,
    "text": _decode_text,
}
