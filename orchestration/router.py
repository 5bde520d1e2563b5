"""Router: on which servers does an operation run, and why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any  # Any: columns as the database gives them

from django.db import connections
from django.db.models import CharField, Value
from django.utils.module_loading import import_string

from orchestration.exceptions import ExpressionFailed, RouteBroken, UnsafeExpression
from orchestration.expressions import compile_expression
from orchestration.models import Route, Server, database
from orchestration.models.routes import broken, explain, names_of
from orchestration.settings import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import Model

    from orchestration.backends import ServiceBackend
    from orchestration.operations import Operation


@dataclass(frozen=True, slots=True)
class Target:
    """A server on which an operation runs, because a route matched."""

    route: int
    server: int
    server_name: str
    #: An inactive server keeps its scripts waiting, and nobody waits for them.
    is_active: bool = True
    run_async: bool = False
    async_actions: tuple[str, ...] = ()

    def is_async(self, action: str) -> bool:
        """Tell whether the route says that nobody waits for this action."""
        return self.run_async or action in self.async_actions


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a route takes an operation, or does not."""

    route: int
    server_name: str
    match: str
    is_active: bool
    #: Whether the expression is true for the object; None when it failed.
    is_match: bool | None
    #: What the expression consists of: (source, value), errors as values.
    parts: tuple[tuple[str, object], ...]
    #: Why it failed, with the position.
    error: str = ""

    @property
    def is_target(self) -> bool:
        """Tell whether the operation runs on the server."""
        return self.is_active and self.is_match is True


class Router:
    """Decides for the operations of one unit of work: the table of routes is read once, when it is needed."""

    def __init__(self) -> None:
        self._table: _Table | None = None

    def targets(self, operation: Operation) -> tuple[Target, ...]:
        """Return where an operation runs, ordered by the servers' keys; RouteBroken when a route fails."""
        if operation.targets is not None:
            return operation.targets
        self._table = self._table or _Table(_read())
        return self._table.targets(operation.backend, operation.instance)

    def explain(self, operation: Operation) -> list[Explanation]:
        """Return what each route of the operation's backend says, matched or not, inactive ones too."""
        name = operation.backend.get_name()
        routes = Route.objects.using(database.alias()).filter(backend=name)
        ordered = routes.select_related("host").order_by("host_id")
        return [_explanation(route, operation) for route in ordered]


def get_router() -> Router:
    """Return a new router, for one unit of work, of the class that ORCHESTRATION_ROUTER names."""
    router: Router = import_string(options.ROUTER)()
    return router


def mark_broken(error: RouteBroken) -> None:
    """Write on a route why it failed: after the rollback of the unit that it broke."""
    Route.objects.using(database.alias()).filter(pk=error.route).update(broken=str(error))


class _Table:
    """All active routes and all servers; only rows of a backend that is asked for are looked into."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        self.rows = rows
        self.servers = {
            pk: (name, is_active) for backend, pk, _, name, is_active, _ in rows if backend is None
        }
        self.routes: dict[str, list[_Row]] = {}
        self.known: dict[int, Target] = {}

    def targets(self, backend: type[ServiceBackend], instance: Model) -> tuple[Target, ...]:
        name, names = backend.get_name(), names_of(backend)
        if name not in self.routes:
            self.routes[name] = sorted([row for row in self.rows if row[0] == name], key=itemgetter(2))
        return tuple([self.target(row) for row in self.routes[name] if self.is_match(row, names, instance)])

    def is_match(self, row: _Row, names: tuple[str, ...], instance: Model) -> bool:
        backend, route, server, match, *_ = row
        try:
            return compile_expression(match, names).matches(instance)
        except (UnsafeExpression, ExpressionFailed) as error:
            raise broken(route, f"{backend}@{self.servers[server][0]}", instance, error) from error

    def target(self, row: _Row) -> Target:
        _, route, server, _, run_async, actions = row
        if route not in self.known:
            name, is_active = self.servers[server]
            self.known[route] = Target(
                route, server, name, bool(is_active), bool(run_async), _actions(actions)
            )
        return self.known[route]


#: backend, pk, server, match, run_async, async_actions of a route; None, pk, None, name, is_active, None of
#: a server: each as the database gives it.
_Row = tuple[Any, Any, Any, Any, Any, Any]
_NOTHING = Value(None, output_field=CharField())


def _read() -> Sequence[_Row]:
    """Return active routes and servers by one query, without converters: a third of the usual time."""
    using = database.alias()
    with connections[using].cursor() as cursor:
        cursor.execute(*_statement(using, connections[using].vendor))
        rows: Sequence[_Row] = cursor.fetchall()
    return rows


@lru_cache
def _statement(using: str, vendor: str) -> tuple[str, tuple[Any, ...]]:
    """Return both tables in a union: a join would repeat each server in each of its routes."""
    routes = Route.objects.using(using).active().order_by()
    fields = routes.values_list("backend", "pk", "host_id", "match", "run_async", "async_actions")
    servers = Server.objects.using(using).order_by()
    union = fields.union(
        servers.values_list(_NOTHING, "pk", _NOTHING, "name", "is_active", _NOTHING), all=True
    )
    sql, params = union.query.get_compiler(using).as_sql()
    return sql, tuple(params)


def _actions(stored: Any) -> tuple[str, ...]:
    if stored == "[]":
        return ()
    return tuple(json.loads(stored) if isinstance(stored, str) else stored)


def _explanation(route: Route, operation: Operation) -> Explanation:
    is_match, parts, error = None, list[tuple[str, object]](), ""
    try:
        is_match = route.matches(operation.instance)
    except RouteBroken as failure:
        error = str(failure)
    try:
        expression = compile_expression(route.match, names_of(operation.backend))
        parts = expression.parts(operation.instance)
    except UnsafeExpression as failure:
        error = explain(failure)
    return Explanation(route.pk, route.host.name, route.match, route.is_active, is_match, tuple(parts), error)
