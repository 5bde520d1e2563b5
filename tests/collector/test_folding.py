"""What happens to objects in one unit, and the operations that remain."""

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F

from orchestration import Operation, orchestrate
from tests.services.collecting import rolled_back
from tests.webapps.models import Domain, Mailbox, Page, StaticApp, Volume, WebApp, WordPress

pytestmark = [pytest.mark.django_db, pytest.mark.databases]


@pytest.fixture
def backend(define, everywhere):
    made = define("Apps", "webapps.WebApp")
    everywhere(made)
    return made


@pytest.fixture
def app(db):
    return WebApp.objects.create(name="old")


# Saves


def test_a_new_object_is_saved(backend, collected):
    with collected() as operations:
        app = WebApp.objects.create(name="shop")
    assert operations == [("save", app)]


def test_a_later_save_replaces_an_earlier_one_and_moves_to_the_end(backend, app, collected):
    with collected() as operations:
        app.name = "first"
        app.save()
        other = WebApp.objects.create(name="other")
        app.name = "second"
        app.save()
    assert operations == [("save", other), ("save", app)]
    assert operations[1][1].name == "second"


def test_values_that_the_database_computes_are_read(define, collected):
    define("Volumes", "webapps.Volume")
    with orchestrate.disabled():
        volume = Volume.objects.create(size=1)
    volume.refresh_from_db()
    with collected() as operations:
        volume.size = 5
        volume.save()
    assert operations[0][1].twice == 10


def test_changes_that_were_never_saved_are_not_seen(backend, app, collected):
    with collected() as operations:
        app.data = {"php": {"version": 8}}
        app.save()
        app.name = "not saved"
        app.data["php"]["version"] = 5
    assert operations[0][1].name == "old"
    assert operations[0][1].data == {"php": {"version": 8}}


def test_changes_that_were_never_saved_are_not_seen_when_other_fields_were(backend, app, collected):
    with collected() as operations:
        app.size_mb = 999
        app.name = "new"
        app.save(update_fields=["name"])
    assert (operations[0][1].name, operations[0][1].size_mb) == ("new", 1)


def test_attributes_that_are_no_fields_are_kept(backend, app, collected):
    with collected() as operations:
        app._password = "secret"
        app.save(update_fields=["name"])
    assert operations[0][1]._password == "secret"


def test_expressions_are_read_as_the_database_computed_them(backend, app, collected):
    with collected() as operations:
        app.size_mb = F("size_mb") + 41
        app.save()
    assert operations[0][1].size_mb == 42


def test_deferred_fields_are_read(backend, app, collected):
    with collected() as operations:
        WebApp.objects.only("name").get(pk=app.pk).save()
    assert operations[0][1].type == "static"


def test_a_key_given_as_text_is_the_same_key(backend, app, collected):
    with collected() as operations:
        app.save()
        app.pk = str(app.pk)
        app.save()
    assert [action for action, _ in operations] == ["save"]


@pytest.mark.parametrize("model", [StaticApp, WordPress])
def test_a_proxy_or_child_is_saved_as_an_object_of_the_backends_model(backend, collected, model):
    with collected() as operations:
        saved = model.objects.create(name="shop")
        WebApp.objects.get(pk=saved.pk).save()
        saved.save()
    assert [(action, type(found), found.pk) for action, found in operations] == [("save", WebApp, saved.pk)]


def test_a_backend_of_a_child_does_not_see_its_parent(define, collected):
    define("WP", "webapps.WordPress")
    with collected() as operations:
        WebApp.objects.create(name="shop")
        child = WordPress.objects.create(name="blog")
    assert operations == [("save", child)]


# update_fields


@pytest.mark.parametrize(
    ("fields", "expected"),
    [(["comment"], []), (["comment", "target_id"], []), (["comment", "name"], ["save"]), (None, ["save"])],
)
def test_fields_that_mean_nothing_to_the_backend(define, app, collected, fields, expected):
    define("Apps", "webapps.WebApp", ignore_fields=["comment", "target"])
    with collected() as operations:
        app.save(update_fields=fields)
    assert [action for action, _ in operations] == expected


def test_a_full_save_of_deferred_fields_is_ignored_too(define, app, collected):
    define("Apps", "webapps.WebApp", ignore_fields=["comment"])
    with collected() as operations:
        WebApp.objects.only("comment").get(pk=app.pk).save()
    assert operations == []


# Deletes


def test_delete_cancels_an_earlier_save(backend, app, collected):
    key = app.pk
    with collected() as operations:
        app.save()
        app.delete()
    assert [(action, found.pk) for action, found in operations] == [("delete", key)]


def test_what_was_created_and_deleted_leaves_nothing(backend, collected):
    with collected() as operations:
        app = WebApp.objects.create(name="shop")
        app.save()
        app.delete()
    assert operations == []


def test_a_save_after_a_delete_of_the_same_key_leaves_both(backend, app, collected):
    key = app.pk
    with collected() as operations:
        app.delete()
        WebApp.objects.create(pk=key, name="anew")
    assert [(action, found.name) for action, found in operations] == [("delete", "old"), ("save", "anew")]


def test_the_earlier_delete_stays_when_its_successor_was_created_and_deleted(backend, app, collected):
    key = app.pk
    with collected() as operations:
        app.delete()
        WebApp.objects.create(pk=key, name="anew").delete()
    assert [(action, found.name) for action, found in operations] == [("delete", "old")]


@pytest.mark.parametrize(("model", "expected"), [(StaticApp, []), (WordPress, [])])
def test_a_proxy_or_child_created_and_deleted_leaves_nothing(backend, collected, model, expected):
    with collected() as operations:
        model.objects.create(name="shop").delete()
    assert operations == expected


def test_a_child_added_to_a_parent_that_existed_is_deleted(backend, app, collected):
    with collected() as operations:
        child = WordPress(webapp_ptr=app, name="old", created=app.created)
        child.save()
        child.delete()
    assert [action for action, _ in operations] == ["delete"]


def test_deleting_a_child_but_not_its_parent_deletes_nothing(backend, collected):
    child = WordPress.objects.create(name="blog")
    with collected() as operations:
        child.delete(keep_parents=True)
    assert operations == []


def test_deletes_of_a_queryset_and_of_a_cascade_are_seen(backend, collected):
    owner = get_user_model().objects.create(username="ann")
    WebApp.objects.create(name="one", owner=owner)
    WebApp.objects.create(name="two")
    with collected() as operations:
        WebApp.objects.filter(name="two").delete()
        owner.delete()
    assert [(action, found.name) for action, found in operations] == [("delete", "two"), ("delete", "one")]


def test_a_delete_that_no_active_route_matches_is_not_kept(define, everywhere, app, collected):
    everywhere(define("Apps", "webapps.WebApp"), match="instance.name == 'other'")
    with collected() as operations:
        app.save()
        app.delete()
    assert operations == []


def test_a_backend_without_a_delete_does_not_delete(define, everywhere, app, collected):
    everywhere(define("Apps", "webapps.WebApp", actions=["save"]))
    with collected() as operations:
        app.save()
        app.delete()
    assert operations == []


def test_fields_that_were_deferred_are_known_after_the_delete(backend, app, collected):
    with collected() as operations:
        WebApp.objects.only("pk").get(pk=app.pk).delete()
    assert operations[0][1].name == "old"


def test_relations_that_the_context_follows_are_known_after_the_delete(define, everywhere, collected):
    calls = []

    def get_context(self, page):
        calls.append(page)
        return {"app": page.webapp.name}

    everywhere(define("Pages", "webapps.Page", get_context=get_context))
    Page.objects.create(webapp=WebApp.objects.create(name="shop"), path="/")
    with collected() as operations:
        WebApp.objects.get().delete()
    page = operations[0][1]
    assert calls == [page]
    assert page.webapp.name == "shop"


def test_what_is_gone_already_may_be_deleted_again_although_it_was_not_loaded_whole(backend, app, collected):
    app = WebApp.objects.only("name").get()
    with orchestrate.disabled():
        WebApp.objects.all().delete()
    with collected() as operations:
        app.delete()
    assert operations == []


def test_a_backend_may_look_before_the_delete(define, everywhere, app, collected):
    def before_delete(self, app):
        app.was_alone = not WebApp.objects.exclude(pk=app.pk).exists()

    everywhere(define("Apps", "webapps.WebApp", before_delete=before_delete))
    with collected() as operations:
        app.delete()
    assert operations[0][1].was_alone


# Savepoints


@pytest.mark.lesson(2)
def test_a_rolled_back_savepoint_takes_its_operations_along(backend, app, collected):
    with collected() as operations:
        app.save()
        with rolled_back():
            app.delete()
            WebApp.objects.create(name="preview")
    assert operations == [("save", WebApp.objects.get())]


@pytest.mark.lesson(2)
def test_a_savepoint_inside_a_rolled_back_one_goes_along(backend, app, collected):
    with collected() as operations:
        with rolled_back(), transaction.atomic():
            app.save()
        WebApp.objects.create(name="after")
    assert [found.name for _, found in operations] == ["after"]


@pytest.mark.lesson(2)
def test_a_released_savepoint_keeps_its_operations(backend, app, collected):
    with collected() as operations:
        with transaction.atomic():
            app.save()
        with rolled_back():
            WebApp.objects.create(name="preview")
    assert operations == [("save", app)]


# Its name since Django 6.1.
create_savepoint = getattr(transaction, "savepoint_create", None) or transaction.savepoint


def test_savepoints_made_by_hand_count_too(backend, app, collected):
    with collected() as operations:
        app.save()
        mark = create_savepoint()
        WebApp.objects.create(name="preview")
        transaction.savepoint_rollback(mark)
        mark = create_savepoint()
        kept = WebApp.objects.create(name="kept")
        transaction.savepoint_commit(mark)
    assert operations == [("save", app), ("save", kept)]


def test_the_execute_wrappers_of_others_are_left_alone(backend, app, collected):
    before = list(connection.execute_wrappers)
    seen = []

    def watch(execute, sql, params, many, context):
        seen.append(sql)
        return execute(sql, params, many, context)

    with collected() as operations:
        with connection.execute_wrapper(watch):
            app.save()
        count = len(seen)
        with rolled_back():
            app.delete()
    assert [action for action, _ in operations] == ["save"]
    assert len(seen) == count
    assert connection.execute_wrappers == before


# Nothing


def test_fixtures_ask_for_nothing(backend, app, collected, tmp_path):
    app.domains.add(Domain.objects.create(name="example.org"))
    fixture = tmp_path / "apps.json"
    call_command("dumpdata", "webapps", output=str(fixture))
    with collected() as operations:
        call_command("loaddata", str(fixture), verbosity=0)
    assert operations == []
    with collected() as operations:
        app.domains.clear()
    assert [action for action, _ in operations] == ["save"]


def test_disabled_blocks_ask_for_nothing(backend, app, collected):
    with collected() as operations:
        with orchestrate.disabled():
            app.save()
        Mailbox.objects.create(address="ann@example.org")
    assert operations == []


def test_bulk_changes_are_asked_for_by_hand(backend, app, collected):
    with collected() as operations:
        WebApp.objects.update(size_mb=7)
    assert operations == []
    by_hand = Operation.create_for_action(WebApp.objects.all(), "save")
    assert [str(operation) for operation in by_hand] == ["Apps.save(old)"]
