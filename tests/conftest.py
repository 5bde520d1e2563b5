"""What every test may use: the database of --database, and small factories."""

import pytest
from django.conf import settings as django_settings
from django.db import connections

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
