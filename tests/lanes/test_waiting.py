"""Waiting for logs: as long as it helps, and no longer."""

import os
import subprocess
import sys
import threading
import time

import pytest

from orchestration import lanes
from orchestration.exceptions import ConnectionFailed
from orchestration.models import ScriptLog
from orchestration.models.clock import now_plus
from tests.services.concurrency import PATIENCE, until

from .scripts import script, section

pytestmark = [pytest.mark.databases, pytest.mark.django_db(transaction=True)]


def in_background(function):
    """Call a function in a thread; return the thread and a list that gets the result."""
    from django.db import connection

    results = []

    def call():
        results.append(function())
        connection.close()

    thread = threading.Thread(target=call)
    thread.start()
    return thread, results


def test_what_has_ended_is_returned_at_once(recording, store, server):
    queued = store(script(server(), section("A"), section("B")))
    lanes.drain(queued.lanes[0])
    logs = lanes.wait(reversed(queued.waited))
    assert [log.pk for log in logs] == queued.waited
    assert all(log.is_success for log in logs)


def test_nothing_is_waited_for_without_logs():
    assert lanes.wait([]) == []


def test_the_end_in_this_process_is_noticed(recording, store, server):
    queued = store(script(server()))
    with recording.held():
        draining, _ = in_background(lambda: lanes.drain(queued.lanes[0]))
        waiting, results = in_background(lambda: lanes.wait(queued.waited, seconds=PATIENCE))
        until(lambda: ScriptLog.objects.running().exists())
        assert results == []
    waiting.join(PATIENCE)
    draining.join(PATIENCE)
    assert [log.state for log in results[0]] == ["SUCCESS"]


def test_the_end_in_another_process_is_noticed(recording, store, server):
    queued = store(script(server()))
    waiting, results = in_background(lambda: lanes.wait(queued.waited, seconds=PATIENCE))
    ScriptLog.objects.update(state="FAILURE")
    waiting.join(PATIENCE)
    assert [log.state for log in results[0]] == ["FAILURE"]


def test_the_limit_is_kept(recording, store, server):
    queued = store(script(server()))
    started = time.monotonic()
    [log] = lanes.wait(queued.waited, seconds=0.2)
    assert 0.15 < time.monotonic() - started < PATIENCE
    assert log.state == ScriptLog.RECEIVED


def test_no_time_means_a_look(recording, store, server):
    [log] = lanes.wait(store(script(server())).waited, seconds=0)
    assert log.state == ScriptLog.RECEIVED


def test_a_server_out_of_reach_is_not_waited_for(recording, store, server, settings):
    """G6: also those behind the one that is tried again."""
    web = server()
    recording.fail(ConnectionFailed("Not now."))
    first, second = store(script(web)), store(script(web))
    lanes.drain(first.lanes[0])
    ScriptLog.objects.filter(number=1).update(not_before=now_plus(60))
    logs = lanes.wait([*first.waited, *second.waited])
    assert [(log.state, log.reason) for log in logs] == [("RECEIVED", "Not now."), ("RECEIVED", "")]


def test_an_inactive_server_is_not_waited_for(recording, store, server):
    web = server()
    queued = store(script(web))
    type(web).objects.update(is_active=False)
    [log] = lanes.wait(queued.waited)
    assert log.state == ScriptLog.RECEIVED


def test_a_forked_child_waits_for_no_thread_of_its_parent():
    """The web server forks while one of its threads announces an end. Tried in a process of its own."""
    program = """
import django, os, threading; django.setup()
from orchestration.lanes import waiting
holder = threading.Thread(target=waiting._changed.acquire)
holder.start(), holder.join()
if os.fork() == 0:
    threading.Timer(5, os._exit, [1]).start()
    waiting.announce()
    os._exit(0)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": os.getcwd()}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment
    )
    assert (run.stdout.strip(), run.stderr) == ("0", "")


def test_many_logs_can_be_waited_for(recording, store, server):
    web = server()
    pks = list(range(10**6, 10**6 + 3000)) + store(script(web)).waited
    assert len(lanes.wait(pks, seconds=0)) == 1
