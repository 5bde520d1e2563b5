"""Checks of backends and of the models that they watch: names that exist, changes that can be seen."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.core import checks
from django.db import router
from django.db.models import Field, Model, deletion

from orchestration import backends, methods
from orchestration.backends import ServiceBackend
from orchestration.collector.watching import installed_model
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
            f"Backend {backend.get_name()} names the model '{label}', which is not installed.",
            hint="Write 'app_label.ModelName', and add its app to INSTALLED_APPS.",
            obj=backend,
            id="orchestration.E013",
        )
        for backend in backends.installed()
        for label in _labels(backend)
        if installed_model(label) is None
    ]


@checks.register
def check_paths(**kwargs: object) -> list[checks.CheckMessage]:
    """W021: a path of ``related_models`` begins with what the model does not have."""
    return [
        checks.Warning(
            f"Backend {backend.get_name()} follows '{path}' from {label}, which has no '{accessor}'.",
            hint=f"Give the accessors that lead from {label} to {backend.model}, joined by two underscores.",
            obj=backend,
            id="orchestration.W021",
        )
        for backend in backends.installed()
        for label, path in _paths(backend)
        if (model := installed_model(label)) and not hasattr(model, accessor := path.split("__")[0])
    ]


def _paths(backend: type[ServiceBackend]) -> Iterable[tuple[str, str]]:
    """Return the paths that are followed: none when the backend says itself what is related."""
    own = backend.get_related.__func__  # type: ignore[attr-defined]  # a method of the class
    base = ServiceBackend.get_related.__func__  # type: ignore[attr-defined]  # too
    return backend.related_models if own is base else ()


@checks.register
def check_after(**kwargs: object) -> list[checks.CheckMessage]:
    """W014: ``after`` names a backend that does not exist; circles are refused when a class is defined."""
    installed = {backend.get_name() for backend in backends.installed()}
    return [
        checks.Warning(
            f"Backend {backend.get_name()} runs after {name}, which is not installed.",
            hint="Correct the name, or install the app that has it.",
            obj=backend,
            id="orchestration.W014",
        )
        for backend in backends.installed()
        for name in backend.after
        if name not in installed
    ]


@checks.register
def check_default_matches(**kwargs: object) -> list[checks.CheckMessage]:
    """E015: the default expression of a backend's routes is not allowed."""
    return [
        checks.Error(
            f"The default_route_match of {backend.get_name()}, {backend.default_route_match!r}: {problem}",
            hint="The page on route expressions lists what they may contain.",
            obj=backend,
            id="orchestration.E015",
        )
        for backend in backends.installed()
        if (problem := _problem(backend))
    ]


def _problem(backend: type[ServiceBackend]) -> str:
    try:
        compile_expression(backend.default_route_match, (backend.model.rpartition(".")[2].lower(),))
    except UnsafeExpression as error:
        return str(error)
    return ""


@checks.register
def check_methods(**kwargs: object) -> list[checks.CheckMessage]:
    """E019: a backend names a method that cannot be imported."""
    return [
        checks.Error(
            f"Backend {backend.get_name()} has {attribute} = {name!r}, which is no method: {problem}.",
            hint=f"Choose from {', '.join(_methods())}, or give a dotted path.",
            obj=backend,
            id="orchestration.E019",
        )
        for backend in backends.installed()
        for attribute in ("script_method", "function_method")
        if (problem := _import_problem(name := getattr(backend, attribute)))
    ]


def _methods() -> list[str]:
    return [name for name in (methods.SSH, *methods.PATHS) if not _import_problem(name)]


def _import_problem(name: str) -> str:
    try:
        if name != methods.SSH:  # check E004 looks at what that means
            methods.get(name)
    except ImportError as error:
        return str(error).rstrip(".")
    return ""


@checks.register
def check_attributes(**kwargs: object) -> list[checks.CheckMessage]:
    """W020: an attribute of a backend that is almost one of ours, and so means nothing."""
    return [
        checks.Warning(
            f"Backend {backend.get_name()} has an attribute {name}, which means nothing here.",
            hint=f"Did you mean {meant}?",
            obj=backend,
            id="orchestration.W020",
        )
        for backend in backends.installed()
        for name, meant in _misspelt(backend)
    ]


def _misspelt(backend: type[ServiceBackend]) -> Iterator[tuple[str, str]]:
    """Yield attributes of a class that nothing reads, each with the one that it resembles."""
    for name, value in vars(backend).items():
        if name.startswith("_") or hasattr(ServiceBackend, name) or callable(value):
            continue
        for meant in difflib.get_close_matches(name, ServiceBackend.__annotations__, n=1, cutoff=0.85):
            yield name, meant


# Watched models


@checks.register(checks.Tags.models)
def check_databases(**kwargs: object) -> list[checks.CheckMessage]:
    """E016: a model and our tables are in different databases, so they cannot commit as one."""
    ours = router.db_for_write(ScriptLog)
    return [
        checks.Error(
            f"{model._meta.label} is written to database '{alias}', orchestration's tables to '{ours}'.",
            hint="Work is stored in the transaction of the save: route both to one database.",
            obj=model,
            id="orchestration.E016",
        )
        for model in watched_models()
        if (alias := router.db_for_write(model)) != ours
    ]


@checks.register(checks.Tags.models)
def check_cascades(**kwargs: object) -> list[checks.CheckMessage]:
    """E017: rows that the database deletes or changes by itself, so that nobody hears of it."""
    return [
        checks.Error(
            f"{field} has on_delete={action}: what the database changes by itself reaches no server.",
            hint=f"Use {str(action).removeprefix('DB_')}.",
            obj=field,
            id="orchestration.E017",
        )
        for field in _fields()
        if isinstance(action := getattr(field.remote_field, "on_delete", None), IN_DATABASE)
    ]


def _fields() -> Iterable[Field[Any, Any]]:  # Any: fields of all types
    """Return the fields of watched models, those of their parents too, once each."""
    return dict.fromkeys(field for model in watched_models() for field in model._meta.concrete_fields)


@checks.register(checks.Tags.models)
def check_keys(**kwargs: object) -> list[checks.CheckMessage]:
    """E018: a model with a composite primary key, which logs cannot point to."""
    return [
        checks.Error(
            f"{model._meta.label} has a composite primary key.",
            hint="Give it a key of one field, and a UniqueConstraint for the others.",
            obj=model,
            id="orchestration.E018",
        )
        for model in watched_models()
        if len(model._meta.pk_fields) > 1
    ]


def watched_models() -> list[type[Model]]:
    """Return the models that backends name, and the children of these."""
    found = (installed_model(label) for backend in backends.installed() for label in _labels(backend))
    named = tuple({model for model in found if model is not None})
    return [model for model in apps.get_models(include_auto_created=True) if issubclass(model, named)]


def _labels(backend: type[ServiceBackend]) -> list[str]:
    """Return the labels of a backend's model, and of its related models."""
    return [backend.model, *(label for label, _ in backend.related_models)]
