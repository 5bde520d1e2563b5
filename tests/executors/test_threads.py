"""The executor of a process: prompt, bounded, polite; nothing announced is lost."""

import os
import subprocess
import sys
import threading
import time

import pytest
from django.db import InterfaceError, connection
from django.db.backends.signals import connection_created
from django.test import override_settings

from orchestration import executors, lanes
from orchestration.exceptions import ConnectionFailed
from orchestration.executors.threads import Threads
from orchestration.methods.pools import Pool
from orchestration.models import Lane, Lease, ScriptLog
from orchestration.models.clock import now_plus
from orchestration.scripts import Host, Tick
from orchestration.testing import RecordingMethod
from tests.lanes.scripts import script, section
from tests.services.concurrency import PATIENCE, until

pytestmark = [pytest.mark.databases, pytest.mark.django_db(transaction=True)]


def states():
    return set(ScriptLog.objects.values_list("state", flat=True))


def names():
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("orchestration-"))


def test_a_woken_lane_is_drained(threaded, store, server):
    queued = store(script(server()))
    executors.wake(queued.lanes)
    [log] = lanes.wait(queued.waited, seconds=PATIENCE)
    assert log.state == ScriptLog.SUCCESS


def test_lanes_are_drained_side_by_side(threaded, store, server):
    queued = store(*[script(server(f"web{number}")) for number in range(4)])
    with threaded.held():
        executors.wake(queued.lanes)
        until(lambda: len(threaded.exchanges) == 4, "four scripts at once")
    lanes.wait(queued.waited, seconds=PATIENCE)
    assert states() == {"SUCCESS"}


@pytest.mark.lesson(11)
def test_a_lane_has_one_worker_however_often_it_is_woken(threaded, store, server):
    web = server()
    queued = [store(script(web)) for _ in range(5)]
    with threaded.held():
        for each in queued:
            executors.wake(each.lanes)
        until(lambda: threaded.exchanges)
        assert names().count("orchestration-drain") == 1
        assert len(threaded.exchanges) == 1
    lanes.wait([log.pk for each in queued for log in each.logs], seconds=PATIENCE)
    assert states() == {"SUCCESS"}


@pytest.mark.lesson(11)
def test_the_number_of_threads_is_bounded(threaded, store, server, settings):
    settings.ORCHESTRATION_DRAIN_THREADS = 2
    queued = store(*[script(server(f"web{number}")) for number in range(6)])
    with threaded.held():
        executors.wake(queued.lanes)
        until(lambda: len(threaded.exchanges) == 2)
        assert names().count("orchestration-drain") == 2
    lanes.wait(queued.waited, seconds=PATIENCE)
    assert len(threaded.exchanges) == 6


@pytest.mark.lesson(8)
def test_work_that_nobody_announced_is_found(threaded, store, server, settings):
    settings.ORCHESTRATION_POLL = 0.05
    queued = store(script(server()))
    executors.wake([])
    lanes.wait(queued.waited, seconds=PATIENCE)
    assert states() == {"SUCCESS"}
    later = store(script(server("web2")))
    lanes.wait(later.waited, seconds=PATIENCE)
    assert states() == {"SUCCESS"}


@pytest.mark.lesson(9)
def test_what_a_killed_worker_left_is_found(threaded, store, server):
    queued = store(script(server()))
    ScriptLog.objects.update(state="STARTED")
    Lease.objects.create(lane_id=queued.lanes[0], owner="gone", epoch=3, expires_at=now_plus(-1))
    executors.wake([])
    until(lambda: states() == {"ABORTED"})


def test_work_is_tried_again_at_its_time(threaded, store, server, settings):
    settings.ORCHESTRATION_POLL = 3600
    settings.ORCHESTRATION_RETRY_PAUSE = 0.1
    queued = store(script(server()))
    for _ in range(3):
        threaded.fail(ConnectionFailed("Not now."))
    executors.wake(queued.lanes)
    until(lambda: states() == {"SUCCESS"}, "the fourth try")
    assert len(threaded.exchanges) == 4
    assert ScriptLog.objects.get().attempt == 3


def test_followers_are_woken(threaded, store, server, settings):
    settings.ORCHESTRATION_POLL = 3600
    serial = section("A", serialize=True)
    queued = store(*[script(server(f"web{number}"), serial) for number in range(3)])
    executors.wake(queued.lanes)
    lanes.wait(queued.waited, seconds=PATIENCE)
    assert [host.name for host, _ in threaded.exchanges] == ["web0", "web1", "web2"]


def test_a_wake_up_during_a_drain_is_not_lost(threaded, store, server, settings):
    settings.ORCHESTRATION_POLL = 3600
    web = server()
    for _ in range(30):
        queued = store(script(web))
        executors.wake(queued.lanes)
    lanes.wait(queued.waited, seconds=PATIENCE)
    assert states() == {"SUCCESS"}


def test_a_drain_that_breaks_is_logged_and_the_thread_goes_on(threaded, store, server, settings, caplog):
    queued = store(script(server()))
    settings.ORCHESTRATION_LEASE = "nonsense"
    executors.wake(queued.lanes)
    until(lambda: "could not be drained" in caplog.text)
    del settings.ORCHESTRATION_LEASE
    executors.wake(queued.lanes)
    until(lambda: states() == {"SUCCESS"})


class Quitting(RecordingMethod):
    """A method that calls sys.exit()."""

    def run(self, host, unit):
        sys.exit("no more")


def test_a_method_that_exits_ends_no_thread(threaded, store, server, settings, caplog):
    settings.ORCHESTRATION_POLL = 0.05
    settings.ORCHESTRATION_DRAIN_THREADS = 1
    queued = store(script(server()))
    with override_settings(ORCHESTRATION_SSH_METHOD="tests.executors.test_threads.Quitting"):
        executors.wake(queued.lanes)
        until(lambda: "could not be drained" in caplog.text)
    until(lambda: states() == {"ABORTED"})
    executors.wake(store(script(server("web2"))).lanes)
    until(lambda: states() == {"ABORTED", "SUCCESS"})


@pytest.mark.parametrize("error", [InterfaceError("connection already closed"), RuntimeError("odd")])
def test_a_look_that_breaks_is_logged_and_the_watcher_goes_on(
    threaded, store, server, settings, caplog, error
):
    settings.ORCHESTRATION_POLL = 0.05
    errors = [error]

    def fail(**_):
        if errors and threading.current_thread().name == "orchestration-watch":
            raise errors.pop()

    connection_created.connect(fail)
    try:
        executors.wake([])
        until(lambda: str(error) in caplog.text)
        store(script(server()))
        until(lambda: states() == {"SUCCESS"})
    finally:
        connection_created.disconnect(fail)


def test_a_thread_that_cannot_start_is_tried_again(threaded, store, server, settings, monkeypatch, caplog):
    settings.ORCHESTRATION_POLL = 0.05
    start, failures = threading.Thread.start, ["orchestration-drain", "orchestration-watch"]

    def refuse(thread):
        if thread.name in failures:
            failures.remove(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    executors.wake(store(script(server())).lanes)
    assert caplog.text.count("can't start new thread") == 2
    executors.wake([])
    until(lambda: states() == {"SUCCESS"})


class Unreachable(RecordingMethod):
    """A method that fails when the server is dead, at once or when ``gone`` is set again."""

    gone = threading.Event()

    def run(self, host, unit):
        if not host.name.startswith("dead"):
            yield from super().run(host, unit)
            return
        while not self.gone.wait(0.02):
            yield Tick()
        raise ConnectionFailed("Dead.")


@pytest.mark.lesson(13)
def test_dead_servers_do_not_take_all_threads(threaded, store, server, settings):
    """G6: once it is known that a server is out of reach, its retries leave room for the others."""
    settings.ORCHESTRATION_SSH_METHOD = "tests.executors.test_threads.Unreachable"
    settings.ORCHESTRATION_DRAIN_THREADS = 4
    settings.ORCHESTRATION_RETRY_PAUSE = 0.5
    Unreachable.gone.set()
    executors.wake(store(*[script(server(f"dead{number}")) for number in range(8)]).lanes)
    until(lambda: ScriptLog.objects.filter(attempt__gt=0).count() == 8)
    Unreachable.gone.clear()
    until(lambda: len(executors.get()._retries) == 6, "two lanes to be tried, and the others to wait")
    alive = store(script(server()))
    executors.wake(alive.lanes)
    [log] = lanes.wait(alive.waited, seconds=PATIENCE / 4)
    Unreachable.gone.set()
    assert log.is_success
    ScriptLog.objects.waiting().update(state="REVOKED")
    until(lambda: not executors.get()._known)
    assert executors.get()._retrying == 0


def test_unused_connections_are_closed(threaded, settings):
    settings.ORCHESTRATION_POLL = 0.05
    settings.ORCHESTRATION_POOL_IDLE = 0.05
    closed = threading.Event()

    class Connection:
        is_closed = False
        close = closed.set

    pool, host = Pool(lambda host: Connection()), Host("web1")
    entry, _ = pool.enter(host, patience=1)
    pool.leave(host, entry)
    executors.wake([])
    assert closed.wait(PATIENCE)
    assert len(pool) == 0


def test_stopping_waits_for_what_runs_and_starts_nothing_more(threaded, store, server):
    web = server()
    queued = store(script(web), script(web))
    with threaded.held():
        executors.wake(queued.lanes)
        until(lambda: threaded.exchanges)
        stopping = threading.Thread(target=executors.stop)
        stopping.start()
        until(lambda: executors.get()._stopping)
    stopping.join(PATIENCE)
    assert not stopping.is_alive()
    assert names() == []
    first, second = ScriptLog.objects.order_by("number")
    assert (first.state, second.state) == ("SUCCESS", "RECEIVED")
    assert Lease.objects.get().owner == ""


def test_a_stopped_executor_can_be_woken_again(threaded, store, server, settings):
    settings.ORCHESTRATION_DRAIN_THREADS = 1
    queued = store(script(server("web1")), script(server("web2")))
    with threaded.held():
        executors.wake(queued.lanes)
        until(lambda: threaded.exchanges)
        executors.get().stop(0)
    executors.wake(queued.lanes)
    until(lambda: states() == {"SUCCESS"})


def test_stopping_does_not_wait_for_ever(threaded, store, server, caplog):
    pool = Threads()
    with threaded.held():
        pool.wake(store(script(server())).lanes)
        until(lambda: threaded.exchanges)
        started = time.monotonic()
        pool.stop(0.05)
        assert time.monotonic() - started < PATIENCE / 2
    assert "still run" in caplog.text
    until(lambda: states() == {"SUCCESS"})
    pool.stop()


def test_threads_without_work_end(threaded, store, server, monkeypatch):
    monkeypatch.setattr("orchestration.executors.threads.IDLE", 0.01)
    executors.wake(store(script(server())).lanes)
    until(lambda: states() == {"SUCCESS"})
    until(lambda: "orchestration-drain" not in names())
    executors.wake(store(script(server("web2"))).lanes)
    until(lambda: states() == {"SUCCESS"})


def test_a_forked_child_has_threads_of_its_own(threaded, store, server):
    """As web servers do: load everything, then fork. Tried in a process of its own."""
    program = """
import os, threading
from orchestration.executors.threads import Threads
pool = Threads()
pool._lock.acquire()
if os.fork() == 0:
    pool._lock.acquire(timeout=5) or os._exit(2)
    os._exit(0 if not pool._workers else 3)
pool._lock.release()
_, status = os.wait()
print(os.waitstatus_to_exitcode(status))
"""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": os.getcwd()}
    program = "import django; django.setup()" + program
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment
    )
    assert (run.stdout.strip(), run.stderr) == ("0", "")


def test_connections_are_closed_after_each_drain(threaded, store, server):
    if connection.vendor != "postgresql":
        pytest.skip("PostgreSQL tells who is connected")
    executors.wake(store(script(server())).lanes)
    until(lambda: states() == {"SUCCESS"})

    def connected():
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            return cursor.fetchone()[0]

    until(lambda: connected() == 1, "connections of threads to close")


def test_nothing_runs_while_execution_is_disabled(threaded, store, server, settings):
    queued = store(script(server()))
    settings.ORCHESTRATION_DISABLE_EXECUTION = True
    settings.ORCHESTRATION_POLL = 0.01
    executors.wake(queued.lanes)
    until(lambda: not executors.get()._known)
    assert states() == {"RECEIVED"}
    assert Lane.objects.filter(lease=None).exists()
