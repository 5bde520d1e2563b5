"""The registry: which backends exist now, and who is told of new ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from django.utils.module_loading import autodiscover_modules

from orchestration.exceptions import BackendConflict, BackendInvalid, BackendUnknown

if TYPE_CHECKING:
    from .base import ServiceBackend

    Backend = type[ServiceBackend]
    Observer = Callable[[Backend], object]

_backends: dict[str, Backend] = {}
_observers: list[tuple[Observer, Observer]] = []


def register(backend: Backend) -> None:
    """Make a backend known; it replaces an earlier definition of the same class.

    Raises BackendConflict for another class of the same name, BackendInvalid for a circle in ``after``.
    """
    name = backend.get_name()
    known = _backends.get(name)
    if known is not None:
        _refuse_conflict(known, backend)
        forget(known)
    _backends[name] = backend
    try:
        _refuse_circle(backend)
    except BackendInvalid:
        del _backends[name]
        raise
    for added, _ in _observers:
        added(backend)


def _refuse_conflict(known: Backend, backend: Backend) -> None:
    if (known.__module__, known.__qualname__) != (backend.__module__, backend.__qualname__):
        message = f"Two backends have the name {backend.get_name()}: {_path(known)} and {_path(backend)}."
        raise BackendConflict(f"{message} Logs and routes know backends by name, so rename one.")


def _path(backend: Backend) -> str:
    return f"{backend.__module__}.{backend.__qualname__}"


def _refuse_circle(backend: Backend) -> None:
    name = backend.get_name()
    if name in after_all(backend):
        raise BackendInvalid(f"{name} comes after itself: look at 'after' of {', '.join(backend.after)}.")


def forget(backend: Backend) -> None:
    """Take a backend out of the registry; observers are told."""
    if _backends.get(backend.get_name()) is backend:
        del _backends[backend.get_name()]
        for _, removed in _observers:
            removed(backend)


def observe(added: Observer, removed: Observer) -> Callable[[], None]:
    """Call ``added`` for each backend, present and future, and ``removed`` for each that goes.

    The function returned ends that.
    """
    pair = (added, removed)
    _observers.append(pair)
    for backend in installed():
        added(backend)
    return partial(_observers.remove, pair)


def installed() -> list[Backend]:
    """Return all backends, in the order in which they were defined."""
    return list(_backends.values())


def find(name: str) -> Backend:
    """Return the backend of a name; raise BackendUnknown when none is installed."""
    try:
        return _backends[name]
    except KeyError:
        raise BackendUnknown(f"No backend named {name} is installed.") from None


def after_all(backend: Backend) -> frozenset[str]:
    """Return the names of all backends whose sections come before this one's, however far."""
    names: set[str] = set()
    waiting = list(backend.after)
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting.extend(_backends[name].after if name in _backends else ())
    return frozenset(names)


def autodiscover() -> None:
    """Import the module or package ``backends`` of each installed app."""
    autodiscover_modules("backends")
