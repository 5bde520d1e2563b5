"""Rows: related objects as expressions see them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any  # Any: rows hold objects of any model, or plain values

from django.db.models import Model, QuerySet

from orchestration.exceptions import UnsafeExpression

from . import words

if TYPE_CHECKING:
    from .guard import Guard


class Rows:
    """Related objects: a queryset that can only be read, and only in bounds."""

    __slots__ = ("_guard", "_queryset")

    def __init__(self, queryset: QuerySet[Any], guard: Guard) -> None:
        self._queryset, self._guard = queryset, guard

    def __repr__(self) -> str:
        return f"<rows of {self._queryset.model._meta.label}>"

    def __iter__(self) -> Iterator[Any]:
        return iter(self._query()[: self._guard.steps + 1])

    def __bool__(self) -> bool:
        return self.exists()

    def __len__(self) -> int:
        return self.count()

    def __getitem__(self, key: int | slice) -> Any:
        if isinstance(key, slice) and key.step is not None:
            raise UnsafeExpression("A slice of related objects has no step.")
        return self._query()[key]

    def all(self) -> Rows:
        """Return all of them."""
        return self

    def filter(self, /, **lookups: Any) -> Rows:
        """Return those that match; lookups were checked when the expression was compiled."""
        return Rows(self._queryset.filter(**_plain(lookups)), self._guard)

    def exclude(self, /, **lookups: Any) -> Rows:
        """Return those that do not match."""
        return Rows(self._queryset.exclude(**_plain(lookups)), self._guard)

    def exists(self) -> bool:
        """Tell whether there is any."""
        return self._query().exists()

    def count(self) -> int:
        """Return how many there are."""
        return self._query().count()

    def first(self) -> Any:
        """Return the first, or None."""
        return self._query().first()

    def last(self) -> Any:
        """Return the last, or None."""
        return self._query().last()

    def values_list(self, /, *fields: str, flat: bool = False) -> Rows:
        """Return tuples of the fields named, or with ``flat`` the values of one field."""
        if not fields or not all(isinstance(field, str) and words.is_lookup(field) for field in fields):
            raise UnsafeExpression("values_list() takes names of fields that hold no secrets.")
        return Rows(self._queryset.values_list(*fields, flat=flat), self._guard)

    def _query(self) -> QuerySet[Any]:
        self._guard.spend(words.QUERY_STEPS)
        return self._queryset


def _plain(lookups: dict[str, Any]) -> dict[str, Any]:
    for value in lookups.values():
        items: Iterable[Any] = value if isinstance(value, (list, tuple, set, frozenset)) else (value,)
        if not all(isinstance(item, Model) or type(item) in words.PLAIN for item in items):
            raise UnsafeExpression("Queries take plain values, objects, and lists of them.")
    return lookups
