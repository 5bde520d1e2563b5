"""Routes in the admin: choices of the moment, errors in the form, backends that are gone."""

import pytest
from django.urls import reverse

from orchestration.models import Route

pytestmark = pytest.mark.django_db


@pytest.fixture
def form(server):
    return {"backend": "Nginx", "host": server.pk, "match": "True", "is_active": "on"}


@pytest.fixture(autouse=True)
def nginx(install):
    return install("Nginx")


@pytest.mark.lesson(32)
def test_a_backend_that_came_later_can_be_chosen(page, install):
    assert 'value="Later"' not in page("route_add").content.decode()
    install("Later")
    assert 'value="Later"' in page("route_add").content.decode()


def test_a_route_is_added(admin_client, form):
    answer = admin_client.post(reverse("admin:orchestration_route_add"), form | {"async_actions": ["save"]})
    assert answer.status_code == 302
    assert Route.objects.get().async_actions == ["save"]


@pytest.mark.parametrize("match", ["__import__('os')", "webapp.", "nobody.name"])
def test_a_bad_expression_is_an_error_of_the_form(admin_client, form, match):
    answer = admin_client.post(reverse("admin:orchestration_route_add"), form | {"match": match})
    assert "match" in answer.context["adminform"].form.errors
    assert not Route.objects.exists()


@pytest.mark.lesson(32)
def test_a_route_to_a_backend_that_is_not_installed_still_works(admin_client, page, server, form):
    route = Route.objects.create(backend="Gone", host=server, async_actions=["vanish"])
    assert "Gone (not installed)" in page("route_changelist").content.decode()
    content = page("route_change", route.pk).content.decode()
    assert "Gone (not installed)" in content
    assert 'value="vanish"' in content
    url = reverse("admin:orchestration_route_change", args=[route.pk])
    del form["is_active"]
    assert admin_client.post(url, form | {"backend": "Gone"}).status_code == 302
    route.refresh_from_db()
    assert not route.is_active


def test_a_broken_route_says_why(page, server):
    route = Route.objects.create(backend="Nginx", host=server)
    Route.objects.update(broken="No attribute <b>.")
    assert '<span class="orchestration-warning">broken</span>' in page("route_changelist").content.decode()
    assert "No attribute &lt;b&gt;." in page("route_change", route.pk).content.decode()


def test_the_list_takes_the_same_queries_for_any_number_of_routes(page, server, count_queries):
    Route.objects.create(backend="Nginx", host=server)
    few = count_queries(lambda: page("route_changelist"))
    Route.objects.bulk_create(Route(backend=f"B{number}", host=server) for number in range(20))
    assert len(count_queries(lambda: page("route_changelist"))) == len(few)


def test_whoever_may_only_view_sees_a_route(client, django_user_model, server):
    from django.contrib.auth.models import Permission

    route = Route.objects.create(backend="Nginx", host=server)
    person = django_user_model.objects.create_user("staff", is_staff=True)
    person.user_permissions.add(Permission.objects.get(codename="view_route"))
    client.force_login(person)
    answer = client.get(reverse("admin:orchestration_route_change", args=[route.pk]))
    assert answer.status_code == 200
    assert 'name="_save"' not in answer.content.decode()
