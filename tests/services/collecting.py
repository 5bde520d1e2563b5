"""Backends for one test, routed to one server, and an executor that only notes what it is woken for."""

from contextlib import contextmanager, suppress

import pytest
from django.db import connection, transaction

from orchestration import ServiceController, backends, executors
from orchestration.models import Route, Server


class Preview(Exception):
    """Raised to roll back."""


@contextmanager
def rolled_back(block=None):
    """A savepoint (or another block) that is rolled back and caught, as previews of imports do it."""
    with suppress(Preview), block or transaction.atomic():
        yield
        raise Preview


def disconnected(function):
    """Return the function, which leaves no connection behind in its thread."""

    def call(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        finally:
            connection.close()
            connection._close()

    return call


@pytest.fixture
def define():
    """Return a function that defines a backend with attributes; it is forgotten after the test."""
    made = []

    def define(name, model, **attributes):
        backend = type(name, (ServiceController,), {"model": model, **WRITES, **attributes})
        made.append(backend)
        return backend

    yield define
    for backend in made:
        backends.forget(backend)


def _write(action):
    def write(self, obj):
        self.append(f"echo {action} {obj.pk}")

    return write


WRITES = {"save": _write("save"), "delete": _write("delete")}


@pytest.fixture
def web1(db):
    """Return a server; nothing runs there unless a test asks for it."""
    return Server.objects.create(name="web1")


@pytest.fixture
def everywhere(web1):
    """Return a function that routes all objects of backends to the server."""

    def everywhere(*backends, **attributes):
        return [Route.objects.create(backend=each.get_name(), host=web1, **attributes) for each in backends]

    return everywhere


class Recorder:
    """Used by its dotted path in ORCHESTRATION_EXECUTOR."""

    def __init__(self):
        self.woken = []

    def wake(self, lanes):
        assert not connection.in_atomic_block, "woken before COMMIT"
        self.woken.append(list(lanes))

    def start(self):
        """Nothing is looked for."""

    def stop(self):
        """Nothing runs."""


@pytest.fixture
def woken(settings):
    """Let an executor note the lanes it is woken for, and return its list."""
    settings.ORCHESTRATION_EXECUTOR = "tests.services.collecting.Recorder"
    settings.ORCHESTRATION_DISABLE_EXECUTION = False
    recorder = executors.get()
    recorder.woken.clear()
    return recorder.woken
