"""Two people who change different rows that one script is written from."""

import threading

import pytest
from django.db import connection

from orchestration import orchestrate
from orchestration.models import Route, ScriptLog
from tests.services.concurrency import in_threads
from tests.webapps.models import Page, WebApp

pytestmark = [pytest.mark.databases, pytest.mark.django_db(transaction=True)]


def _write(self, webapp):
    self.append(
        "echo " + " ".join([webapp.name, *webapp.pages.order_by("pk").values_list("path", flat=True)])
    )


@pytest.fixture
def webapp(define, server, recording):
    define("Pages", "webapps.WebApp", related_models=[("webapps.Page", "webapp")], save=_write)
    Route.objects.create(backend="Pages", host=server())
    with orchestrate.disabled():
        webapp = WebApp.objects.create(name="shop")
        Page.objects.bulk_create([Page(webapp=webapp, path="a"), Page(webapp=webapp, path="b")])
        return webapp


def last_script():
    return ScriptLog.objects.order_by("number").last().script


def test_the_later_script_has_the_changes_of_both(webapp):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time")
    both_have_saved = threading.Barrier(2)

    def change(path):
        with orchestrate():
            page = Page.objects.get(path=path)
            page.path = path * 2
            page.save()
            both_have_saved.wait(10)

    assert in_threads(lambda: change("a"), lambda: change("b")) == [None, None]
    assert ScriptLog.objects.count() == 2
    assert "echo shop aa bb" in last_script()


def test_what_others_change_meanwhile_in_the_object_itself_is_in_the_script(webapp):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time")
    has_saved, may_go = threading.Event(), threading.Event()

    def change_page():
        with orchestrate():
            Page.objects.filter(path="a").first().save()
            has_saved.set()
            assert may_go.wait(10)

    def rename():
        assert has_saved.wait(10)
        with orchestrate():
            WebApp.objects.get().save()
            WebApp.objects.update(name="store")
        may_go.set()

    assert in_threads(change_page, rename) == [None, None]
    assert "echo store a b" in last_script()


def test_one_after_the_other_each_script_has_what_was_before(webapp):
    for path in ("a", "b"):
        with orchestrate():
            page = Page.objects.get(path=path)
            page.path = path * 2
            page.save()
    assert "echo shop aa bb" in last_script()
