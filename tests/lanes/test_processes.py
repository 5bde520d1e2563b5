"""Workers that are killed, frozen or told to end in the middle of a script."""

import os
import signal

import pytest

from orchestration import lanes
from orchestration.models import Lease, ScriptLog
from orchestration.models.clock import now_plus
from tests.services.concurrency import until
from tests.services.worker import Worker

from .scripts import script, section

pytestmark = [pytest.mark.databases, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def here(server, settings):
    """This machine as a server; nothing runs in the tests' own process unless a test drains."""
    settings.ORCHESTRATION_DISABLE_EXECUTION = False
    return server(connection="local")


@pytest.fixture
def gate(tmp_path):
    """A script that has begun when ``gate.begun`` exists, and ends when ``gate.open()`` is called."""

    class Gate:
        begun, pipe, opened = tmp_path / "begun", tmp_path / "pipe", []
        text = f"touch {begun}; read line < {pipe}; echo $line"

        def open(self):
            pipe = os.open(self.pipe, os.O_RDWR)  # unlike "w" it does not wait for a reader
            os.write(pipe, b"through\n")
            self.opened.append(pipe)

    os.mkfifo(Gate.pipe)
    yield (gate := Gate())
    gate.open()  # no script may wait there for ever, when its worker was killed
    for pipe in Gate.opened:
        os.close(pipe)


def states():
    return list(ScriptLog.objects.order_by("number").values_list("state", flat=True))


@pytest.mark.lesson(8)
@pytest.mark.lesson(9)
def test_a_killed_worker_is_noticed_and_the_lane_goes_on(here, store, gate, tmp_path):
    store(script(here, section(text=gate.text)), script(here, section(text=f"touch {tmp_path}/second")))
    with Worker() as worker:
        until(gate.begun.exists, "the script to begin")
        worker.signal(signal.SIGKILL)
        worker.end()
    assert states() == ["STARTED", "RECEIVED"]
    Lease.objects.update(expires_at=now_plus(-1))
    with Worker("--once") as another:
        assert another.end()[0] == 0
    assert states() == ["ABORTED", "SUCCESS"]
    assert (tmp_path / "second").exists()


@pytest.mark.lesson(16)
def test_a_frozen_worker_that_wakes_up_writes_nothing(here, store, gate, tmp_path):
    [lane] = store(script(here, section(text=gate.text))).lanes
    with Worker(ORCHESTRATION_POLL=0.1) as worker:
        until(gate.begun.exists, "the script to begin")
        worker.signal(signal.SIGSTOP)
        Lease.objects.update(expires_at=now_plus(-1))
        store(script(here, section(text="echo newer")))
        lanes.drain(lane)
        assert states() == ["ABORTED", "SUCCESS"]
        worker.signal(signal.SIGCONT)
        gate.open()
        third = store(script(here, section(text=f"touch {tmp_path}/third")))
        lanes.wait(third.waited, seconds=20)
        worker.signal(signal.SIGTERM)
        assert worker.end()[0] == 0
    assert states() == ["ABORTED", "SUCCESS", "SUCCESS"]
    assert ScriptLog.objects.get(number=1).stdout == ""


def test_a_worker_told_to_end_finishes_what_runs_and_starts_nothing_more(here, store, gate):
    store(script(here, section(text=gate.text)), script(here))
    with Worker() as worker:
        until(gate.begun.exists, "the script to begin")
        worker.signal(signal.SIGTERM)
        worker.expect("Running scripts")
        worker.expect("Finishing")
        gate.open()
        status, output = worker.end()
    assert (status, output) == (0, "")
    assert states() == ["SUCCESS", "RECEIVED"]
    assert ScriptLog.objects.get(number=1).stdout == "through\n"
    assert Lease.objects.get().owner == ""


@pytest.mark.lesson(9)
def test_the_end_of_a_process_waits_for_what_it_runs(here, store, gate):
    """A command that changed something in the background, and ends at once."""
    queued = store(script(here, section(text=gate.text)), script(here))
    with Worker("--wake", str(queued.lanes[0])) as worker:
        until(gate.begun.exists, "the script to begin")
        gate.open()
        assert worker.end() == (0, "")
    assert states() == ["SUCCESS", "RECEIVED"]


@pytest.mark.lesson(11)
def test_several_workers_share_lanes_and_none_runs_twice(here, store, tmp_path):
    """G3: each script appends a line; the lines of a lane are those of its numbers, once, in order."""
    names = ("one", "two", "three")
    for turn in range(8):
        sections = {name: section(text=f"echo {turn} >> {tmp_path}/{name}") for name in names}
        store(*[script(here, sections[name], lane=name) for name in names])
    with Worker(ORCHESTRATION_POLL=0.1), Worker(ORCHESTRATION_POLL=0.1):
        until(lambda: set(states()) == {"SUCCESS"}, "all scripts", 60)
    for name in names:
        assert (tmp_path / name).read_text().split() == [str(turn) for turn in range(8)]
