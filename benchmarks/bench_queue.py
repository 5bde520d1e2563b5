"""Storing scripts, and waking who runs them."""

from __future__ import annotations

import statistics
import time
import uuid

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext, override_settings

from orchestration import executors, lanes, manager, payloads
from orchestration.models import Lane, ScriptLog, Server
from orchestration.scripts import Group, Script, Section

from .table import Row, interleaved

ROUNDS = 60
METHOD = "benchmarks.bench_queue.Clocked"
TEXT = "".join(f"install -d -m 0750 /srv/site{line}\n" for line in range(40))


class Clocked:
    """A method that only notes when it was called."""

    started: list[float] = []

    def run(self, host, unit):
        self.started.append(time.perf_counter())
        from orchestration.scripts import Done

        yield from (Done(job.id, 0) for job in unit.jobs)


def run() -> list[Row]:
    settings = {"DISABLE_EXECUTION": False, "EXECUTOR": "threads", "SSH_METHOD": METHOD}
    with override_settings(**{f"ORCHESTRATION_{name}": value for name, value in settings.items()}):
        servers = [Server.objects.create(name=f"queue{number}") for number in range(20)]
        try:
            return [*_storing(servers), *_waking(servers[0])]
        finally:
            executors.stop()
            ScriptLog.objects.all().delete()
            Server.objects.filter(pk__in=[server.pk for server in servers]).delete()


def _script(server):
    section = Section("Site", (), (Group("SSH", "/bin/bash", TEXT),), TEXT)
    return Script(server.pk, server.name, "", (section,))


def _storing(servers):
    one, all_of_them = [_script(servers[0])], [_script(server) for server in servers]
    _enqueue(all_of_them)
    with CaptureQueriesContext(connection) as queries, transaction.atomic():
        manager.enqueue(all_of_them, unit=uuid.uuid4())
    inserts = sum(query["sql"].startswith("INSERT") for query in queries)
    frame = sum(query["sql"].startswith(("BEGIN", "COMMIT")) for query in queries)
    yield Row(
        "P6", "SQL of a unit of 20 servers, without inserts", len(queries) - inserts - frame, None, "", 6
    )
    for name, scripts in (("1 server", one), ("20 servers", all_of_them)):
        times = interleaved(
            {"ours": lambda s=scripts: _enqueue(s), "plain": lambda s=scripts: _insert(s)}, ROUNDS // 2
        )
        ours, plain = times["ours"] * 1e3, times["plain"] * 1e3
        yield Row("P6", f"transaction of a unit of {name}", ours, plain, "ms", None, "plain insert")
    _end_all()


def _enqueue(scripts):
    with transaction.atomic():
        return manager.enqueue(scripts, unit=uuid.uuid4())


def _insert(scripts):
    """Insert the same rows, encrypted alike, without numbers and locks."""
    with transaction.atomic():
        ScriptLog.objects.bulk_create(
            ScriptLog(
                backend="Site",
                server_id=script.server,
                server_name=script.server_name,
                unit=uuid.uuid4(),
                script=TEXT,
                payload=payloads.dump(script.sections[0]),
            )
            for script in scripts
        )


def _waking(server):
    delays = []
    for _ in range(ROUNDS):
        Clocked.started.clear()
        queued = _enqueue([_script(server)])
        committed = time.perf_counter()
        executors.wake(queued.lanes)
        lanes.wait(queued.waited, seconds=10)
        delays.append((Clocked.started[0] - committed) * 1e3)
    yield Row("P11", "COMMIT to start, threads, p50", statistics.median(delays), None, "ms", 20)


def _end_all():
    ScriptLog.objects.unfinished().update(state=ScriptLog.REVOKED)
    assert Lane.objects.exists()
