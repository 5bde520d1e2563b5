"""Python functions as commands: a dotted path and encoded arguments, which outlive the process."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from importlib import import_module
from typing import Any

from orchestration.exceptions import CannotStart, NotStorable
from orchestration.scripts import Call

from . import codec
from .codec import secrets as secrets

Function = Callable[..., object]


def encode(function: Function, args: Sequence[object]) -> Call:
    """Return a call as text; NotStorable, with reason and remedy, when it cannot be stored."""
    encoded = [_argument(number, value, function) for number, value in enumerate(args, 1)]
    return Call(_path(function), json.dumps(encoded, separators=(",", ":")))


def decode(call: Call) -> tuple[Function, tuple[object, ...]]:
    """Return function and arguments of a stored call; CannotStart when its code is gone.

    A method of a backend comes bound to a new instance.
    """
    try:
        return _resolve(call.function), tuple(codec.decode(value) for value in json.loads(call.args))
    except (ImportError, AttributeError, LookupError) as error:
        raise CannotStart(f"The function {call.function} cannot be called any more: {error}.") from error


def show(function: Function, args: Sequence[object]) -> str:
    """Return a call as people see it: secrets masked, the server as last argument."""
    return f"{_path(function)}({', '.join([*map(repr, args), 'server'])})"


def _argument(number: int, value: object, function: Function) -> object:
    try:
        return codec.encode(value)
    except NotStorable as error:
        raise NotStorable(f"Argument {number} of {_name(function)}: {error}") from error
    except RecursionError:
        raise NotStorable(
            f"Argument {number} of {_name(function)} contains itself, or is too deep."
        ) from None


def _name(function: Function) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def _path(function: Function) -> str:
    owner = getattr(function, "__self__", None)
    if owner is None or inspect.ismodule(owner) or inspect.isclass(owner):
        return _checked_path(function)
    if not getattr(type(owner), "is_made_anew", False):
        raise NotStorable(
            f"{_name(function)} is a method of an object. Use a function, or a method of a backend."
        )
    unbound: Function = getattr(function, "__func__", function)
    return _checked_path(unbound, type(owner))  # type: ignore[arg-type]  # a class is hashable


@lru_cache(maxsize=1024)
def _checked_path(function: Function, owner: type | None = None) -> str:
    """Return the path at which a function is found again; NotStorable when it is found at none."""
    _refuse_unfit(function)
    path = _written_path(function, owner)
    try:
        found, holder = _find(path)
    except (ImportError, AttributeError) as error:
        raise NotStorable(f"{_name(function)} is not found again as {path}: {error}.") from error
    if getattr(found, "__func__", found) is not getattr(function, "__func__", function):
        raise NotStorable(f"{path} is another object than the function appended. Append it by its own name.")
    if owner is None and _is_method(found, holder):
        raise NotStorable(f"{_name(function)} is a method without its object. Append self.{found.__name__}.")
    return path


def _refuse_unfit(function: Function) -> None:
    if isinstance(function, partial):
        raise NotStorable("A partial cannot be stored. Append the function and its arguments.")
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        raise NotStorable(f"{_name(function)} is a generator or coroutine: calling it would run nothing.")
    name = getattr(function, "__qualname__", "")
    if not name:
        raise NotStorable(f"{function!r} has no name. Append a function of a module.")
    if "<lambda>" in name:
        raise NotStorable("A lambda cannot be stored. Write a function in a module.")
    if "<locals>" in name:
        raise NotStorable(f"{name} is defined inside a function. Move it to the top level of its module.")
    if function.__module__ == "__main__":
        raise NotStorable(f"{name} is defined in __main__, which other processes cannot import.")


def _written_path(function: Function, owner: type | None) -> str:
    if owner is not None:
        return f"{owner.__module__}:{owner.__qualname__}.{function.__name__}"
    bound_to = getattr(function, "__self__", None)
    if inspect.isclass(bound_to):
        return f"{bound_to.__module__}:{bound_to.__qualname__}.{function.__name__}"
    separator = ":" if "." in function.__qualname__ else "."
    return f"{function.__module__}{separator}{function.__qualname__}"


def _resolve(path: str) -> Function:
    found, holder = _find(path)
    function: Function = found.__get__(holder()) if _is_method(found, holder) else found
    return function


def _find(path: str) -> tuple[Any, Any]:  # Any: modules, classes, functions
    """Return what is at a path, and what it is an attribute of."""
    module, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    found: Any = import_module(module)
    holder: Any = None
    for attribute in name.split("."):
        holder, found = found, getattr(found, attribute)
    return found, holder


def _is_method(found: Any, holder: Any) -> bool:  # Any: as they are found
    return inspect.isclass(holder) and inspect.isfunction(
        inspect.getattr_static(holder, found.__name__, None)
    )
