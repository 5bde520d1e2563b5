"""Folding: what remains to be done of all that a journal tells."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from django.db.models import Model, QuerySet

from orchestration.operations import DELETE, SAVE, Operation

from .journal import Deleted, Entry, Left, Reached, Saved, Touched
from .relations import Keys, reach
from .snapshots import cast, refresh
from .watching import Backend, Watches

#: An object as one backend knows it: the backend and the key.
Subject = tuple[Backend, Any]  # whatever type the model's key has


def fold(entries: Iterable[Entry], watches: Watches, using: str, *, is_late: bool = False) -> Folding:
    """Return what a journal amounts to; ``is_late``: behind the COMMIT of the changes."""
    folding = Folding(watches, using, is_late=is_late)
    for entry in entries:
        folding.add(entry)
    return folding


class Folding:
    """What is known so far of each object.

    A later save replaces an earlier one, a delete removes earlier saves, and an object that was created
    and deleted leaves nothing.
    """

    def __init__(self, watches: Watches, using: str, *, is_late: bool) -> None:
        self._watches, self._using, self._is_late = watches, using, is_late
        #: In order; None: an object that is yet to be read.
        self._operations: dict[tuple[Subject, str], Operation | None] = {}
        self._new: set[Subject] = set()
        self._deleted: set[Subject] = set()
        self._stale: set[Subject] = set()

    def add(self, entry: Entry) -> None:
        """Take the next entry of the journal into account."""
        match entry:
            case Saved():
                self._add_saved(entry)
            case Left():
                self._reach(entry.instance)
            case Deleted():
                self._add_deleted(entry)
            case Touched():
                self._add_touched(entry)
            case Reached():
                self._touch(entry.backend, entry.keys)

    @property
    def is_stale(self) -> bool:
        """Tell whether ``operations()`` reads objects, which others may change."""
        return bool(self._stale)

    def operations(self) -> list[Operation]:
        """Return operations in the order in which they were last asked for, each at most once.

        Objects that did not send the last word themselves are read, anew each time; when it is late, all
        are, and their rows stay locked.
        """
        self._read()
        return [each for each in self._operations.values() if each is not None and _is_wanted(each)]

    def _add_saved(self, entry: Saved) -> None:
        watch = self._watches.models[type(entry.instance)]
        for backend in watch.backends:
            if not _is_ignored(backend, entry):
                self._save(backend, entry)
        self._reach(entry.instance)

    def _reach(self, instance: Model) -> None:
        for backend, path in self._watches.models[type(instance)].related:
            self._touch(backend, reach(instance, backend, path))

    def _save(self, backend: Backend, entry: Saved) -> None:
        subject = _subject(backend, entry.instance.pk)
        if _is_new(backend, entry):
            self._new.add(subject)
        self._put(subject, Operation(backend, cast(entry.instance, backend.model_class()), SAVE))
        self._stale.discard(subject)
        if self._is_late or _is_partial(entry):
            # Others may have saved it since, or not all of its values are known.
            self._stale.add(subject)

    def _add_deleted(self, entry: Deleted) -> None:
        subject = _subject(entry.backend, entry.instance.pk)
        self._operations.pop((subject, SAVE), None)
        self._deleted.add(subject)
        if subject in self._new:
            self._new.remove(subject)
            return
        self._put(subject, Operation(entry.backend, entry.instance, DELETE, entry.targets))
        if self._is_late:
            # Others may have made it anew since.
            self._touch(entry.backend, (entry.instance.pk,))

    def _add_touched(self, entry: Touched) -> None:
        watch = self._watches.models[entry.model]
        for backend in (*watch.backends, *watch.of_children):
            self._touch(backend, entry.keys)
        if watch.related:
            for instance in entry.model._base_manager.using(self._using).in_bulk(entry.keys).values():
                self._reach(instance)

    def _touch(self, backend: Backend, keys: Keys) -> None:
        for subject in (_subject(backend, key) for key in keys):
            self._operations[subject, SAVE] = self._operations.pop((subject, SAVE), None)
            self._stale.add(subject)

    def _put(self, subject: Subject, operation: Operation) -> None:
        # Taken out first, so that it moves to the end.
        self._operations.pop((subject, operation.action), None)
        self._operations[subject, operation.action] = operation

    def _read(self) -> None:
        stale = [subject for subject in self._stale if (subject, SAVE) in self._operations]
        rows = self._rows(stale)
        for subject in stale:
            backend, key = subject
            known, row = self._operations[subject, SAVE], rows[backend.model_class()].get(key)
            if row is None or (known is None and subject in self._deleted and not self._is_late):
                del self._operations[subject, SAVE]
            elif known is None:
                self._operations[subject, SAVE] = Operation(backend, row, SAVE)
            else:
                refresh(known.instance, row)

    def _rows(self, subjects: list[Subject]) -> dict[type[Model], dict[Any, Model]]:
        keys: dict[type[Model], set[Any]] = {}
        for backend, key in subjects:
            keys.setdefault(backend.model_class(), set()).add(key)
        return {model: self._queryset(model).in_bulk(keys[model]) for model in keys}

    def _queryset(self, model: type[Model]) -> QuerySet[Model]:
        if self._is_late:
            # A plain one: what a manager adds can often not be locked.
            return QuerySet(model, using=self._using).select_for_update()
        return model._base_manager.using(self._using).all()


def _subject(backend: Backend, key: object) -> Subject:
    # Keys may come as "7" and as 7.
    return backend, backend.model_class()._meta.pk.to_python(key)


def _is_partial(entry: Saved) -> bool:
    """Tell whether some fields may hold values that were never saved, or that are out of date, or none."""
    instance = entry.instance
    return entry.fields is not None or _is_computed(type(instance)) or bool(instance.get_deferred_fields())


@cache
def _is_computed(model: type[Model]) -> bool:
    return any(field.generated for field in model._meta.concrete_fields)


def _is_ignored(backend: Backend, entry: Saved) -> bool:
    if entry.fields is None:
        return False
    fields = entry.instance._meta
    return {fields.get_field(name).name for name in entry.fields} <= set(backend.ignore_fields)


def _is_new(backend: Backend, entry: Saved) -> bool:
    """Tell whether the backend's object did not exist: a child may be added to a row that did."""
    is_same = entry.instance._meta.concrete_model is backend.model_class()._meta.concrete_model
    return entry.is_new and (is_same or not entry.had_key)


def _is_wanted(operation: Operation) -> bool:
    return operation.targets != () and operation.action in operation.backend.get_actions()
