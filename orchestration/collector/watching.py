"""Watching: which models matter to which backends, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import ForeignKey, ManyToManyField, ManyToManyRel, Model

from orchestration.backends import ServiceBackend
from orchestration.operations import DELETE, SAVE

if TYPE_CHECKING:
    ManyToMany = ManyToManyField[Any, Any]  # whatever it links

Backend = type[ServiceBackend]


@dataclass
class Watch:
    """Why changes of one model matter."""

    #: It is their model, or a proxy or child of it.
    backends: list[Backend] = field(default_factory=list)
    #: Their model is a child of it, with a table of its own.
    of_children: list[Backend] = field(default_factory=list)
    #: From its objects, a path of accessors leads to objects of the backend's model.
    related: list[tuple[Backend, str]] = field(default_factory=list)
    #: It is the explicit through model of these fields.
    links: list[ManyToMany] = field(default_factory=list)
    #: It is at one end of these fields, whose links Django deletes without a signal.
    ends: list[ManyToMany] = field(default_factory=list)
    #: Foreign keys that lead to what is concerned: what they pointed to before is concerned too.
    pointers: set[str] = field(default_factory=set)

    @property
    def has_subjects(self) -> bool:
        """Tell whether a change of an object may ask for something, other than through links."""
        return bool(self.backends or self.of_children or self.related)


class Watches:
    """All models that some backend names, directly or through relations."""

    def __init__(self) -> None:
        self.models: dict[type[Model], Watch] = {}
        #: The many-to-many fields of each through model.
        self.throughs: dict[type[Model], list[ManyToMany]] = {}

    def find(self, model: type[Model]) -> Watch | None:
        """Return why a model matters, or None."""
        return self.models.get(model)

    def clear(self) -> None:
        """Watch nothing."""
        self.models.clear()
        self.throughs.clear()

    def add(self, backend: Backend) -> None:
        """Watch what a backend names: its model and what it calls related; check E013 tells what is none."""
        model = installed_model(backend.model)
        if model is None or not {SAVE, DELETE}.intersection(backend.get_actions()):
            return
        for member in family(model):
            self._watch(member).backends.append(backend)
        for parent in parents(model):
            self._watch(parent).of_children.append(backend)
        watched = [model]
        for name, path in backend.related_models:
            if (related := installed_model(name)) is None:
                continue
            watched.append(related)
            for member in family(related):
                self._watch(member).related.append((backend, path))
                self._add_pointer(member, path.split("__")[0])
        for many_to_many in {found for each in watched for found in many_to_many_fields(each)}:
            self._add_many_to_many(many_to_many)

    def _watch(self, model: type[Model]) -> Watch:
        return self.models.setdefault(model, Watch())

    def _add_pointer(self, model: type[Model], name: str) -> None:
        if (found := foreign_key(model, name)) is not None:
            self._watch(model).pointers.add(found.attname)

    def _add_many_to_many(self, found: ManyToMany) -> None:
        through = through_of(found)
        fields = self.throughs.setdefault(through, [])
        if found in fields:
            return
        fields.append(found)
        if not through._meta.auto_created:
            self._watch(through).links.append(found)
            self._add_pointer(through, found.m2m_field_name())
            self._add_pointer(through, found.m2m_reverse_field_name())
            return
        for end in {*family(found.model), *family(found.related_model)}:
            self._watch(end).ends.append(found)


def installed_model(label: str) -> type[Model] | None:
    """Return the model of a label; None when there is none."""
    try:
        return apps.get_model(label)
    except (LookupError, ValueError):
        return None


def through_of(found: ManyToMany) -> type[Model]:
    """Return the model whose rows are the links of a field."""
    return cast("type[Model]", found.remote_field.through)


def foreign_key(model: type[Model], name: str) -> ForeignKey[Any, Any] | None:
    """Return the foreign key of that name, if it is one."""
    try:
        found = model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    return found if isinstance(found, ForeignKey) else None


def family(model: type[Model]) -> Iterator[type[Model]]:
    """Return a model with its proxies and children."""
    return (member for member in apps.get_models(include_auto_created=True) if issubclass(member, model))


def parents(model: type[Model]) -> Iterator[type[Model]]:
    """Return the models with tables of their own that a model inherits from."""
    own = model._meta.concrete_model
    return (parent for parent in model._meta.get_parent_list() if parent._meta.concrete_model is not own)


def many_to_many_fields(model: type[Model]) -> Iterable[ManyToMany]:
    """Return the many-to-many fields that lead from or to a model, also those without a name there."""
    for found in model._meta.get_fields(include_hidden=True):
        if isinstance(found, ManyToManyField):
            yield found
        elif isinstance(found, ManyToManyRel):
            yield found.field


#: What the installed backends name.
watches = Watches()
