"""Routes: reading their table once a unit (P3), and matching an object (P4)."""

from __future__ import annotations

import datetime

from django.contrib.auth import get_user_model
from django.db import transaction

from orchestration.backends import ServiceController
from orchestration.expressions import compile_expression
from orchestration.models import Route, Server
from orchestration.operations import Operation
from orchestration.router import Router
from orchestration.testing import registered
from tests.webapps.models import WebApp

from .table import Row, interleaved

ATTRIBUTE = "webapp.type == 'wordpress-php'"
COMPOUND = (
    "instance.owner.is_superuser or instance.type == 'wordpress-php' and 0 < instance.size_mb <= 1024 * 10"
)
METHODS = "instance.owner.email.split('@')[1] == 'example.org'"
NAMES = ("webapp",)
SERVERS, BACKENDS = 50, 20


def run() -> list[Row]:
    """Return the rows of P3's routing table and of P4."""
    return [*table(), *matching()]


def table() -> list[Row]:
    """Measure what routing costs a unit when there are 1,000 routes of 20 backends to 50 servers."""

    class RoutedSites(ServiceController):
        model = "webapps.WebApp"

    with registered(RoutedSites), transaction.atomic():
        create_routes()
        operation = Operation(RoutedSites, webapp(), "save")
        router = Router()
        router.targets(operation)
        seconds = interleaved(
            {
                "unit": lambda: Router().targets(operation),
                "orm": lambda: list(Route.objects.active().select_related("host")),
                "more": lambda: router.targets(operation),
            },
            number=20,
        )
        transaction.set_rollback(True)
    return [
        Row("P3", "routing table of a unit, 1,000 routes", seconds["unit"] * 1e6, limit=1000),
        Row("P3", "the same, beside model instances", seconds["unit"] * 1e6, seconds["orm"] * 1e6,
            peer_name="select_related"),
        Row("P3", "each further operation of the unit, 50 routes", seconds["more"] * 1e6),
    ]  # fmt: skip


def create_routes() -> None:
    """Create 1,000 routes: those of one backend match an object in one of 50 cases."""
    servers = Server.objects.bulk_create(Server(name=f"server{number}") for number in range(SERVERS))
    names = ["RoutedSites", *(f"Other{number}" for number in range(BACKENDS - 1))]
    Route.objects.bulk_create(
        Route(backend=name, host=server, match=f"webapp.type == 'kind{number}'")
        for name in names
        for number, server in enumerate(servers)
    )


def matching() -> list[Row]:
    """Measure expressions, beside the same conditions as compiled Python without any guard."""
    rows = [
        *condition("attribute", ATTRIBUTE, limit=1),
        *condition("compound", COMPOUND, limit=5),
        *condition("methods", METHODS, limit=None),
    ]
    return [*rows, compiling()]


def condition(what: str, text: str, *, limit: float | None) -> list[Row]:
    """Measure one expression."""
    instance, expression = webapp(), compile_expression(text, NAMES)
    bare = eval(f"lambda instance: {text.replace('webapp.', 'instance.')}")
    assert expression.matches(instance) is bare(instance)
    seconds = interleaved(
        {"ours": lambda: expression.matches(instance), "bare": lambda: bare(instance)}, number=20_000
    )
    ours, peer = seconds["ours"] * 1e6, seconds["bare"] * 1e6
    return [
        Row("P4", f"route match, {what}", ours, limit=limit),
        Row("P4", f"the same, {what}, beside Python", ours, peer, peer_name="bare lambda"),
    ]


def compiling() -> Row:
    """Measure what the first use of a text costs a process."""
    uncached = compile_expression.__wrapped__
    seconds = interleaved({"ours": lambda: uncached(COMPOUND, NAMES)}, number=100)
    return Row("P4", "compiling a compound expression, once per text", seconds["ours"] * 1e6)


def webapp() -> WebApp:
    """Return an object with its relations loaded, as a save has it."""
    owner = get_user_model()(pk=1, username="rata", email="rata@example.org")
    now = datetime.datetime.now(datetime.UTC)
    return WebApp(pk=1, name="example", type="wordpress-php", owner=owner, size_mb=10, created=now)
