"""P12: the log list of the admin, with a million rows and with a thousand."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.urls import reverse

from .table import Row, interleaved

SMALL, BIG = 1_000, 1_000_000

#: Rows of logs and their operations, made by the database: the ORM would take minutes.
LOGS = """
WITH RECURSIVE counter(n) AS (SELECT %s UNION ALL SELECT n + 1 FROM counter WHERE n < %s)
INSERT INTO orchestration_scriptlog (
    id, uuid, unit, number, position, backend, state, server_id, server_name, origin, created_at,
    reason, script, stdout, stderr, traceback, results, stdout_size, stderr_size, background, attempt, epoch
)
SELECT
    n, printf('%%032x', n), printf('%%032x', n), n, 0, 'Nginx',
    CASE n %% 100 WHEN 0 THEN 'FAILURE' ELSE 'SUCCESS' END, %s, 'web1', '/admin/', CURRENT_TIMESTAMP,
    '', 'echo', '', '', '', '{}', 0, 0, 0, 0, 0
FROM counter
"""
OPERATIONS = """
INSERT INTO orchestration_operationlog (log_id, backend, action, object_id, instance_repr, identity)
SELECT id, 'Nginx', 'save', '1', 'example.com', 'example.com'
FROM orchestration_scriptlog WHERE id BETWEEN %s AND %s
"""


def run() -> list[Row]:
    """Time one page of the list, which a person sees, at both sizes."""
    from orchestration.models import ScriptLog, Server  # after Django is set up

    server = Server.objects.create(name="bench-admin")
    user = get_user_model().objects.create_superuser("bench-admin")
    client = Client()
    client.force_login(user)
    try:
        fill(server.pk, 1, SMALL)
        small = page(client)
        fill(server.pk, SMALL + 1, BIG)
        big = page(client)
    finally:
        delete(ScriptLog._meta.db_table, server, user)
    return [
        Row("P12", f"log list, {BIG:,} rows", big * 1e3, unit="ms", limit=60),
        Row("P12", f"log list, {BIG:,} rows", big * 1e3, small * 1e3, "ms", 2, f"{SMALL:,} rows"),
    ]


def fill(server: int, first: int, last: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(LOGS, [first, last, server])
        cursor.execute(OPERATIONS, [first, last])
        cursor.execute("ANALYZE")


def page(client: Client) -> float:
    """Return the seconds of one page; the answer must be one."""
    url = reverse("admin:orchestration_scriptlog_changelist")
    assert client.get(url).status_code == 200
    return interleaved({"page": lambda: client.get(url)}, 15)["page"]


def delete(table: str, *rows: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM orchestration_operationlog")
        cursor.execute(f"DELETE FROM {table}")
    for row in rows:
        row.delete()
