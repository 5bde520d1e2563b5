"""The router: which servers an operation runs on, and why."""

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from orchestration.backends import ServiceController
from orchestration.exceptions import RouteBroken
from orchestration.models import Route, Server
from orchestration.operations import Operation
from orchestration.router import Router, Target, get_router, mark_broken
from tests.webapps.models import Domain, Page, StaticApp, WebApp, WordPress

pytestmark = pytest.mark.django_db


@pytest.fixture
def sites(backend):
    class Sites(ServiceController):
        model = "webapps.WebApp"

    return backend(Sites)


@pytest.fixture
def pages(backend):
    class Pages(ServiceController):
        model = "webapps.Page"

    return backend(Pages)


@pytest.fixture
def route(sites, server):
    def create(match="True", host="web1", backend="Sites", **fields):
        host = Server.objects.filter(name=host).first() or server(host)
        return Route.objects.create(backend=backend, host=host, match=match, **fields)

    return create


@pytest.fixture
def webapp(db):
    return WebApp.objects.create(name="example", type="static")


@pytest.fixture
def save(sites, webapp):
    return Operation(sites, webapp, Operation.SAVE)


def names(targets):
    return [target.server_name for target in targets]


@pytest.mark.databases
def test_a_target_says_all_that_is_known_of_route_and_server(route, save):
    created = route(run_async=True, async_actions=["delete"], host="web1")

    targets = Router().targets(save)

    assert targets == (Target(created.pk, created.host_id, "web1", True, True, ("delete",)),)
    assert [type(value) for value in (targets[0].is_active, targets[0].run_async)] == [bool, bool]


@pytest.mark.databases
def test_targets_are_ordered_by_the_keys_of_their_servers(route, save, server):
    for name in ("c", "a", "b"):
        server(name)
    for name in ("a", "b", "c"):
        route(host=name)

    assert names(Router().targets(save)) == ["c", "a", "b"]


def test_only_routes_whose_expression_is_true_are_taken(route, save):
    route("instance.type == 'static'", host="web1")
    route("instance.type == 'php'", host="web2")
    route("webapp.name.startswith('ex') and obj.pk", host="web3")

    assert names(Router().targets(save)) == ["web1", "web3"]


def test_routes_of_other_backends_are_not_even_looked_at(route, save, pages):
    route()
    route("1 / 0", host="web2", backend="Pages")
    route("not an expression", host="web3", backend="Uninstalled")

    assert names(Router().targets(save)) == ["web1"]


def test_an_inactive_route_matches_nothing(route, save):
    route(is_active=False)

    assert Router().targets(save) == ()


def test_an_inactive_server_stays_a_target(route, save):
    Server.objects.filter(pk=route().host_id).update(is_active=False)

    [target] = Router().targets(save)

    assert target.is_active is False


def test_the_model_of_the_backend_names_the_object_whatever_its_class(route, sites):
    route("webapp.name == 'x'")

    for model in (WebApp, StaticApp, WordPress):
        instance = model.objects.create(name="x")
        assert names(Router().targets(Operation(sites, instance, "save"))) == ["web1"]


def test_servers_that_were_decided_are_kept(save, django_assert_num_queries):
    decided = (Target(1, 2, "gone"),)

    with django_assert_num_queries(0):
        assert Router().targets(Operation(save.backend, save.instance, "delete", decided)) is decided
        assert Router().targets(Operation(save.backend, save.instance, "delete", ())) == ()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target(1, 1, "web1"), False),
        (Target(1, 1, "web1", run_async=True), True),
        (Target(1, 1, "web1", async_actions=("save",)), True),
        (Target(1, 1, "web1", async_actions=("delete",)), False),
    ],
)
def test_a_target_knows_which_actions_nobody_waits_for(target, expected):
    assert target.is_async("save") is expected


# One read of the table


@pytest.mark.lesson(30)
@pytest.mark.parametrize("count", [0, 3])
def test_the_table_is_read_once_for_all_operations_of_a_unit(
    count, route, sites, pages, django_assert_num_queries
):
    for number in range(count):
        route(host=f"web{number}")
        route(host=f"web{number}", backend="Pages")
    router = Router()

    with django_assert_num_queries(1):
        for number in range(10):
            webapp = WebApp(pk=number, name="x")
            assert len(router.targets(Operation(sites, webapp, "save"))) == count
            assert len(router.targets(Operation(pages, Page(pk=number), "save"))) == count


@pytest.mark.lesson(30)
def test_a_router_that_is_asked_nothing_reads_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        get_router()


def test_each_unit_sees_what_others_changed_in_whatever_way(route, save):
    created = route()
    assert names(get_router().targets(save)) == ["web1"]

    Route.objects.filter(pk=created.pk).update(match="False")
    assert get_router().targets(save) == ()

    with connection.cursor() as cursor:
        cursor.execute("UPDATE orchestration_route SET match = %s", ["True"])
        cursor.execute("UPDATE orchestration_server SET name = %s", ["web9"])
    assert names(get_router().targets(save)) == ["web9"]

    Server.objects.all().delete()
    assert get_router().targets(save) == ()


@pytest.mark.lesson(30)
def test_a_match_on_fields_of_the_object_asks_the_database_nothing(route, save, django_assert_num_queries):
    route("instance.type == 'static' and instance.owner_id is None and instance.data.get('x') is None")

    with django_assert_num_queries(1):
        assert names(Router().targets(save)) == ["web1"]


# Routes that fail


@pytest.mark.lesson(29)
def test_a_route_that_fails_says_which_one_for_which_object_and_where(route, save):
    created = route("instance.type == 'static' and instance.target.name == 'x'")

    with pytest.raises(RouteBroken) as caught:
        Router().targets(save)

    error = caught.value
    assert (error.route, error.instance, error.position) == (created.pk, "web app 'example'", 46)
    assert "Sites@web1 failed for web app 'example': None has no 'name'" in str(error)
    assert "(character 47)" in str(error)


@pytest.mark.lesson(29)
def test_an_unsafe_expression_that_got_into_the_table_does_nothing(route, save):
    created = route()
    Route.objects.update(match="instance.delete()")

    with pytest.raises(RouteBroken, match="changes something") as caught:
        Router().targets(save)

    assert (caught.value.route, caught.value.position) == (created.pk, 9)
    assert WebApp.objects.exists()


def test_an_object_that_cannot_say_its_name_does_not_hide_the_error(route, save, monkeypatch):
    route("instance.target.name")
    monkeypatch.setattr(WebApp, "__str__", lambda self: self.missing)

    with pytest.raises(RouteBroken, match=f"web app {save.instance.pk}: None has no 'name'"):
        Router().targets(save)


def test_a_broken_route_is_marked_until_it_is_saved_again(route, save):
    created = route("instance.target.name")
    with pytest.raises(RouteBroken) as caught:
        Router().targets(save)

    mark_broken(caught.value)
    created.refresh_from_db()
    assert created.broken == str(caught.value)

    created.match = "True"
    created.save(update_fields=["match"])
    created.refresh_from_db()
    assert created.broken == ""


# Why


def test_explain_tells_of_each_route_and_of_each_part(route, save):
    route("instance.type == 'static'", host="web1")
    route("instance.owner is not None and instance.owner.is_superuser", host="web2")
    route("True", host="web3", is_active=False)
    route("instance.target.name == 'x'", host="web4")

    static, owner, inactive, failing = Router().explain(save)

    assert (static.server_name, static.is_match, static.is_target) == ("web1", True, True)
    assert static.parts == (("instance.type == 'static'", True), ("instance.type", "static"))
    assert (owner.is_match, owner.is_target, owner.parts[0]) == (
        False,
        False,
        ("instance.owner is not None", False),
    )
    assert (inactive.is_match, inactive.is_active, inactive.is_target) == (True, False, False)
    assert (failing.is_match, failing.is_target) == (None, False)
    assert "None has no 'name'" in failing.error
    assert "None has no 'name'" in str(failing.parts[0][1])


def test_explain_survives_an_expression_that_is_none(route, save):
    route()
    Route.objects.update(match="((")

    [explanation] = Router().explain(save)

    assert explanation.is_match is None
    assert explanation.parts == ()
    assert "no Python expression" in explanation.error


def test_a_match_follows_relations(route, save):
    route("any(d.name.endswith('.cat') for d in instance.domains.all())")
    assert Router().targets(save) == ()

    save.instance.domains.add(Domain.objects.create(name="x.cat"))
    assert names(Router().targets(save)) == ["web1"]


# Another router


class Nowhere(Router):
    def targets(self, operation):
        return ()


def test_the_router_can_be_replaced_by_a_setting(route, save, settings):
    route()
    settings.ORCHESTRATION_ROUTER = f"{__name__}.Nowhere"

    assert isinstance(get_router(), Nowhere)
    assert get_router().targets(save) == ()


# Routes as the manager of the model gives them


def test_get_for_operation_returns_the_routes_that_match(route, save):
    route("False", host="web1")
    second = route("True", host="web2")
    route("True", host="web3", is_active=False)
    route("True", host="web2", backend="Pages")

    assert Route.objects.get_for_operation(save) == [second]


@pytest.mark.lesson(30)
@pytest.mark.parametrize("count", [0, 1])
def test_get_for_operation_reads_once_into_its_cache(count, route, save, django_assert_num_queries):
    for _ in range(count):
        route()
    cache = {}

    with django_assert_num_queries(1):
        for _ in range(3):
            assert len(Route.objects.get_for_operation(save, cache=cache)) == count
            assert all(
                found.host.name == "web1" for found in Route.objects.get_for_operation(save, cache=cache)
            )


def test_get_for_operation_names_the_route_that_fails(route, save):
    created = route("instance.target.name")

    with pytest.raises(RouteBroken, match="Sites@web1 failed for web app 'example'") as caught:
        Route.objects.get_for_operation(save)

    assert caught.value.route == created.pk


@pytest.mark.databases
def test_every_database_gives_actions_and_flags_in_one_way(route, save):
    route(async_actions=["save", "é"], host="web1")
    route(async_actions=[], run_async=True, host="web2")
    Server.objects.filter(name="web2").update(is_active=False)

    first, second = Router().targets(save)

    assert (first.async_actions, first.run_async, first.is_active) == (("save", "é"), False, True)
    assert (second.async_actions, second.run_async, second.is_active) == ((), True, False)


def test_an_owner_is_followed_to_its_user(route, save):
    route("instance.owner.username in ['a', 'rata']")
    save.instance.owner = get_user_model().objects.create(username="rata")

    assert names(Router().targets(save)) == ["web1"]
