"""P1, P2, P3: what collecting costs a request that saves nothing, and each save."""

from functools import partial
from inspect import iscoroutinefunction

from asgiref.sync import markcoroutinefunction
from django.core.handlers.base import BaseHandler
from django.db import connection, transaction
from django.db.models.signals import ModelSignal, post_save, pre_save
from django.http import HttpResponse
from django.test import RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path

from orchestration import ServiceController, backends, orchestrate
from orchestration.middlewares import OperationsMiddleware
from orchestration.models import Route, Server
from tests.webapps.models import Target, Unwatched, WebApp

from .table import Row, interleaved

BACKENDS, ROUTES = 100, 1000
OURS = "orchestration.middlewares.OperationsMiddleware"
EMPTY = "benchmarks.bench_collector.Empty"


class Empty:
    """A middleware that does nothing."""

    sync_capable = async_capable = True

    def __init__(self, get_response):
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request):
        return self.get_response(request)


class Writes(ServiceController):
    """A backend that is watched."""

    abstract = True

    def save(self, obj):
        self.append("true")

    delete = save


def view(request):
    return HttpResponse("nothing")


urlpatterns = [path("nothing/", view)]


def run():
    """Return the rows, measured among many backends and routes of other models."""
    made = _backends()
    try:
        with override_settings(ROOT_URLCONF=__name__):
            return [*_requests(), *_unwatched(), *_watched()]
    finally:
        for backend in made:
            backends.forget(backend)
        Server.objects.filter(name__startswith="bench-").delete()


def _backends():
    server = Server.objects.create(name="bench-collector", connection="local")
    models = ["webapps.WebApp", "webapps.Target", *["webapps.Mailbox"] * BACKENDS]
    made = [type(f"Bench{n}", (Writes,), {"model": model}) for n, model in enumerate(models)]
    servers = [Server(name=f"bench-{n}", connection="local") for n in range(ROUTES // BACKENDS)]
    Server.objects.bulk_create(servers)
    Route.objects.bulk_create(
        Route(backend=backend.get_name(), host=host) for backend in made for host in [server, *servers]
    )
    return made


# P1


def _requests():
    yield _difference("P1", "safe request, WSGI", _safe(is_async=False), 5, "an empty middleware")
    yield _difference("P1", "safe request, ASGI", _safe(is_async=True), 5, "an empty middleware")
    request = RequestFactory().post("/nothing/")
    ours, empty = _handler(OURS), _handler(EMPTY)

    def atomic():
        connection.settings_dict["ATOMIC_REQUESTS"] = True
        try:
            empty(request)
        finally:
            connection.settings_dict["ATOMIC_REQUESTS"] = False

    seconds = interleaved({"ours": lambda: ours(request), "atomic": atomic}, 15, number=100)
    what, peer = "POST that saves nothing, WSGI", seconds["atomic"] * 1e6
    yield Row("P1", what, seconds["ours"] * 1e6, peer, limit=1.1, peer_name="ATOMIC_REQUESTS")


def _safe(*, is_async):
    """Return the seconds of each middleware around a view that does nothing, without the handler's own."""
    request = RequestFactory().get("/nothing/")
    calls = {"ours": _around(OperationsMiddleware, is_async), "empty": _around(Empty, is_async)}
    if is_async:
        return interleaved(
            {name: partial(_drive, call, request) for name, call in calls.items()}, 25, number=2000
        )
    return interleaved({name: partial(call, request) for name, call in calls.items()}, 25, number=2000)


def _around(middleware, is_async):
    response = HttpResponse()

    def get_response(request):
        if hasattr(made, "process_view"):
            made.process_view(request, view, (), {})
        return response

    async def get_response_async(request):
        if hasattr(made, "process_view"):
            await made.process_view(request, view, (), {})
        return response

    made = middleware(get_response_async if is_async else get_response)
    return made


def _drive(call, request):
    """Run a coroutine that never has to wait: it ends at its first step."""
    try:
        call(request).send(None)
    except StopIteration:
        return
    raise AssertionError("A safe request went to another thread.")


def _handler(middleware):
    handler = BaseHandler()
    with override_settings(MIDDLEWARE=[middleware]):
        handler.load_middleware()
    return handler.get_response


# P2


def _unwatched():
    instance = Unwatched(name="one")
    nobody = ModelSignal()
    calls = {
        "ours": lambda: _send(pre_save, post_save, instance),
        "empty": lambda: _send(nobody, nobody, instance),
    }
    yield _difference(
        "P2", "save of an unwatched model", interleaved(calls, 15, number=5000), 1, "no signals"
    )


def _send(before, after, instance):
    before.send(sender=Unwatched, instance=instance, raw=False, using="default", update_fields=None)
    after.send(
        sender=Unwatched, instance=instance, raw=False, using="default", update_fields=None, created=False
    )


# P3


def _watched():
    watched, bare = Target.objects.create(name="one"), Unwatched.objects.create(name="one")
    app = WebApp.objects.create(name="one", data={"php": {"version": 8}})
    with orchestrate():
        with CaptureQueriesContext(connection) as queries:
            watched.save()
        saves = interleaved({"ours": watched.save, "bare": bare.save}, 15, number=200)
        signals = interleaved({"ours": lambda: _save_signals(app), "empty": lambda: None}, 15, number=500)
        transaction.set_rollback(True)
    what = f"save of a watched model among {BACKENDS} backends, {ROUTES} routes"
    yield _difference("P3", what, saves, 40, "Model.save()")
    yield _difference("P3", "the same, 11 fields and JSON: signals alone", signals, 40, "nothing")
    yield Row("P3", "SQL on top of Model.save()", len(queries) - 1, unit="queries", limit=0)


def _save_signals(app):
    fields = {"instance": app, "raw": False, "using": "default", "update_fields": None}
    pre_save.send(sender=WebApp, **fields)
    post_save.send(sender=WebApp, created=False, **fields)


def _difference(budget, what, seconds, limit, peer):
    ours, other = seconds.values()
    return Row(budget, f"{what}, on top of {peer}", (ours - other) * 1e6, limit=limit)
