"""What every test may use: the database of --database, and small factories."""

import contextlib
import uuid

import pytest
from django.conf import settings as django_settings
from django.db import connections, transaction

from orchestration import executors, manager, testing
from orchestration.models import Server

from .services import databases


def pytest_addoption(parser):
    parser.addoption(
        "--database", choices=databases.KINDS, default="sqlite", help="the database of the tests"
    )


def pytest_collection_modifyitems(config, items):
    """On another database than SQLite, run only what says that the database matters."""
    if config.getoption("--database") == "sqlite":
        return
    config.hook.pytest_deselected(items=[item for item in items if not _needs_database(item)])
    items[:] = filter(_needs_database, items)


def _needs_database(item):
    return item.get_closest_marker("databases") is not None


@pytest.fixture(scope="session")
def django_db_modify_db_settings(request, django_db_modify_db_settings_parallel_suffix):
    """Start the database of --database before Django sets up the tables of the tests in it."""
    with databases.started(request.config.getoption("--database")) as configuration:
        django_settings.DATABASES = {"default": configuration}
        connections.settings = connections.configure_settings(None)
        if hasattr(connections._connections, "default"):
            del connections["default"]
        yield


@pytest.fixture
def backend():
    """Install a backend for this test: ``backend(Class)``; it is returned."""
    with contextlib.ExitStack() as stack:

        def install(cls):
            stack.enter_context(testing.registered(cls))
            return cls

        yield install


@pytest.fixture
def recording():
    """Let scripts run inline, in a RecordingMethod."""
    with testing.recorded() as method:
        yield method


@pytest.fixture
def threaded():
    """Let scripts run in threads, in a RecordingMethod; all threads have ended when the test has."""
    with testing.recorded(executor="threads") as method:
        yield method
        method.reset()
        executors.stop()


@pytest.fixture
def server():
    """Create servers: ``server("web1", is_active=False)``."""
    return lambda name="web1", **fields: Server.objects.create(name=name, **fields)


@pytest.fixture
def store():
    """Store scripts as a unit of their own; what was queued is returned."""

    def store(*scripts):
        with transaction.atomic():
            return manager.enqueue(scripts, unit=uuid.uuid4())

    return store
