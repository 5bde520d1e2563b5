"""Checks of backends and of the models that they watch: names that exist, changes that can be seen."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator

from django.apps import apps
from django.core import checks
from django.db import router
from django.db.models import Field, Model, deletion

from orchestration.backends import ServiceBackend
from orchestration.exceptions import UnsafeExpression
from orchestration.expressions import compile_expression
from orchestration.models import ScriptLog

#: On delete in the database (Django 6.1): Django sends no signal for the rows that go or change.
IN_DATABASE: type | tuple[()] = getattr(deletion, "DatabaseOnDelete", ())


# Names


@checks.register
def check_models(**kwargs: object) -> list[checks.CheckMessage]:
    """E013: a backend names a model that does not exist."""
    return [
        checks.Error(
            f"Backend {backend.get_name()} names the model {label}, which is not installed.",
            hint="Write 'app_label.ModelName', and add its app to INSTALLED_APPS.",
            obj=backend,
            id="orchestration.E013",
        )
        for backend in ServiceBackend.get_backends()
        for label in _labels(backend)
        if _find(label) is None
    ]


@checks.register
def check_after(**kwargs: object) -> list[checks.CheckMessage]:
    """W014, E015: ``after`` names a backend that does not exist, or goes round in a circle."""
    graph = {backend.get_name(): list(backend.after) for backend in ServiceBackend.get_backends()}
    messages = [
        _unknown_after(name, other) for name, others in graph.items() for other in others if other not in graph
    ]
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        messages.append(_cycle(error.args[1]))
    return messages


def _unknown_after(name: str, other: str) -> checks.CheckMessage:
    return checks.Warning(
        f"Backend {name} runs after {other}, which is not installed.",
        hint="Correct the name, or install the app that has it. Until then the order is that of the changes.",
        id="orchestration.W014",
    )


def _cycle(names: list[str]) -> checks.CheckMessage:
    return checks.Error(
        f"Backends wait for each other: {' after '.join(reversed(names))}.",
        hint="Take one of them out of the other's 'after'.",
        id="orchestration.E015",
    )


@checks.register
def check_default_matches(**kwargs: object) -> list[checks.CheckMessage]:
    """E016: the default expression of a backend's routes is not allowed."""
    return [
        message for backend in ServiceBackend.get_backends() for message in _default_match_problems(backend)
    ]


def _default_match_problems(backend: type[ServiceBackend]) -> Iterator[checks.CheckMessage]:
    names = ("instance", "obj", backend.model.rpartition(".")[2].lower())
    try:
        compile_expression(backend.default_route_match, names)
    except UnsafeExpression as error:
        yield checks.Error(
            f"default_route_match of backend {backend.get_name()}, {backend.default_route_match!r}, "
            f"cannot be used: {error}",
            hint="The page on route expressions lists what they may contain.",
            obj=backend,
            id="orchestration.E016",
        )


# Watched models


@checks.register(checks.Tags.models)
def check_databases(**kwargs: object) -> list[checks.CheckMessage]:
    """E017: a model and our tables are in different databases, so they cannot commit as one."""
    ours = router.db_for_write(ScriptLog)
    return [
        checks.Error(
            f"{model._meta.label} is written to database '{alias}', orchestration's tables to '{ours}'.",
            hint="Work is stored in the transaction of the save: route both to one database.",
            obj=model,
            id="orchestration.E017",
        )
        for model in watched_models()
        if (alias := router.db_for_write(model)) != ours
    ]


@checks.register(checks.Tags.models)
def check_cascades(**kwargs: object) -> list[checks.CheckMessage]:
    """E018: rows that the database deletes or changes by itself, so that nobody hears of it."""
    return [
        checks.Error(
            f"{field} has on_delete={field.remote_field.on_delete}: what the database deletes or "
            "changes by itself reaches no server.",
            hint=f"Use {str(field.remote_field.on_delete).removeprefix('DB_')}.",
            obj=field,
            id="orchestration.E018",
        )
        for model in watched_models()
        for field in _relations(model)
        if isinstance(field.remote_field.on_delete, IN_DATABASE)
    ]


def _relations(model: type[Model]) -> list[Field[object, object]]:
    return [field for field in model._meta.local_fields if field.remote_field is not None]


@checks.register(checks.Tags.models)
def check_keys(**kwargs: object) -> list[checks.CheckMessage]:
    """E019: a model with a composite primary key, which logs cannot point to."""
    return [
        checks.Error(
            f"{model._meta.label} has a composite primary key.",
            hint="Give it a key of one field, and a UniqueConstraint for the others.",
            obj=model,
            id="orchestration.E019",
        )
        for model in watched_models()
        if len(getattr(model._meta, "pk_fields", ())) > 1
    ]


def watched_models() -> list[type[Model]]:
    """Return the models that backends name, and the children of these."""
    named = {_find(label) for backend in ServiceBackend.get_backends() for label in _labels(backend)}
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if any(parent is not None and issubclass(model, parent) for parent in named)
    ]


def _labels(backend: type[ServiceBackend]) -> list[str]:
    """Return the labels of the model of a backend, and of its related models."""
    return [label for label in (backend.model, *(label for label, _ in backend.related_models)) if label]


def _find(label: str) -> type[Model] | None:
    try:
        return apps.get_model(label)
    except (LookupError, ValueError):
        return None
