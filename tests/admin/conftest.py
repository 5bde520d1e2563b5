"""People who log in, and rows for them to see."""

import uuid

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orchestration import ServiceController, backends
from orchestration.models import Lane, OperationLog, ScriptLog, Server


@pytest.fixture
def page(admin_client):
    """Return a function that gets a page of the admin and returns its answer."""

    def page(name, *args, **query):
        return admin_client.get(reverse(f"admin:orchestration_{name}", args=args, query=query))

    return page


@pytest.fixture
def server(db):
    return Server.objects.create(name="web1")


@pytest.fixture
def make_log(server):
    """Return a function that makes a log, with an operation for each object given."""

    def make_log(*instances, server=server, **fields):
        lane, _is_new = Lane.objects.get_or_create(server=server)
        fields = {"backend": "Nginx", "server_name": server.name, "unit": uuid.uuid4()} | fields
        log = ScriptLog.objects.create(server=server, lane=lane, number=lane.next_number, **fields)
        Lane.objects.filter(pk=lane.pk).update(next_number=lane.next_number + 1)
        for instance in instances:
            OperationLog.objects.create(
                log=log,
                backend=log.backend,
                action="save",
                content_type=ContentType.objects.get_for_model(instance),
                object_id="" if instance.pk is None else str(instance.pk),
                instance_repr=str(instance),
            )
        return log

    return make_log


@pytest.fixture
def install():
    """Return a function that installs a backend of a name; it is forgotten after the test."""
    installed = []

    def install(name):
        members = {"model": "webapps.WebApp", "save": lambda self, webapp: self.append("true")}
        installed.append(type(name, (ServiceController,), members))

    yield install
    for backend in installed:
        backends.forget(backend)


@pytest.fixture
def count_queries():
    """Return a function that runs another one and returns the SQL that it needed."""

    def count_queries(call):
        with CaptureQueriesContext(connection) as captured:
            call()
        return [query["sql"] for query in captured.captured_queries]

    return count_queries
