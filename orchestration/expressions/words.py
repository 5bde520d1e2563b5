"""The words of route expressions: everything that they may name, read or call, and the limits."""

from __future__ import annotations

import datetime
import enum
import ipaddress
import operator
import re
import uuid
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any  # Any: values of expressions have any type that the guard admits

from django.db.models.fields.files import FieldFile

#: Characters of an expression, brackets in brackets, nodes of its tree, and depth of the tree.
MAX_LENGTH = 1000
MAX_BRACKETS = 20
MAX_NODES = 500
MAX_DEPTH = 30

#: What one evaluation may spend: a step for each item or call and for each 1,000 characters or items
#: touched, and 100 for each query.
MAX_STEPS = 10_000
STEP_SIZE = 1000
QUERY_STEPS = 100

#: Bits of a whole number, and digits before or behind the point of a decimal, that arithmetic may reach.
MAX_BITS = 256
MAX_DIGITS = 100

#: Functions, with the least and the greatest number of arguments.
FUNCTIONS: Mapping[str, tuple[Callable[..., Any], int, int]] = {
    "abs": (abs, 1, 1),
    "all": (all, 1, 1),
    "any": (any, 1, 1),
    "bool": (bool, 1, 1),
    "float": (float, 1, 1),
    "int": (int, 1, 1),
    "len": (len, 1, 1),
    "max": (max, 1, 20),
    "min": (min, 1, 20),
    "str": (str, 1, 1),
    "sum": (sum, 1, 1),
}
#: Functions that read all items of their only argument.
OF_ITEMS = frozenset({"all", "any", "max", "min", "sum"})

OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
NUMBERS = frozenset({int, float, bool, Decimal})
MOMENTS = (datetime.date, datetime.timedelta)


def _methods(kind: type, names: str) -> dict[str, Callable[..., Any]]:
    return {name: getattr(kind, name) for name in names.split()}


#: Methods of values, by type: called on the type, so that a subclass cannot bring its own.
METHODS: tuple[tuple[type, dict[str, Callable[..., Any]]], ...] = (
    (
        str,
        _methods(
            str,
            "startswith endswith lower upper casefold title capitalize strip lstrip rstrip split rsplit "
            "splitlines partition rpartition removeprefix removesuffix find rfind index rindex count "
            "isalnum isalpha isascii isdecimal isdigit islower isnumeric isspace istitle isupper",
        ),
    ),
    (dict, _methods(dict, "get keys values items")),
    (list, _methods(list, "count index")),
    (datetime.datetime, _methods(datetime.datetime, "date time weekday isoweekday isoformat")),
    (datetime.date, _methods(datetime.date, "weekday isoweekday isoformat")),
    (datetime.timedelta, _methods(datetime.timedelta, "total_seconds")),
)
#: Methods of related objects: those of managers and querysets that only read.
QUERIES = frozenset({"all", "filter", "exclude", "exists", "count", "first", "last", "values_list"})
METHOD_NAMES = QUERIES.union(*(methods for _, methods in METHODS))
#: Methods that change something, to say so when one is refused; what is not listed above is refused anyway.
WRITES = frozenset(
    {
        "save", "delete", "update", "create", "add", "set", "remove", "clear", "bulk_create", "bulk_update",
        "get_or_create", "update_or_create", "append", "extend", "insert", "pop", "popitem", "setdefault",
        "sort", "reverse", "write", "execute",
    }
)  # fmt: skip
#: Methods that take arguments by name.
WITH_KEYWORDS = frozenset({"filter", "exclude", "values_list"})

#: Attributes of values that are no model instances, by type.
ATTRIBUTES: tuple[tuple[type, frozenset[str]], ...] = (
    (
        datetime.datetime,
        frozenset({"year", "month", "day", "hour", "minute", "second", "microsecond"}),
    ),
    (datetime.date, frozenset({"year", "month", "day"})),
    (datetime.time, frozenset({"hour", "minute", "second", "microsecond"})),
    (datetime.timedelta, frozenset({"days", "seconds", "microseconds"})),
    (enum.Enum, frozenset({"name", "value", "label"})),
    (FieldFile, frozenset({"name"})),
    (ipaddress.IPv4Address, frozenset({"version", "is_private", "is_global", "is_loopback"})),
    (ipaddress.IPv6Address, frozenset({"version", "is_private", "is_global", "is_loopback"})),
    (uuid.UUID, frozenset({"hex", "version"})),
)

#: Exact types that need no further look: the fast way of the guard.
PLAIN = frozenset(
    {
        str, int, float, bool, type(None), Decimal, list, dict, set, frozenset, uuid.UUID,
        datetime.date, datetime.datetime, datetime.time, datetime.timedelta,
    }
)  # fmt: skip
ADMITTED: tuple[type, ...] = (
    str, int, float, Decimal, list, dict, set, frozenset, datetime.date, datetime.time, datetime.timedelta,
    enum.Enum, uuid.UUID, FieldFile, ipaddress.IPv4Address, ipaddress.IPv6Address,
    type({}.keys()), type({}.values()), type({}.items()),
)  # fmt: skip
#: What may be looked into by ``in``, ``len``, a loop or a subscript.
CONTAINERS: tuple[type[Collection[Any]], ...] = (
    str, list, tuple, dict, set, frozenset, type({}.keys()), type({}.values()), type({}.items())
)  # fmt: skip

_SECRET = re.compile(
    r"passw|passphrase|secret|token|credential|(api|private|access|session|signing|encryption)_?key"
    r"|(^|_)(pwd|otp)(_|$)",
    re.IGNORECASE,
)
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9]*(_{1,2}[A-Za-z0-9]+)*", re.ASCII)
#: Lookups that take a regular expression: some patterns would never end.
_PATTERNS = frozenset({"regex", "iregex"})


def is_secret(name: str) -> bool:
    """Tell whether an attribute, a key or a lookup of this name may hold a secret."""
    return _SECRET.search(name) is not None


def is_lookup(name: str) -> bool:
    """Tell whether ``name`` is a field, or a path of fields with a lookup, that queries may use."""
    return bool(_FIELD.fullmatch(name)) and not is_secret(name) and _PATTERNS.isdisjoint(name.split("__"))
