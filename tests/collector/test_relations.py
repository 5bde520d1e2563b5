"""Objects that are concerned because something related to them changed."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from orchestration.exceptions import BackendFailed
from tests.services.collecting import rolled_back
from tests.webapps.models import (
    Domain,
    Feed,
    MailingList,
    Membership,
    Page,
    Peer,
    Reader,
    Target,
    WebApp,
    WordPress,
)

pytestmark = [pytest.mark.django_db, pytest.mark.databases]

RELATED = [
    ("webapps.Page", "webapp"),
    ("webapps.Target", "webapps"),
    ("webapps.Domain", "webapps"),
    ("auth.User", "webapps"),
]


@pytest.fixture
def backend(define, everywhere):
    made = define("Apps", "webapps.WebApp", related_models=RELATED)
    everywhere(made)
    return made


@pytest.fixture
def app(db):
    return WebApp.objects.create(name="shop")


@pytest.fixture
def domain(db):
    return Domain.objects.create(name="example.org")


# related_models


def test_a_change_of_a_related_object_saves_the_object_it_leads_to(backend, app, collected):
    with collected() as operations:
        Page.objects.create(webapp=app, path="/")
    assert operations == [("save", app)]


def test_a_related_object_leads_to_many_through_a_manager(backend, collected):
    target = Target.objects.create(name="php")
    apps = [WebApp.objects.create(name=name, target=target) for name in ("one", "two")]
    with collected() as operations:
        target.save()
    assert operations == [("save", app) for app in apps]


def test_a_path_of_two_steps(define, app, collected):
    define("Owners", "auth.User", related_models=[("webapps.Page", "webapp__owner")])
    app.owner = get_user_model().objects.create(username="ann")
    app.save()
    with collected() as operations:
        Page.objects.create(webapp=app, path="/")
    assert operations == [("save", app.owner)]


@pytest.mark.lesson(29)
@pytest.mark.parametrize("path", ["webapp", "webapp__target__webapps", "webapp__wordpress__webapp_ptr"])
def test_a_null_on_the_way_leads_nowhere(define, app, collected, path):
    define("Apps", "webapps.WebApp", related_models=[("webapps.Page", path)])
    with collected() as operations:
        Page.objects.create(webapp=None, path="/")
        if path != "webapp":
            Page.objects.create(webapp=app, path="/")
    assert operations == []


def test_the_object_has_its_newest_state_and_keeps_other_attributes(backend, app, collected):
    with collected() as operations:
        app._password = "secret"
        app.save()
        WebApp.objects.update(name="changed unseen")
        Page.objects.create(webapp=app, path="/")
    assert [(found.name, found._password) for _, found in operations] == [("changed unseen", "secret")]


def test_a_delete_of_a_related_object_saves_the_object_it_led_to(backend, app, collected):
    page = Page.objects.create(webapp=app, path="/")
    with collected() as operations:
        page.delete()
    assert operations == [("save", app)]


@pytest.mark.parametrize("first", ["page", "app"])
def test_an_object_that_goes_is_not_saved(backend, app, collected, first):
    key = app.pk
    page = Page.objects.create(webapp=app, path="/")
    with collected() as operations:
        if first == "page":
            page.save()
        app.delete()
    assert [(action, found.pk) for action, found in operations] == [("delete", key)]


def test_set_null_saves_the_objects_that_pointed_to_what_goes(backend, collected):
    target = Target.objects.create(name="php")
    app = WebApp.objects.create(name="shop", target=target)
    with collected() as operations:
        target.delete()
    assert operations == [("save", app)]
    assert operations[0][1].target_id is None


def test_a_savepoint_takes_back_what_was_reached(backend, app, collected):
    with collected() as operations, rolled_back():
        Page.objects.create(webapp=app, path="/")
    assert operations == []


def test_many_changes_lead_to_one_save_without_a_query_each(
    backend, app, collected, django_assert_max_num_queries
):
    with collected() as operations:
        Page.objects.bulk_create(Page(webapp=app, path=str(n)) for n in range(20))
        pages = list(Page.objects.all())
        with django_assert_max_num_queries(20):
            for page in pages:
                page.save()
    assert operations == [("save", app)]


def test_a_backend_may_say_itself_what_is_related(define, app, collected):
    def get_related(cls, obj):
        return WebApp.objects.all()

    define(
        "Apps",
        "webapps.WebApp",
        related_models=[("webapps.Domain", "anything")],
        get_related=classmethod(get_related),
    )
    with collected() as operations:
        Domain.objects.create(name="example.org")
    assert operations == [("save", app)]


def test_a_path_that_does_not_exist_names_backend_and_path(define, collected):
    define("Apps", "webapps.WebApp", related_models=[("webapps.Page", "nowhere__else")])
    with (
        pytest.raises(BackendFailed, match=r"Apps .* webapps.Page by 'nowhere__else'") as caught,
        collected(),
    ):
        Page.objects.create(path="/")
    assert caught.value.backend == "Apps"


# Moving


@pytest.fixture
def page(app):
    return Page.objects.create(webapp=app, path="/")


@pytest.fixture
def other(db):
    return WebApp.objects.create(name="other")


def test_what_a_related_object_leaves_is_saved_too(backend, app, other, page, collected):
    with collected() as operations:
        page.webapp = other
        page.save()
    assert {found for _, found in operations} == {app, other}


@pytest.mark.parametrize("is_read", [False, True])
def test_what_was_not_loaded_is_left_too(backend, app, other, page, collected, is_read):
    page = Page.objects.defer("webapp").get()
    if is_read:
        assert page.webapp == app
    with collected() as operations:
        page.webapp = other
        page.save()
    assert {found for _, found in operations} == {app, other}


def test_a_move_costs_no_query(backend, app, other, page, collected, django_assert_num_queries):
    page.webapp = other
    with collected(), django_assert_num_queries(1):
        page.save()


def test_each_move_counts_from_where_the_one_before_ended(backend, app, other, collected):
    page = Page(path="/")
    page.webapp = app
    page.save()
    with collected() as operations:
        page.webapp = other
        page.save()
        page.save()
    assert {found for _, found in operations} == {app, other}
    page.webapp = other
    page.save()
    with collected() as operations:
        page.save()
    assert operations == [("save", other)]


@pytest.mark.parametrize(("fields", "moves"), [(["webapp"], True), (["webapp_id"], True), (["path"], False)])
def test_a_move_counts_when_it_is_saved(backend, app, other, page, collected, fields, moves):
    page.webapp = other
    with collected() as operations:
        page.save(update_fields=fields)
    assert (app in {found for _, found in operations}) == moves
    with collected() as operations:
        page.save()
    assert (app in {found for _, found in operations}) != moves


def test_a_pointer_that_was_not_loaded_did_not_move(backend, app, page, collected):
    with collected() as operations:
        Page.objects.only("path").get().save()
    assert operations == [("save", app)]


def test_a_link_that_moves_saves_the_end_that_it_leaves(define, domain, collected):
    define("Zones", "webapps.Domain")
    link = Membership.objects.create(mailinglist=MailingList.objects.create(name="news"), domain=domain)
    link.domain = other = Domain.objects.create(name="example.net")
    with collected() as operations:
        link.save()
    assert {found for _, found in operations} == {domain, other}


# Many-to-many


CHANGES = {
    "add": lambda near, far: near.add(far),
    "remove": lambda near, far: near.remove(far),
    "clear": lambda near, far: near.clear(),
    "set": lambda near, far: near.set([]),
}


@pytest.mark.lesson(7)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_many_to_many_changes_save_the_object(define, app, domain, collected, change, reverse):
    define("Apps", "webapps.WebApp")
    if change != "add":
        app.domains.add(domain)
    with collected() as operations:
        CHANGES[change](*((domain.webapps, app) if reverse else (app.domains, domain)))
    assert operations == [("save", app)]


@pytest.mark.lesson(7)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_explicit_through_models(define, domain, collected, change, reverse):
    define("Lists", "webapps.MailingList")
    found = MailingList.objects.create(name="news")
    if change != "add":
        found.domains.add(domain)
    with collected() as operations:
        CHANGES[change](*((domain.lists, found) if reverse else (found.domains, domain)))
    assert operations == [("save", found)]


def test_links_made_and_deleted_by_themselves(define, domain, collected):
    define("Lists", "webapps.MailingList")
    found = MailingList.objects.create(name="news")
    with collected() as operations:
        link = Membership.objects.create(mailinglist=found, domain=domain)
    assert operations == [("save", found)]
    link.save(force_insert=True)
    with collected() as operations:
        link.delete()
    assert operations == [("save", found)]


@pytest.mark.parametrize("attribute", ["domains", "webapps"])
def test_both_ends_are_saved_when_both_have_backends(define, app, domain, collected, attribute):
    define("Apps", "webapps.WebApp")
    define("Zones", "webapps.Domain")
    with collected() as operations:
        if attribute == "domains":
            app.domains.add(domain)
        else:
            domain.webapps.add(app)
    assert {found for _, found in operations} == {app, domain}


def test_links_of_a_related_object_save_what_it_leads_to(define, app, domain, collected):
    define("Owners", "auth.User", related_models=[("webapps.WebApp", "owner")])
    app.owner = get_user_model().objects.create(username="ann")
    app.save()
    with collected() as operations:
        domain.webapps.add(app)
    assert operations == [("save", app.owner)]


def test_links_of_a_child_save_it_as_its_backend_knows_it(define, domain, collected):
    define("WP", "webapps.WordPress")
    blog = WordPress.objects.create(name="blog")
    with collected() as operations:
        domain.webapps.add(blog.webapp_ptr)
    assert operations == [("save", blog)]


@pytest.mark.parametrize("model", ["webapps.WebApp", "webapps.MailingList"])
def test_the_other_end_deleted_saves_those_that_were_linked(define, app, domain, collected, model):
    define("Any", model)
    linked = MailingList.objects.create(name="news") if model.endswith("List") else app
    linked.domains.add(domain)
    with collected() as operations:
        domain.delete()
    assert operations == [("save", linked)]


def test_groups_of_users(define, collected):
    define("Users", "auth.User")
    user = get_user_model().objects.create(username="ann")
    group = Group.objects.create(name="staff")
    with collected() as operations:
        user.groups.add(group)
    assert operations == [("save", user)]


def test_links_that_were_there_already_ask_for_nothing(define, app, domain, collected):
    define("Apps", "webapps.WebApp")
    app.domains.add(domain)
    with collected() as operations:
        app.domains.add(domain)
        app.domains.set([domain])
    assert operations == []


def test_links_rolled_back(define, app, domain, collected):
    define("Apps", "webapps.WebApp")
    app.domains.add(domain)
    with collected() as operations, rolled_back():
        app.domains.clear()
    assert operations == []


@pytest.mark.parametrize("change", CHANGES)
def test_friends_are_saved_on_both_sides(define, collected, change):
    define("Peers", "webapps.Peer")
    ann, bob = (Peer.objects.create(name=name) for name in ("ann", "bob"))
    if change != "add":
        ann.friends.add(bob)
    with collected() as operations:
        CHANGES[change](ann.friends, bob)
    assert {found for _, found in operations} == {ann, bob}


def test_a_friend_deleted_saves_the_other(define, collected):
    define("Peers", "webapps.Peer")
    ann, bob = (Peer.objects.create(name=name) for name in ("ann", "bob"))
    ann.friends.add(bob)
    with collected() as operations:
        Peer.objects.filter(pk=bob.pk).delete()
    assert operations == [("save", ann)]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_links_that_point_to_something_else_than_a_key(define, collected, change, reverse):
    define("Feeds", "webapps.Feed")
    define("Readers", "webapps.Reader")
    reader, feed = Reader.objects.create(name="ann"), Feed.objects.create(slug="news")
    if change != "add":
        reader.feeds.add(feed)
    with collected() as operations:
        CHANGES[change](*((feed.readers, reader) if reverse else (reader.feeds, feed)))
    assert {found for _, found in operations} == {reader, feed}


def test_a_link_that_points_to_something_else_than_a_key_deleted(define, collected):
    define("Feeds", "webapps.Feed")
    reader, feed = Reader.objects.create(name="ann"), Feed.objects.create(slug="news")
    reader.feeds.add(feed)
    with collected() as operations:
        reader.delete()
    assert operations == [("save", feed)]
