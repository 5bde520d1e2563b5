"""What stands between a running expression and the objects it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any  # Any: values of expressions have any type that the guard admits

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, QuerySet
from django.db.models.manager import BaseManager
from django.utils.functional import Promise

from orchestration.exceptions import UnsafeExpression

from . import words
from .rows import Rows


def is_own_method(name: str) -> bool:
    """Tell whether some installed model has a method of this name marked ``route_safe = True``."""
    return any(_is_safe(getattr(model, name, None)) for model in apps.get_models())


def is_display(name: str) -> bool:
    """Tell whether ``name`` looks like Django's ``get_FOO_display``."""
    return name.startswith("get_") and name.endswith("_display")


def _is_safe(method: object) -> bool:
    return callable(method) and getattr(method, "route_safe", False) is True


class Guard:
    """Does for one evaluation whatever could be unsafe: reading, calling, looping, calculating."""

    #: What is left to be spent; a class attribute until then, as most evaluations spend nothing.
    steps = words.MAX_STEPS

    def spend(self, steps: int) -> None:
        """Count work that was done; an evaluation that does too much ends here."""
        self.steps -= steps
        if self.steps < 0:
            raise UnsafeExpression("The expression does too much: compare less, or filter in the query.")

    def spend_on(self, value: object) -> None:
        """Count one step, and more for a long text or a big container."""
        size = len(value) if isinstance(value, words.CONTAINERS) else 0
        self.spend(1 + size // words.STEP_SIZE)

    def admit(self, value: Any) -> Any:
        """Return a value that expressions may hold; related managers become `Rows`."""
        if type(value) in words.PLAIN or isinstance(value, (Model, Rows)):
            return value
        if isinstance(value, (BaseManager, QuerySet)):
            return Rows(value.all(), self)
        if isinstance(value, tuple):
            self.spend(len(value))
            return tuple([self.admit(item) for item in value])
        if isinstance(value, Promise):
            return str(value)
        if isinstance(value, words.ADMITTED):
            return value
        raise UnsafeExpression(f"A {type(value).__name__} cannot be read in a route expression.")

    def get(self, owner: Any, name: str) -> Any:
        """Return an attribute."""
        if isinstance(owner, Model):
            value = getattr(owner, name)
            return value if type(value) in words.PLAIN else self.admit(value)
        for kind, names in words.ATTRIBUTES:
            if isinstance(owner, kind) and name in names:
                return self.admit(getattr(owner, name))
        raise UnsafeExpression(_no_attribute(owner, name))

    def call(self, owner: Any, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Return what a method returns; only methods that are known to change nothing are called."""
        self.spend_on(owner)
        result = self._method(owner, name)(*args, **kwargs)
        self.spend_on(result)
        return self.admit(result)

    def _method(self, owner: Any, name: str) -> Callable[..., Any]:
        if isinstance(owner, Rows) and name in words.QUERIES:
            return getattr(owner, name)  # type: ignore[no-any-return]  # one of the methods below
        if isinstance(owner, Model) and (
            _is_display_of(owner, name) or _is_safe(getattr(type(owner), name, None))
        ):
            return getattr(owner, name)  # type: ignore[no-any-return]  # checked to be callable
        for kind, methods in words.METHODS:
            if isinstance(owner, kind) and name in methods:
                return _bind(methods[name], owner, name)
        raise UnsafeExpression(_no_method(owner, name))

    def function(self, name: str, *args: Any) -> Any:
        """Return what a built-in function returns."""
        function = words.FUNCTIONS[name][0]
        self.spend_on(args[0])
        result = self.admit(function(*args))
        self.spend_on(result)
        return result

    def item(self, owner: Any, key: Any) -> Any:
        """Return an item or a slice."""
        if isinstance(key, str):
            refuse_secret_key(key)
        if not isinstance(owner, (Rows, str, list, tuple, dict)):
            raise UnsafeExpression(f"A {type(owner).__name__} has no items.")
        result = self.admit(owner[key])
        self.spend_on(result)
        return result

    def each(self, values: Any) -> Iterator[Any]:
        """Yield the items of a container or of related objects."""
        if not isinstance(values, Rows) and not isinstance(values, words.CONTAINERS):
            raise UnsafeExpression(f"A {type(values).__name__} has no items.")
        for value in values:
            self.spend(1)
            yield self.admit(value)

    def contains(self, container: Any, value: Any) -> bool:
        """Tell whether ``value in container``."""
        if isinstance(container, Rows):
            return any(value == row for row in container)
        if not isinstance(container, words.CONTAINERS):
            raise UnsafeExpression(f"A {type(container).__name__} contains nothing.")
        self.spend_on(container)
        return value in container

    def calculate(self, sign: str, left: Any, right: Any) -> Any:
        """Return the result of arithmetic on numbers, dates, or two texts to be joined."""
        if type(left) in words.NUMBERS and type(right) in words.NUMBERS:
            return _bounded(words.OPERATORS[sign](left, right))
        if sign == "+" and isinstance(left, str) and isinstance(right, str):
            self.spend((len(left) + len(right)) // words.STEP_SIZE)
            return str.__add__(left, right)
        if sign in "+-" and isinstance(left, words.MOMENTS) and isinstance(right, words.MOMENTS):
            return words.OPERATORS[sign](left, right)
        kinds = f"{type(left).__name__} and {type(right).__name__}"
        raise UnsafeExpression(f"'{sign}' takes two numbers, not {kinds}.")


def refuse_secret_key(key: str) -> None:
    """Raise UnsafeExpression when the key of a dictionary may hold a secret."""
    if words.is_secret(key):
        raise UnsafeExpression(f"'{key[:40]}' may be a secret, which routes cannot read.")


def _bind(method: Callable[..., Any], owner: Any, name: str) -> Callable[..., Any]:
    def bound(*args: Any) -> Any:
        if name == "get" and args and isinstance(args[0], str):
            refuse_secret_key(args[0])
        return method(owner, *args)

    return bound


def _is_display_of(owner: Model, name: str) -> bool:
    if not is_display(name):
        return False
    try:
        field = owner._meta.get_field(name.removeprefix("get_").removesuffix("_display"))
    except FieldDoesNotExist:
        return False
    return bool(getattr(field, "choices", None))


def _bounded(result: Any) -> Any:
    if isinstance(result, int) and result.bit_length() > words.MAX_BITS:
        raise UnsafeExpression("The number is too big.")
    if isinstance(result, Decimal) and abs(result.adjusted()) > words.MAX_DIGITS:
        raise UnsafeExpression("The number is too big.")
    return result


def _no_attribute(owner: Any, name: str) -> str:
    if owner is None:
        return f"None has no '{name}': ask first, as in 'x.y is not None and x.y.{name} == …'."
    return f"'{name}' of a {type(owner).__name__} cannot be read in a route expression."


def _no_method(owner: Any, name: str) -> str:
    if owner is None:
        return f"None has no '{name}()': ask first, as in 'x.y is not None and x.y.{name}()'."
    remedy = f"mark the method with '{name}.route_safe = True'" if isinstance(owner, Model) else "use another"
    return f"'{name}()' of a {type(owner).__name__} cannot be called in a route expression: {remedy}."
