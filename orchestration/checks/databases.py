"""Checks of the databases: transactions that hold what the guarantees need, routes that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterable

from django.apps import apps
from django.core import checks
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from orchestration import backends
from orchestration.models import Route, ScriptLog
from orchestration.settings import is_testing


@checks.register
def check_sqlite(**kwargs: object) -> list[checks.CheckMessage]:
    """E010: SQLite transactions that begin as readers fail when two requests write at once."""
    alias = router.db_for_write(ScriptLog)
    connection = connections[alias]
    mode = connection.settings_dict["OPTIONS"].get("transaction_mode") or ""
    if connection.vendor != "sqlite" or mode.upper() in ("IMMEDIATE", "EXCLUSIVE") or is_testing():
        return []
    return [
        checks.Error(
            f"Transactions of the SQLite database '{alias}' are not IMMEDIATE: "
            "two requests at once fail with 'database is locked', and lanes cannot be numbered.",
            hint=f'DATABASES["{alias}"]["OPTIONS"] = {{"transaction_mode": "IMMEDIATE", '
            '"init_command": "PRAGMA journal_mode=WAL"}',
            id="orchestration.E010",
        )
    ]


@checks.register(checks.Tags.database)
def check_engines(databases: Iterable[str] | None = None, **kwargs: object) -> list[checks.CheckMessage]:
    """E011: tables of MariaDB without transactions."""
    alias = router.db_for_write(ScriptLog)
    if alias not in (databases or ()) or connections[alias].vendor != "mysql":
        return []
    tables = [model._meta.db_table for model in apps.get_models(include_auto_created=True)]
    return [
        checks.Error(
            f"Table {table} of database '{alias}' uses {engine}, which has no transactions: "
            "a save could be kept without its work, or the work without the save.",
            hint=f"ALTER TABLE {table} ENGINE=InnoDB",
            id="orchestration.E011",
        )
        for table, engine in _foreign_engines(connections[alias], tables)
    ]


def _foreign_engines(connection: BaseDatabaseWrapper, tables: list[str]) -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, engine FROM information_schema.tables "
            "WHERE table_schema = DATABASE() AND engine <> 'InnoDB' ORDER BY table_name"
        )
        return [(table, engine) for table, engine in cursor.fetchall() if table in tables]


@checks.register(checks.Tags.database)
def check_routes(databases: Iterable[str] | None = None, **kwargs: object) -> list[checks.CheckMessage]:
    """W012: a route to a backend that is not installed matches nothing."""
    alias = router.db_for_read(Route)
    if alias not in (databases or ()) or not _has_table(connections[alias], Route._meta.db_table):
        return []
    installed = {backend.get_name() for backend in backends.installed()}
    names = Route.objects.using(alias).order_by("backend").values_list("backend", flat=True).distinct()
    return [
        checks.Warning(
            f"Routes lead to the backend {name}, which is not installed: they match nothing.",
            hint="Install the app that has it, or delete the routes. Work that waits still runs.",
            id="orchestration.W012",
        )
        for name in names
        if name not in installed
    ]


def _has_table(connection: BaseDatabaseWrapper, table: str) -> bool:
    with connection.cursor() as cursor:
        return table in connection.introspection.table_names(cursor)
