"""Changes outside any unit: what the settings make of them."""

import asyncio
import logging

import pytest
from django.db import connection, transaction
from django.db.models.signals import post_save

from orchestration import orchestrate
from orchestration.collector import Request, outside
from orchestration.exceptions import BackendFailed, OutsideUnit
from orchestration.models import Route, ScriptLog
from orchestration.signals import unit_failed
from tests.services.collecting import rolled_back
from tests.webapps.models import Domain, Mailbox, Page, Unwatched, WebApp

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]


@pytest.fixture
def backend(define, everywhere, woken, web1):
    web1.is_active = False
    web1.save()
    made = define("Apps", "webapps.WebApp")
    everywhere(made)
    return made


@pytest.fixture
def after_commit(settings):
    settings.ORCHESTRATION_OUTSIDE_UNIT = "after_commit"


def names():
    """Return what is stored: for each unit the names of its objects."""
    logs = ScriptLog.objects.order_by("pk")
    return [[each.instance_repr for each in log.operations.all()] for log in logs]


# warn, ignore, raise


def test_the_default_warns_once_a_model_and_names_the_remedy(backend, caplog, monkeypatch):
    monkeypatch.setattr(outside, "_warned", set())
    WebApp.objects.create(name="one").save()
    WebApp.objects.create(name="two")
    Unwatched.objects.create(name="three")
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "webapps.WebApp changed outside" in record.getMessage()
    assert "with orchestrate():" in record.getMessage()
    assert names() == []


def test_ignore_says_nothing(backend, caplog, settings):
    settings.ORCHESTRATION_OUTSIDE_UNIT = "ignore"
    WebApp.objects.create(name="one")
    assert (caplog.records, names()) == ([], [])


def test_raise_refuses_changes_before_they_happen(backend, settings):
    app = WebApp.objects.create(name="one")
    domain = Domain.objects.create(name="example.org")
    settings.ORCHESTRATION_OUTSIDE_UNIT = "raise"
    with pytest.raises(OutsideUnit, match=r"webapps\.WebApp"):
        WebApp.objects.create(name="two")
    with pytest.raises(OutsideUnit):
        app.delete()
    with pytest.raises(OutsideUnit):
        app.domains.add(domain)
    assert WebApp.objects.get() == app
    assert app.domains.count() == 0
    Unwatched.objects.create(name="three")
    with orchestrate.disabled():
        app.save()


# after_commit


def test_without_a_transaction_each_change_is_stored_at_once(backend, after_commit, woken):
    app = WebApp.objects.create(name="one")
    app.delete()
    assert names() == [["one"], ["one"]]
    assert len(woken) == 2


def test_a_transaction_is_stored_as_a_whole_after_its_commit(backend, after_commit, woken):
    with transaction.atomic():
        WebApp.objects.create(name="one")
        WebApp.objects.create(name="two")
        assert names() == []
    assert names() == [["one", "two"]]
    assert len(woken) == 1


def test_what_a_unit_has_stored_since_is_not_undone_by_an_older_state(
    define, everywhere, after_commit, woken
):
    everywhere(define("Apps", "webapps.WebApp", save=lambda self, app: self.append(f"echo {app.name}")))
    with transaction.atomic():
        app = WebApp.objects.create(name="old")
        with orchestrate():
            app.name = "new"
            app.save()
    scripts = ScriptLog.objects.order_by("number").values_list("script", flat=True)
    assert ["echo new" in script for script in scripts] == [True, True]


def test_what_a_unit_has_made_anew_since_is_saved_again_behind_the_delete(
    define, everywhere, after_commit, woken
):
    everywhere(define("Mailboxes", "webapps.Mailbox"))
    with orchestrate.disabled():
        Mailbox.objects.create(address="ann@example.org")
    with transaction.atomic():
        Mailbox.objects.all().delete()
        with orchestrate():
            Mailbox.objects.create(address="ann@example.org")
    actions = [[each.action for each in log.operations.all()] for log in ScriptLog.objects.order_by("number")]
    assert actions == [["save"], ["delete", "save"]]


@pytest.mark.lesson(2)
def test_savepoints_that_are_rolled_back_do_not_count(backend, after_commit):
    with transaction.atomic():
        with rolled_back():
            WebApp.objects.create(name="preview")
        WebApp.objects.create(name="one")
        with rolled_back():
            WebApp.objects.create(name="preview")
            with transaction.atomic():
                WebApp.objects.create(name="preview")
        WebApp.objects.create(name="two")
    assert names() == [["one", "two"]]


@pytest.mark.lesson(1)
def test_a_transaction_that_is_rolled_back_leaves_nothing_for_the_next_one(backend, after_commit):
    with rolled_back():
        WebApp.objects.create(name="preview")
    with transaction.atomic():
        WebApp.objects.create(name="one")
    assert names() == [["one"]]
    assert connection.execute_wrappers == []


def test_what_cannot_be_stored_is_reported_and_the_change_stands(backend, after_commit, caplog):
    failures = []

    def note(error, **kwargs):
        failures.append(error)

    unit_failed.connect(note)
    try:
        Route.objects.update(match="instance.owner.username == 'ann'")
        WebApp.objects.create(name="one")
    finally:
        unit_failed.disconnect(note)
    assert WebApp.objects.count() == 1
    assert names() == []
    assert len(failures) == 1
    assert Route.objects.get().broken != ""


@pytest.mark.django_db(transaction=False)
def test_test_cases_see_it_in_their_captured_callbacks(
    backend, after_commit, django_capture_on_commit_callbacks
):
    for name in ("one", "two"):
        with django_capture_on_commit_callbacks(execute=True):
            WebApp.objects.create(name=name)
    assert names() == [["one"], ["two"]]


# Requests, other databases


def test_tasks_that_outlive_their_request_are_outside(backend, caplog, settings):
    settings.ORCHESTRATION_OUTSIDE_UNIT = "ignore"

    async def run():
        is_over = asyncio.Event()

        async def late():
            await is_over.wait()
            return outside.find_unit(WebApp, "default")

        with Request("/"):
            task = asyncio.create_task(late())
            await asyncio.sleep(0)
        is_over.set()
        return await task

    assert asyncio.run(run()) is None


def test_changes_in_another_database_are_outside_of_the_unit(backend, settings):
    settings.ORCHESTRATION_OUTSIDE_UNIT = "raise"
    app = WebApp(pk=1, name="one")
    with orchestrate() as unit:
        post_save.send(WebApp, instance=app, created=True, raw=False, using="default", update_fields=None)
        with pytest.raises(OutsideUnit):
            post_save.send(WebApp, instance=app, created=True, raw=False, using="other", update_fields=None)
        assert len(unit.fold().operations()) == 1
        transaction.set_rollback(True)


def test_a_backend_that_fails_at_a_delete_stops_it(define, everywhere, after_commit):
    define("Apps", "webapps.WebApp", related_models=[("webapps.Page", "nowhere__else")])
    with orchestrate.disabled():
        page = Page.objects.create(path="/")
    with pytest.raises(BackendFailed):
        page.delete()
    assert Page.objects.count() == 1
