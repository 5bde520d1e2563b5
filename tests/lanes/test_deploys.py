"""A deploy while work waits: what is stored runs as it was written, whatever the code says now."""

import pytest

from orchestration import ServiceController, lanes, orchestrate
from orchestration.models import Lane, Route, ScriptLog
from orchestration.testing import registered
from tests.webapps.models import Domain

pytestmark = [pytest.mark.databases, pytest.mark.django_db(transaction=True)]


def zone(line):
    """Return the backend as one version of the panel's code has it."""

    def save(self, domain):
        self.append(line, {"name": domain.name})

    attributes = {"abstract": True, "model": "webapps.Domain", "save": save}
    return type("DeployedZone", (ServiceController,), attributes)


@pytest.fixture
def waiting(recording, server):
    """Work that the old code has stored, for a server in maintenance; returns how to end that."""
    web = server(is_active=False)
    with registered(zone("echo old %(name)s")):
        Route.objects.create(backend="DeployedZone", host=web)
        with orchestrate():
            Domain.objects.create(name="example.org")

    def activate():
        web.is_active = True
        web.save(update_fields=["is_active"])
        lanes.drain(Lane.objects.get().pk)

    return activate


def test_old_text_runs_as_it_is_and_new_text_after_it(recording, waiting):
    with registered(zone("echo new %(name)s")):
        with orchestrate():
            Domain.objects.get().save()
        waiting()
    assert ["echo old example.org" in text for text in recording.texts] == [True, False]
    assert ["echo new example.org" in text for text in recording.texts] == [False, True]
    assert set(ScriptLog.objects.values_list("state", flat=True)) == {ScriptLog.SUCCESS}


def test_what_waits_runs_though_its_backend_is_not_installed_any_more(recording, waiting):
    with orchestrate() as unit:
        Domain.objects.get().save()  # the route is still there, and matches nothing
    assert unit.logs == []
    waiting()
    assert "echo old example.org" in recording.texts[0]
    assert ScriptLog.objects.get().state == ScriptLog.SUCCESS
