"""The executor that drains in the caller."""

import pytest

from orchestration import executors
from orchestration.exceptions import ConnectionFailed
from orchestration.executors.inline import Inline
from orchestration.models import ScriptLog
from tests.lanes.scripts import script, section

pytestmark = pytest.mark.django_db


def test_everything_has_ended_when_wake_returns(recording, store, server):
    web = server()
    for _ in range(45):
        queued = store(script(web))
    executors.wake(queued.lanes)
    assert set(ScriptLog.objects.values_list("state", flat=True)) == {"SUCCESS"}


def test_followers_are_drained_too(recording, store, server):
    serial = section("A", serialize=True)
    queued = store(*[script(server(f"web{number}"), serial) for number in range(3)])
    executors.wake(queued.lanes[::-1])
    assert [host.name for host, _ in recording.exchanges] == ["web0", "web1", "web2"]


def test_work_that_must_wait_is_left(recording, store, server):
    recording.fail(ConnectionFailed("Not now."))
    queued = store(script(server()))
    executors.wake(queued.lanes)
    assert ScriptLog.objects.get().state == ScriptLog.RECEIVED
    executors.start()
    executors.stop()


def test_the_executor_is_found_by_name_or_path(settings):
    settings.ORCHESTRATION_EXECUTOR = "inline"
    assert isinstance(executors.get(), Inline)
    settings.ORCHESTRATION_EXECUTOR = "orchestration.executors.inline.Inline"
    assert isinstance(executors.get(), Inline)
