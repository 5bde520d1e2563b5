"""Connecting: receivers for the models that backends name, one by one, and for no others."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Model
from django.db.models.signals import ModelSignal, m2m_changed, post_init, post_save, pre_delete, pre_save

from orchestration import backends

from . import receivers
from .watching import Backend, family, watches

#: ``sender=None`` would switch off fast deletes for every model of the project.
Connection = tuple[ModelSignal, str, type[Model]]

_connected: set[Connection] = set()


def connect() -> None:
    """Watch what the backends name, those of today and those that come later."""
    backends.observe(_add, _remove)


def _add(backend: Backend) -> None:
    watches.add(backend)
    _adjust()


def _remove(backend: Backend) -> None:
    watches.clear()
    for other in backends.installed():
        watches.add(other)
    _adjust()


def _adjust() -> None:
    wanted = set(_wanted())
    for signal, receiver, model in wanted - _connected:
        signal.connect(getattr(receivers, receiver), sender=model, dispatch_uid=f"orchestration.{receiver}")
    for signal, receiver, model in _connected - wanted:
        signal.disconnect(sender=model, dispatch_uid=f"orchestration.{receiver}")
    _connected.clear()
    _connected.update(wanted)


def _wanted() -> Iterator[Connection]:
    for model, watch in watches.models.items():
        if watch.backends or watch.related or watch.links:
            yield pre_save, "before_save", model
            yield post_save, "saved", model
            yield pre_delete, "deleting", model
        if watch.pointers:
            yield post_init, "loaded", model
        if watch.ends:
            yield pre_delete, "deleting", model
    for through, fields in watches.throughs.items():
        yield m2m_changed, "links_changing", through
        for owner in {member for field in fields for member in family(field.model)}:
            yield pre_save, "before_fixture", owner
