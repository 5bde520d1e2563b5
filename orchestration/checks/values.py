"""What is wrong with the value of a setting: its type, its range, its choices, what it names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import UnionType
from typing import Any, get_args, get_origin

from cryptography.fernet import Fernet
from django.utils.functional import Promise
from django.utils.module_loading import import_string

from orchestration import executors, methods
from orchestration.settings import Options, Setting, options

#: Settings for which zero makes sense; all other numbers must be greater.
MAY_BE_ZERO = {"LOG_RETENTION_DAYS", "REQUEST_WAIT", "OUTPUT_TAIL"}
OUTSIDE_UNIT = ("warn", "after_commit", "raise", "ignore")


# Types


def expected_type(setting: Setting[Any]) -> Any:  # Any: what annotations are made of
    """Return what a setting was declared with: ``str`` of ``Setting[str]("")``."""
    return get_args(setting.__orig_class__)[0]  # type: ignore[attr-defined]  # set by typing


def fits(value: object, expected: Any) -> bool:  # Any: what annotations are made of
    """Tell whether a value is of a type; lists are sequences, numbers are no booleans."""
    origin, parts = get_origin(expected), get_args(expected)
    if isinstance(expected, UnionType):
        return any(fits(value, part) for part in parts)
    if origin is tuple:
        return _is_list(value, len(parts)) and all(map(fits, value, parts))  # type: ignore[call-overload]  # a list
    if origin is Sequence:
        return _is_list(value) and all(fits(item, parts[0]) for item in value)  # type: ignore[attr-defined]  # too
    if isinstance(value, bool):
        return expected is bool
    return isinstance(value, {str: str | Promise, float: int | float}.get(expected, expected))


def _is_list(value: object, length: int | None = None) -> bool:
    return isinstance(value, list | tuple) and length in (None, len(value))


# Values


def value_problem(name: str, value: Any) -> str:  # Any: its type was checked before
    """Return why a value of the right type cannot be, as the end of a sentence; or nothing."""
    if name in _PROBLEMS:
        return _PROBLEMS[name](value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if name in MAY_BE_ZERO:
        return "" if value >= 0 else f"is {value!r}: it must be at least 0."
    return "" if value > 0 else f"is {value!r}: it must be over 0."


def _choice_problem(value: str, choices: Sequence[str]) -> str:
    return "" if value in choices else f"is {value!r}: choose from {', '.join(map(repr, choices))}."


def _system_problem(value: str) -> str:
    if not fits(options.OS_CHOICES, expected_type(vars(Options)["OS_CHOICES"])):
        return ""  # the choices themselves are wrong, and that is said
    return _choice_problem(value, [system for system, _ in options.OS_CHOICES])


def _keys_problem(keys: Sequence[str]) -> str:
    """Name the place of a bad key, never the key."""
    for place, key in enumerate(keys):
        try:
            Fernet(key)
        except ValueError:
            return f"has a bad key at index {place}: make one with cryptography's Fernet.generate_key()."
    return ""


_PROBLEMS: dict[str, Callable[[Any], str]] = {
    "OUTSIDE_UNIT": lambda value: _choice_problem(value, OUTSIDE_UNIT),
    "DEFAULT_OS": _system_problem,
    "FERNET_KEYS": _keys_problem,
}


# Paths


def path_problem(name: str) -> str:
    """Return why what a setting names cannot be imported; or nothing."""
    if name not in _IMPORTS:
        return ""
    try:
        _IMPORTS[name]()
    except ImportError as error:
        return str(error).rstrip(".")
    return ""


_IMPORTS: dict[str, Callable[[], object]] = {
    "ROUTER": lambda: import_string(options.ROUTER),
    "EXECUTOR": executors.get,
    "SSH_METHOD": lambda: methods.get(options.SSH_METHOD),
}
