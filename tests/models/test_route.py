"""Routes: what may be saved, and what saving, switching off and deleting one does."""

import io
import uuid

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, connection, models

from orchestration.backends import ServiceController
from orchestration.exceptions import RouteBroken
from orchestration.models import Route, ScriptLog, Server
from orchestration.models import routes as routes_module
from tests.webapps.models import Domain, WebApp

pytestmark = pytest.mark.django_db


@pytest.fixture
def sites(backend):
    class Sites(ServiceController):
        model = "webapps.WebApp"
        default_route_match = "webapp.type == 'static'"

        def save(self, webapp):
            pass

        def delete(self, webapp):
            pass

    return backend(Sites)


@pytest.fixture
def route(sites, server):
    host = server("web1")
    return lambda match="True", **fields: Route(**{"backend": "Sites", "host": host, "match": match} | fields)


def errors_of(route):
    with pytest.raises(ValidationError) as caught:
        route.full_clean()
    return caught.value.message_dict


def test_a_new_route_matches_everything_is_active_and_waited_for():
    fresh = Route()

    assert (fresh.match, fresh.is_active, fresh.run_async, fresh.async_actions) == ("True", True, False, [])


def test_a_host_takes_a_backend_once(route):
    route().save()

    assert "already exists" in str(errors_of(route()))
    with pytest.raises(IntegrityError):
        route().save()


def test_the_text_of_an_expression_may_have_a_thousand_characters(route):
    longest = "webapp.name != '" + "x" * 983 + "'"
    assert len(longest) == 1000
    route(longest).full_clean()

    assert "1000" in str(errors_of(route(longest + " "))["match"])


# The backend


def test_a_new_route_needs_a_backend_that_is_installed(route):
    assert errors_of(route(backend="Gone")) == {"backend": ["No backend named Gone is installed."]}


def test_a_route_whose_backend_was_uninstalled_can_still_be_changed(route):
    old = route(backend="Gone")
    old.save()
    old.run_async = True

    old.full_clean()


def test_a_route_cannot_be_turned_to_a_backend_that_is_not_installed(route):
    changed = route()
    changed.save()
    changed.backend = "Gone"

    assert "backend" in errors_of(changed)


def test_an_empty_expression_becomes_the_default_of_the_backend(route):
    empty = route("  ")
    empty.full_clean()

    assert empty.match == "webapp.type == 'static'"


def test_an_empty_expression_that_is_only_saved_matches_everything(route):
    empty = route("")
    empty.save()

    assert empty.match == "True"


# Actions that nobody waits for


@pytest.mark.parametrize("actions", [[], ["save"], ["delete", "save"]])
def test_actions_of_the_backend_may_be_asynchronous(actions, route):
    route(async_actions=actions).full_clean()


@pytest.mark.parametrize("actions", [["monitor"], [1], [["save"]], [None], "save", {"save": 1}, 5])
def test_other_actions_are_refused(actions, route):
    assert "async_actions" in errors_of(route(async_actions=actions))


def test_an_unknown_action_is_named_beside_those_there_are(route):
    [message] = errors_of(route(async_actions=["save", "monitor"]))["async_actions"]

    assert message == "Sites has no action monitor; it has save, delete."


@pytest.mark.lesson(13)
def test_asynchronous_is_the_route_or_the_action(route):
    assert [route(async_actions=["save"]).action_is_async(action) for action in ("save", "delete")] == [
        True,
        False,
    ]
    assert route(run_async=True).action_is_async("save")


# The expression


@pytest.mark.lesson(28)
@pytest.mark.parametrize(
    ("match", "message"),
    [
        ("instance.delete()", "'delete()' changes something: routes only read. (character 10)"),
        ("webapp.type ==", "This is no Python expression: invalid syntax. (character 15)"),
        ("website.type == 'x'", "The name 'website' is not known: use instance, obj, webapp. (character 1)"),
    ],
)
def test_an_expression_that_is_none_or_not_safe_is_a_form_error_with_its_position(match, message, route):
    assert errors_of(route(match)) == {"match": [message]}


@pytest.mark.lesson(29)
@pytest.mark.parametrize("name", ["oldest", "newest"])
def test_the_expression_is_tried_on_the_oldest_and_on_the_newest_objects(name, route):
    WebApp.objects.create(name="oldest")
    WebApp.objects.bulk_create(WebApp(name=f"app{number}") for number in range(routes_module.SAMPLE * 3))
    WebApp.objects.create(name="newest")

    [message] = errors_of(route(f"webapp.name != '{name}' or webapp.target.name"))["match"]

    assert message.startswith(f"It fails for web app '{name}': None has no 'name': ask first")
    assert message.endswith("(character 42)")


def test_the_sample_is_bounded(route, django_assert_num_queries):
    WebApp.objects.bulk_create(WebApp(name=f"app{number}") for number in range(100))
    sample = list(routes_module.sample(WebApp, "default"))

    assert len(sample) == len(set(sample)) == 2 * routes_module.SAMPLE


@pytest.mark.databases
def test_trying_an_expression_leaves_no_trace_in_the_database(route, monkeypatch):
    def nosy(self):
        Domain.objects.create(name=f"seen-{self.pk}.example")
        return True

    monkeypatch.setattr(WebApp, "nosy", property(nosy), raising=False)
    WebApp.objects.create(name="example")

    route("webapp.nosy").full_clean()

    assert not Domain.objects.exists()
    assert not connection.needs_rollback


@pytest.mark.databases
def test_an_expression_that_the_database_refuses_leaves_the_transaction_usable(route):
    WebApp.objects.create(name="example").domains.add(Domain.objects.create(name="x.cat"))

    assert "It fails for web app 'example'" in str(
        errors_of(route("webapp.domains.filter(pk=10 * 10 * 10.5 / 0)"))
    )
    assert "match" in errors_of(route("webapp.domains.filter(nothing=1).exists()"))
    assert WebApp.objects.count() == 1


def test_matches_names_the_route_that_fails(route):
    failing = route("webapp.target.name")
    failing.save()

    with pytest.raises(RouteBroken, match="Sites@web1 failed") as caught:
        failing.matches(WebApp(name="example"))

    assert (caught.value.route, caught.value.position) == (failing.pk, 14)


def test_matches_is_true_or_false_whatever_the_value(route):
    webapp = WebApp.objects.create(name="example")

    assert route("webapp.name").matches(webapp) is True
    assert route("webapp.domains").matches(webapp) is False


def test_a_route_of_an_uninstalled_backend_still_matches_by_the_name_of_the_model(route):
    assert route("webapp.name == 'x'", backend="Gone").matches(WebApp(name="x"))


# Switching, changing, deleting


def test_disable_and_enable_store_nothing_but_the_switch(route):
    stored = route()
    stored.save()
    stored.match = "False"

    stored.disable()
    assert not Route.objects.active().exists()

    stored.enable()
    assert Route.objects.active().get().match == "True"


def test_enabling_a_broken_route_makes_it_whole_again(route):
    stored = route()
    stored.save()
    Route.objects.update(broken="Why", is_active=False)

    stored.enable()

    assert Route.objects.get().broken == ""


def test_changing_or_deleting_a_route_touches_no_waiting_work(route, server):
    used = route()
    used.save()
    lane = used.host.lanes.create()
    log = ScriptLog.objects.create(
        backend="Sites", server=used.host, server_name="web1", lane=lane, number=1, unit=uuid.uuid4(),
        route=used, script="echo 1", payload=b"sealed",
    )  # fmt: skip
    before = ScriptLog.objects.filter(pk=log.pk).values().get()

    used.host = server("web2")
    used.disable()
    used.save()
    assert ScriptLog.objects.filter(pk=log.pk).values().get() == before

    used.delete()
    assert ScriptLog.objects.filter(pk=log.pk).values().get() == before | {"route_id": None}


def test_a_route_goes_with_its_server(route):
    stored = route()
    stored.save()

    stored.host.delete()

    assert not Route.objects.exists()


# Migrations


@pytest.mark.lesson(32)
def test_a_backend_or_a_setting_writes_no_migration(backend, settings):
    class Latecomer(ServiceController):
        model = "webapps.WebApp"
        actions = ("save", "polish")

    backend(Latecomer)
    settings.ORCHESTRATION_OS_CHOICES = [("PLAN9", "Plan 9")]
    settings.ORCHESTRATION_DEFAULT_OS = "PLAN9"

    call_command("makemigrations", "orchestration", check=True, dry_run=True, stdout=io.StringIO())


@pytest.mark.lesson(32)
def test_a_backend_that_comes_late_can_be_routed_at_once(backend, server):
    class Latecomer(ServiceController):
        model = "webapps.WebApp"

    backend(Latecomer)

    Route(backend="Latecomer", host=server("web1")).full_clean()


def test_primary_keys_are_big_whatever_the_project_says(settings):
    settings.DEFAULT_AUTO_FIELD = "django.db.models.AutoField"

    assert all(isinstance(model._meta.pk, models.BigAutoField) for model in (Route, Server, ScriptLog))
