"""Following accessors from a related object to the objects of a backend."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Manager, Model


def follow(obj: Model, path: str) -> list[Model]:
    """Return the objects at the end of ``accessor__accessor``, through one or many; NULL is none."""
    reached: list[Any] = [obj]  # Any: accessors are of any kind
    for accessor in path.split("__"):
        reached = [end for start in reached for end in _step(start, accessor)]
    return reached


def _step(obj: Model, accessor: str) -> Iterable[Any]:  # Any: accessors are of any kind
    try:
        value = getattr(obj, accessor)
    except ObjectDoesNotExist:
        return ()
    if isinstance(value, Manager):
        return value.all()
    return () if value is None else (value,)
