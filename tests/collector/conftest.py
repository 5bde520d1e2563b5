"""Backends for one test, and units whose operations the test looks at."""

from contextlib import contextmanager, suppress

import pytest
from django.db import transaction

from orchestration import ServiceController, backends, orchestrate
from orchestration.models import Route, Server


class Preview(Exception):
    """Raised to roll back."""


@contextmanager
def rolled_back():
    """A savepoint that is rolled back and caught, as previews of imports do it."""
    with suppress(Preview), transaction.atomic():
        yield
        raise Preview


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
def server(db):
    """Return a server that no method can reach by mistake: nothing runs in tests."""
    return Server.objects.create(name="web1", connection="local")


@pytest.fixture
def everywhere(server):
    """Return a function that routes all objects of backends to the server."""

    def everywhere(*backends, **attributes):
        return [Route.objects.create(backend=each.get_name(), host=server, **attributes) for each in backends]

    return everywhere


@pytest.fixture
def collected():
    """Return a context manager that yields a list, in the end filled with (action, object) pairs.

    The unit is rolled back then, so that nothing is written.
    """

    @contextmanager
    def collected():
        found = []
        with orchestrate() as unit:
            yield found
            found += [(each.action, each.instance) for each in unit.operations()]
            transaction.set_rollback(True)

    return collected
