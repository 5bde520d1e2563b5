"""Requests as units of work: what is committed, rolled back, run, and told to the person."""

# ruff: noqa: F401, F811  fixtures are imported, and asked for by name

import asyncio
import json
from contextlib import suppress
from types import SimpleNamespace

import django
import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.contrib.messages import get_messages
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIHandler
from django.db import connection, transaction
from django.db.transaction import non_atomic_requests
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.test import AsyncClient, AsyncRequestFactory, Client
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from orchestration import orchestrate
from orchestration.exceptions import HostUnreachable
from orchestration.models import Route, ScriptLog, Server
from tests.webapps.models import WebApp

from .services.collecting import define, everywhere, rolled_back, web1, woken

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__), pytest.mark.databases]


# Views


def save(request):
    WebApp.objects.create(name="one")
    messages.success(request, "one was added successfully.")
    return HttpResponse("saved")


def save_then(outcome):
    def view(request):
        WebApp.objects.create(name="one")
        return outcome(request)

    return view


def not_found(request):
    raise Http404


def denied(request):
    raise PermissionDenied


def crash(request):
    raise ZeroDivisionError


def interrupt(request):
    raise KeyboardInterrupt


def mark(request):
    transaction.set_rollback(True)
    return HttpResponse("marked")


def broken_template(request):
    return TemplateResponse(request, "no/such/template.html")


def preview(request):
    with rolled_back():
        WebApp.objects.create(name="preview")
    return HttpResponse("previewed")


def callback_raises(request):
    transaction.on_commit(crash_later)
    return HttpResponse("saved")


def crash_later():
    raise ZeroDivisionError


def stream(request):
    def parts():
        yield "first"
        WebApp.objects.create(name="late")

    return StreamingHttpResponse(parts())


def delete(request):
    WebApp.objects.all().delete()
    return HttpResponse("deleted")


def delete_and_swallow(request):
    with suppress(Exception):
        WebApp.objects.all().delete()
    return HttpResponse("swallowed")


def orphan(request):
    messages.success(request, "one was added successfully.")
    WebApp.objects.create(name="one", owner_id=10**6)
    return HttpResponse("saved")


async def anest(request):
    await WebApp.objects.acreate(name="one")
    async with orchestrate():
        await WebApp.objects.acreate(name="two")
    return HttpResponse("saved")


async def asave(request):
    await WebApp.objects.acreate(name="one")
    return HttpResponse("saved")


async def asave_then_crash(request):
    await WebApp.objects.acreate(name="one")
    raise ZeroDivisionError


@csrf_exempt
async def rendezvous(request):
    await WebApp.objects.acreate(name=request.META["QUERY_STRING"])
    rendezvous.is_inside.set()
    await rendezvous.barrier.wait()
    return HttpResponse("met")


def leave(request):
    get_user_model().objects.get(pk=request.user.pk).delete()
    return HttpResponse("gone")


def simple_user(get_response):
    """Know people that are no rows, and have no permissions: a middleware."""

    def middleware(request):
        request.user = SimpleNamespace(pk="token-5", is_authenticated=True)
        return get_response(request)

    return middleware


def is_atomic(request):
    return HttpResponse(str(connection.in_atomic_block))


def nothing(request):
    return HttpResponse("nothing")


urlpatterns = [
    path("admin/", admin.site.urls),
    path("save/", save),
    path("non-atomic/", non_atomic_requests(save_then(nothing))),
    path("not-found/", save_then(not_found)),
    path("denied/", save_then(denied)),
    path("crash/", save_then(crash)),
    path("interrupt/", save_then(interrupt)),
    path("mark/", save_then(mark)),
    path("broken-template/", save_then(broken_template)),
    path("returned-404/", save_then(lambda request: HttpResponse(status=404))),
    path("returned-500/", save_then(lambda request: HttpResponse(status=500))),
    path("returned-503/", save_then(lambda request: HttpResponse(status=503))),
    path("callback-raises/", save_then(callback_raises)),
    path("preview/", save_then(preview)),
    path("stream/", save_then(stream)),
    path("delete/", delete),
    path("delete-and-swallow/", delete_and_swallow),
    path("orphan/", orphan),
    path("leave/", leave),
    path("async/", asave),
    path("async-nested/", anest),
    path("async-crash/", asave_then_crash),
    path("rendezvous/", rendezvous),
    path("is-atomic/", is_atomic),
    path("nothing/", nothing),
]


# Fixtures


@pytest.fixture
def client(client):
    client.raise_request_exception = False
    return client


@pytest.fixture
def backend(define, everywhere, web1, woken):
    web1.is_active = False
    web1.save()
    made = define("Apps", "webapps.WebApp")
    everywhere(made)
    return made


@pytest.fixture
def broken_route(backend):
    Route.objects.update(match="instance.owner.username == 'ann'")
    return Route.objects.get()


@pytest.fixture
def admins(settings):
    address = "ann@example.org"
    settings.ADMINS = [address if django.VERSION >= (6, 0) else ("Ann", address)]


@pytest.fixture
def staff(client):
    user = get_user_model().objects.create(username="ann", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


def found():
    """Return the names of all web apps, and how many logs there are."""
    return [app.name for app in WebApp.objects.all()], ScriptLog.objects.count()


def texts(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


# Commit


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_a_request_is_stored_with_its_changes_and_its_lane_is_woken(backend, client, woken, method):
    assert getattr(client, method)("/save/").status_code == 200
    assert found() == (["one"], 1)
    assert len(woken) == 1


def test_a_log_knows_who_asked_for_what(backend, client, staff):
    client.post("/save/?secret=1")
    log = ScriptLog.objects.get()
    assert (log.user, log.origin) == (staff, "/save/")


def test_people_may_delete_their_own_account(backend, client, staff):
    WebApp.objects.create(name="one", owner=staff)
    assert client.post("/leave/").status_code == 200
    assert found() == ([], 1)
    assert ScriptLog.objects.get().user is None


@pytest.fixture
def simple_users(settings):
    *before, ours = settings.MIDDLEWARE
    settings.MIDDLEWARE = [*before, f"{__name__}.simple_user", ours]


def test_users_that_are_no_rows_may_save(simple_users, backend, client):
    assert client.post("/save/").status_code == 200
    assert found() == (["one"], 1)
    assert ScriptLog.objects.get().user is None


def test_users_that_are_no_rows_are_told_of_failures(simple_users, broken_route, client):
    assert "Nothing was changed" in client.post("/save/").content.decode()


def test_a_returned_404_commits(backend, client):
    assert client.post("/returned-404/").status_code == 404
    assert found() == (["one"], 1)


@pytest.mark.lesson(2)
def test_a_preview_that_is_rolled_back_does_not_run(backend, client):
    client.post("/preview/")
    assert found() == (["one"], 1)
    assert ScriptLog.objects.get().operations.count() == 1


def test_the_lane_is_woken_although_a_callback_raised(backend, client, woken):
    assert client.post("/callback-raises/").status_code == 500
    assert found() == (["one"], 1)
    assert len(woken) == 1


# Roll back


def test_a_commit_that_fails_wakes_for_nothing_and_claims_no_success(backend, client):
    if not connection.features.can_defer_constraint_checks:
        pytest.skip("MariaDB finds it out before COMMIT")
    response = client.post("/orphan/")
    assert response.status_code == 500
    assert texts(response) == []
    assert found() == ([], 0)


@pytest.mark.lesson(1)
@pytest.mark.lesson(6)
@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/not-found/", 404),
        ("/denied/", 403),
        ("/crash/", 500),
        ("/broken-template/", 500),
        ("/mark/", 200),
        ("/returned-500/", 500),
        ("/returned-503/", 503),
    ],
)
@pytest.mark.parametrize("is_atomic_already", [False, True])
def test_what_is_rolled_back_does_not_run(
    backend, client, woken, monkeypatch, url, status, is_atomic_already
):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", is_atomic_already)
    assert client.post(url).status_code == status
    assert (found(), woken) == (([], 0), [])


@pytest.mark.parametrize("is_async", [False, True])
def test_a_process_that_is_told_to_end_rolls_back(backend, client, aclient, is_async):
    with pytest.raises(KeyboardInterrupt):
        (aclient[0] if is_async else client.post)("/interrupt/")
    assert found() == ([], 0)
    assert not connection.in_atomic_block


def test_a_safe_request_that_crashes_is_left_to_django(backend, client):
    assert client.get("/crash/").status_code == 500
    assert found() == (["one"], 1)


@pytest.mark.lesson(4)
def test_a_failed_request_leaves_nothing_behind_for_the_next_one(backend, client):
    client.post("/crash/")
    client.post("/nothing/")
    client.post("/save/")
    assert found() == (["one"], 1)
    assert connection.execute_wrappers == []
    assert not connection.in_atomic_block


# When a unit is opened


@pytest.mark.parametrize(("method", "expected"), [("get", "False"), ("options", "False"), ("post", "True")])
def test_safe_methods_open_no_transaction(client, method, expected):
    assert getattr(client, method)("/is-atomic/").content.decode() == expected


def test_safe_methods_ask_the_database_nothing(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        client.get("/nothing/")


def test_a_request_that_changes_nothing_costs_a_transaction(client, django_assert_num_queries):
    with django_assert_num_queries(2):
        client.post("/nothing/")


@pytest.mark.parametrize("url", ["/save/", "/no/such/page/"])
def test_requests_rejected_before_their_view_open_nothing(django_assert_num_queries, url):
    client = Client(enforce_csrf_checks=True)
    with django_assert_num_queries(0):
        assert client.post(url).status_code in (403, 404)


@pytest.mark.parametrize(("method", "url"), [("get", "/save/"), ("post", "/non-atomic/")])
def test_changes_without_a_unit_are_stored_right_after_their_commit(backend, client, woken, method, url):
    getattr(client, method)(url)
    assert found() == (["one"], 1)
    assert ScriptLog.objects.get().origin == url
    assert len(woken) == 1


def test_what_a_stream_saves_late_is_outside(backend, client, caplog):
    response = client.post("/stream/")
    assert found() == (["one"], 1)
    assert b"".join(response.streaming_content) == b"first"
    assert found() == (["one", "late"], 1)


# Failures


def test_a_route_that_fails_rolls_the_request_back_and_says_so(broken_route, client, mailoutbox, admins):
    response = client.post("/save/")
    assert response.status_code == 500
    assert "Nothing was changed" in response.content.decode()
    assert "owner" not in response.content.decode()
    assert found() == ([], 0)
    assert Route.objects.get().broken != ""
    assert len(mailoutbox) == 1


def test_staff_sees_route_object_and_position(broken_route, client, staff):
    content = client.post("/save/").content.decode()
    assert all(f"<dt>{title}</dt>" in content for title in ("Route", "Object", "Character"))
    assert "&#x27;one&#x27;</dd>" in content


@pytest.mark.parametrize(
    "headers",
    [
        {"accept": "application/json"},
        {"x-requested-with": "XMLHttpRequest"},
        {"content-type": "application/json"},
    ],
)
def test_programs_get_json(broken_route, client, staff, headers):
    response = client.post("/save/", headers=headers)
    answer = json.loads(response.content)
    assert response.status_code == 500
    assert (answer["route"], answer["instance"]) == (broken_route.pk, "web app 'one'")
    assert "Nothing was changed" in answer["error"]


def test_strangers_get_json_without_details(broken_route, client):
    answer = client.post("/save/", headers={"accept": "application/json"}).json()
    assert list(answer) == ["error"]


def test_the_messages_of_a_failed_request_claim_no_success(broken_route, client):
    assert texts(client.post("/save/")) == []


def test_a_backend_that_fails_is_named_to_staff(define, everywhere, client, staff):
    def fail(self, app):
        raise ZeroDivisionError("<by zero>")

    everywhere(define("Bad", "webapps.WebApp", save=fail))
    content = client.post("/save/").content.decode()
    assert all(f"<dd>{value}</dd>" in content for value in ("Bad", "save", "one"))
    assert "&lt;by zero&gt;" in content
    assert found() == ([], 0)


@pytest.mark.parametrize("url", ["/delete/", "/delete-and-swallow/"])
def test_a_route_that_fails_at_a_delete_is_reported_once(broken_route, client, mailoutbox, admins, url):
    WebApp(name="kept").save()
    response = client.post(url)
    assert [app.name for app in WebApp.objects.all()] == ["kept"]
    if url == "/delete/":
        assert "Nothing was changed" in response.content.decode()
        assert len(mailoutbox) == 1


# Waiting and messages


@pytest.fixture
def running(define, everywhere, recording):
    """Let the scripts of web apps run, in a method that only records."""
    everywhere(define("Apps", "webapps.WebApp"))
    return recording


def test_a_request_waits_for_its_scripts_and_tells_that_they_ran(running, client):
    response = client.post("/save/")
    assert ScriptLog.objects.get().state == "SUCCESS"
    assert len(running.texts) == 1
    assert texts(response) == ["one was added successfully.", "1 script was executed."]


def test_a_person_is_told_that_scripts_failed(running, client):
    running.answer(1)
    assert texts(client.post("/save/"))[1:] == ["1 of 1 script failed."]


def test_a_person_is_told_that_scripts_go_on(backend, client, settings, woken):
    Server.objects.update(is_active=True)
    settings.ORCHESTRATION_REQUEST_WAIT = 0.01
    assert texts(client.post("/save/"))[1:] == ["1 script goes on in the background."]
    assert len(woken) == 1


def test_nobody_waits_for_what_is_asynchronous(define, everywhere, woken, client):
    everywhere(define("Apps", "webapps.WebApp"), run_async=True)
    assert texts(client.post("/save/"))[1:] == ["1 script goes on in the background."]


def test_a_person_is_told_why_work_waits(running, client):
    running.fail(HostUnreachable("There is no way to web1."))
    assert texts(client.post("/save/"))[1:] == ["Scripts wait for web1: There is no way to web1."]


@pytest.mark.lesson(36)
def test_a_person_is_told_that_execution_is_disabled(backend, client, settings):
    settings.ORCHESTRATION_DISABLE_EXECUTION = True
    assert texts(client.post("/save/"))[1:] == ["Not run: Execution is disabled."]


def test_sections_without_content_are_not_worth_a_word(define, everywhere, recording, client):
    everywhere(define("Empty", "webapps.WebApp", save=lambda self, app: None))
    assert texts(client.post("/save/")) == ["one was added successfully."]
    assert ScriptLog.objects.get().state == "NOTHING"


def test_programs_find_no_messages(running, client):
    response = client.post("/save/", headers={"accept": "application/json"})
    assert texts(response) == ["one was added successfully."]


def test_a_person_is_told_that_work_waits_for_a_server(backend, client):
    assert texts(client.post("/save/")) == [
        "one was added successfully.",
        "Scripts wait for web1: it is inactive.",
    ]


def test_who_may_see_logs_gets_a_link(backend, client, staff):
    _, told = texts(client.post("/save/"))
    url = f"/admin/orchestration/scriptlog/{ScriptLog.objects.get().pk}/change/"
    assert told == f'<a href="{url}">Scripts wait for web1: it is inactive.</a>'


def test_links_to_several_logs_name_the_unit(define, everywhere, backend, client, staff):
    everywhere(define("Other", "webapps.WebApp"))
    _, told = texts(client.post("/save/"))
    unit = ScriptLog.objects.first().unit
    url = f"/admin/orchestration/scriptlog/?unit={unit}"
    assert told.startswith(f'<a href="{url}">')
    assert client.get(url).context["cl"].result_count == 2


def test_what_servers_are_called_is_escaped(backend, client, staff):
    Server.objects.update(name="<b>web1</b>")
    _, told = texts(client.post("/save/"))
    assert "Scripts wait for &lt;b&gt;web1&lt;/b&gt;" in told


def test_requests_without_work_say_nothing(backend, client):
    assert texts(client.post("/nothing/")) == []


# Async


@pytest.fixture
def aclient():
    client = AsyncClient(raise_request_exception=False)
    return async_to_sync(client.post), async_to_sync(client.get)


@pytest.mark.parametrize("url", ["/async/", "/save/"])
def test_async_handlers_store_requests_too(backend, aclient, woken, url):
    post, _ = aclient
    assert post(url).status_code == 200
    assert found() == (["one"], 1)
    assert len(woken) == 1


@pytest.mark.lesson(3)
def test_an_async_block_in_an_async_view_is_part_of_its_unit(backend, aclient, woken):
    post, _ = aclient
    post("/async-nested/")
    assert found() == (["one", "two"], 1)
    assert len(woken) == 1


@pytest.mark.parametrize("url", ["/async-crash/", "/crash/", "/returned-500/"])
def test_async_handlers_roll_back_too(backend, aclient, woken, url):
    post, _ = aclient
    assert post(url).status_code == 500
    assert (found(), woken) == (([], 0), [])


@pytest.mark.parametrize("url", ["/async/", "/save/"])
def test_async_failures_are_told(broken_route, aclient, url):
    post, _ = aclient
    assert "Nothing was changed" in post(url).content.decode()
    assert found() == ([], 0)


def test_async_safe_requests_store_after_commit(backend, aclient):
    _, get = aclient
    get("/async/")
    assert found() == (["one"], 1)


@pytest.fixture
def networked():
    """Skip databases in which only one transaction at a time may write."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time")


def test_concurrent_async_requests_have_units_of_their_own(networked, backend):
    async def run():
        rendezvous.barrier, rendezvous.is_inside = asyncio.Barrier(2), asyncio.Event()
        return await asyncio.gather(served("/rendezvous/?one"), served("/rendezvous/?two"))

    assert asyncio.run(limited(run())) == [200, 200]
    assert {app.name for app in WebApp.objects.all()} == {"one", "two"}
    assert {log.operations.get().instance_repr for log in ScriptLog.objects.all()} == {"one", "two"}
    assert len({log.unit for log in ScriptLog.objects.all()}) == 2


def test_a_client_that_goes_away_rolls_its_request_back(networked, backend):
    async def run():
        rendezvous.barrier, rendezvous.is_inside = asyncio.Barrier(2), asyncio.Event()
        request = communicator("/rendezvous/?one")
        await request.send_input({"type": "http.request"})
        await rendezvous.is_inside.wait()
        await request.send_input({"type": "http.disconnect"})
        await request.wait(10)

    asyncio.run(limited(run()))
    assert found() == ([], 0)


async def limited(work):
    """Return what the work returns, at most 30 seconds later."""
    return await asyncio.wait_for(work, 30)


def communicator(url):
    path, _, query = url.partition("?")
    scope = AsyncRequestFactory()._base_scope(method="POST", path=path, query_string=query)
    return ApplicationCommunicator(ASGIHandler(), scope)


async def served(url):
    """Return the status of a POST to the ASGI application, as a server runs it."""
    request = communicator(url)
    await request.send_input({"type": "http.request"})
    start = await request.receive_output(20)
    await request.wait(10)
    return start["status"]
