"""Copies of instances, and what may not reach them."""

import threading

import pytest
from django.db import models
from django.db.models import F
from django.db.models.fields.files import FieldFile

from orchestration.collector.snapshots import cast, snapshot
from tests.webapps.models import Mailbox, Page, StaticApp, WebApp, WordPress


def test_containers_are_copied_however_deep():
    app = WebApp(pk=1, data={"php": [{"version": 8}], "tags": {"a"}})
    copy = snapshot(app, "default")
    app.data["php"][0]["version"] = 5
    app.data["tags"].add("b")
    assert copy.data == {"php": [{"version": 8}], "tags": {"a"}}


def test_what_cannot_be_copied_is_shared():
    app = WebApp(pk=1)
    app.lock = threading.Lock()
    assert snapshot(app, "default").lock is app.lock


def test_the_key_is_kept_when_the_instance_loses_it():
    app = WebApp(pk=1)
    copy = snapshot(app, "default")
    app.pk = None
    assert copy.pk == 1


def test_caches_of_relations_are_left_behind():
    page = Page(pk=1, webapp=WebApp(pk=2, name="not saved"))
    page._prefetched_objects_cache = {"anything": []}
    copy = snapshot(page, "default")
    assert copy.webapp_id == 2
    assert not Page.webapp.is_cached(copy)
    assert not hasattr(copy, "_prefetched_objects_cache")
    assert (copy._state.adding, copy._state.db) == (False, "default")


def test_expressions_are_left_out():
    copy = snapshot(WebApp(pk=1, size_mb=F("size_mb") + 1), "default")
    assert copy.get_deferred_fields() == {"size_mb"}


def test_files_become_their_names():
    mailbox = Mailbox(address="ann@example.org")
    mailbox.avatar = FieldFile(mailbox, models.FileField(name="avatar"), "ann.png")
    copy = snapshot(mailbox, "default")
    mailbox.avatar.name = "other.png"
    assert copy.avatar == "ann.png"


@pytest.mark.parametrize("model", [StaticApp, WordPress])
def test_a_cast_changes_the_class_and_nothing_else(model):
    copy = cast(snapshot(model(pk=1, id=1, name="one"), "default"), WebApp)
    assert (type(copy), copy.pk, copy.name) == (WebApp, 1, "one")
