"""What a script prints is in its log while it runs, bounded in writes; a late worker writes nothing."""

import logging

import pytest
from django.db import DataError, OperationalError, connection

from orchestration import lanes, methods
from orchestration.exceptions import LeaseLost
from orchestration.lanes import lease, recording
from orchestration.models import Lease, ScriptLog
from orchestration.models.clock import now_plus
from orchestration.scripts import Done, Output, Tick
from orchestration.shell import MASK

from .scripts import script, section

pytestmark = [pytest.mark.databases, pytest.mark.django_db]
ACTING = "tests.lanes.test_recording.Acting"


class Acting:
    """A method whose events are written by the test: a function of the unit's jobs."""

    def run(self, host, unit):
        yield from self.act(*unit.jobs)


@pytest.fixture
def clock(monkeypatch):
    """A clock of this process that only goes on when the test says so."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr("orchestration.lanes.recording.monotonic", clock.monotonic)
    return clock


@pytest.fixture
def updates():
    """The statements that change logs, as they are sent."""
    sent = []

    def note(execute, sql, params, *arguments):
        if sql.startswith("UPDATE") and "orchestration_scriptlog" in sql:
            sent.append(f"{sql} {params}")
        return execute(sql, params, *arguments)

    with connection.execute_wrapper(note):
        yield sent


@pytest.fixture
def act(recording, store, server, settings, clock):
    """Run a script of some sections whose method yields what ``act`` yields."""
    settings.ORCHESTRATION_SSH_METHOD = ACTING

    def run(act, *sections):
        methods.get(ACTING).act = act
        [lane] = store(script(server(), *sections)).lanes
        lanes.drain(lane)
        logs = list(ScriptLog.objects.order_by("position"))
        assert not any("AssertionError" in log.traceback for log in logs), logs[0].traceback
        return logs

    return run


def only():
    return ScriptLog.objects.get()


def test_output_can_be_read_while_it_runs(act, clock):
    def events(job):
        yield Output(job.id, 1, b"one ")
        assert only().stdout == ""
        clock.now += 1
        yield Tick()
        assert (only().stdout, only().stdout_size, only().state) == ("one ", 4, "STARTED")
        yield Output(job.id, 2, b"two")
        clock.now += 1
        yield Tick()
        assert (only().stdout, only().stderr) == ("one ", "two")
        yield Done(job.id, 0)

    [log] = act(events)
    assert (log.state, log.stdout, log.stderr) == ("SUCCESS", "one ", "two")


@pytest.mark.lesson(24)
def test_writes_are_few_however_much_is_printed(act, clock, django_assert_max_num_queries):
    def events(job):
        for _ in range(2000):
            clock.now += 0.005
            yield Output(job.id, 1, b"x" * 100)
        yield Done(job.id, 0)

    with django_assert_max_num_queries(80):  # 10 seconds: 5 statements each, and those around them
        [log] = act(events)
    assert log.stdout_size == 200_000


@pytest.mark.lesson(24)
def test_a_long_and_slow_output_is_not_written_again_and_again(act, clock, updates):
    def events(job):
        for _ in range(1000):
            clock.now += 1
            yield Output(job.id, 1, b"x" * 1000)
        yield Done(job.id, 0)

    [log] = act(events)
    assert log.stdout_size == 10**6
    assert 10 < len(updates) < 200
    assert sum(map(len, updates)) < 1100 * recording.PACE


def test_an_output_over_the_cap_is_not_written_again(act, clock, settings, updates):
    settings.ORCHESTRATION_OUTPUT_CAP, settings.ORCHESTRATION_OUTPUT_TAIL = 1000, 100

    def events(job):
        for _ in range(100):
            clock.now += 2
            yield Output(job.id, 1, b"y" * 100)
        yield Done(job.id, 0)

    [log] = act(events)
    assert len(updates) <= 15
    assert log.stdout == "y" * 1000 + "\n[… 8,900 bytes left out …]\n" + "y" * 100


def test_a_section_that_has_ended_is_shown_while_the_next_one_runs(act, clock):
    def events(first, second):
        yield Done(first.id, 0)
        clock.now += 1
        yield Tick()
        states = ScriptLog.objects.order_by("position").values_list("state", flat=True)
        assert list(states) == ["SUCCESS", "STARTED"]
        yield Done(second.id, 1)

    logs = act(events, section("A"), section("B"))
    assert [log.state for log in logs] == ["SUCCESS", "FAILURE"]


@pytest.mark.lesson(28)
def test_secrets_are_masked_in_all_that_is_shown(act, clock):
    def events(job):
        yield Output(job.id, 1, b"password is hun")
        clock.now += 1
        yield Output(job.id, 1, b"ter2.")
        yield Output(job.id, 2, b"hunter2")
        done = {"error": "No hunter2 here.", "traceback": "x = 'hunter2'", "notes": ("hunter2 kept it.",)}
        yield Done(job.id, None, **done)

    [log] = act(events, section("A", secrets=("hunter2",)))
    assert log.stdout == f"password is {MASK}."
    assert log.stderr == MASK
    assert log.reason == f"No {MASK} here. {MASK} kept it."
    assert log.traceback == f"x = '{MASK}'"


@pytest.mark.lesson(28)
def test_secrets_are_masked_in_what_a_method_raises(act):
    def events(job):
        raise ValueError("hunter2 is wrong")
        yield

    [log] = act(events, section("A", secrets=("hunter2",)))
    assert log.state == ScriptLog.ERROR
    assert "hunter2" not in log.reason + log.traceback


@pytest.mark.lesson(25)
def test_text_is_recorded_as_it_was_printed(act):
    text = "\r\n a\tb  \n\n'quotes' \"too\" \\ $x `y` <b>&amp;\u2028\n"

    def events(job):
        yield Output(job.id, 1, text.encode())
        yield Done(job.id, 0)

    [log] = act(events)
    assert log.stdout == text


def test_output_that_the_database_refuses_does_not_end_the_script(act, clock):
    """As MariaDB refuses an emoji in a table of an old character set."""

    def refuse(execute, sql, params, *arguments):
        if sql.startswith("UPDATE") and "\U0001f600" in str(params):
            raise DataError("Incorrect string value")
        return execute(sql, params, *arguments)

    def events(job):
        yield Output(job.id, 1, "\U0001f600".encode())
        clock.now += 1
        yield Tick()
        Lease.objects.update(expires_at=now_plus(1))
        clock.now += 16
        yield Tick()
        assert Lease.objects.filter(expires_at__gt=now_plus(50)).exists()
        yield Done(job.id, 0)

    with connection.execute_wrapper(refuse):
        [log] = act(events)
    assert (log.state, log.exit_code, log.reason) == ("SUCCESS", 0, recording.REFUSED)


@pytest.mark.parametrize("use_tz", [True, False])
def test_all_times_that_people_read_are_in_one_time_zone(recording, store, server, settings, use_tz):
    """Without USE_TZ databases store local time, and what waits or is late must not seem so."""
    settings.USE_TZ, settings.TIME_ZONE = use_tz, "Asia/Tokyo"
    lanes.drain(store(script(server())).lanes[0])
    log = only()
    assert log.created_at <= log.started_at <= log.finished_at
    assert (log.finished_at - log.created_at).total_seconds() < 60


def test_the_lease_is_renewed_while_a_script_is_silent(act, clock):
    def events(job):
        Lease.objects.update(expires_at=now_plus(1))
        clock.now += 16
        yield Tick()
        assert Lease.objects.filter(expires_at__gt=now_plus(50)).exists()
        yield Done(job.id, 0)

    act(events)


def test_a_silent_script_costs_few_statements(act, clock, django_assert_max_num_queries):
    def events(job):
        for _ in range(100):
            clock.now += 0.1
            yield Tick()
        yield Done(job.id, 0)

    with django_assert_max_num_queries(60):
        act(events)


@pytest.mark.lesson(16)
def test_a_worker_that_lost_its_lease_stops_and_writes_nothing(act, clock):
    closed = []

    def events(job):
        try:
            yield Output(job.id, 1, b"old")
            Lease.objects.update(owner="another", epoch=9)
            ScriptLog.objects.update(state="ABORTED", reason="Taken over.", epoch=9)
            clock.now += 20
            yield Tick()
            pytest.fail("nobody listens any more")
        finally:
            closed.append(True)

    [log] = act(events)
    assert closed
    assert (log.state, log.reason, log.stdout) == ("ABORTED", "Taken over.", "")
    assert Lease.objects.get().owner == "another"


@pytest.mark.lesson(16)
def test_a_result_that_comes_too_late_is_refused(act):
    def events(job):
        Lease.objects.update(owner="another", epoch=9)
        yield Done(job.id, 0)

    [log] = act(events)
    assert log.state == ScriptLog.STARTED


def test_a_lease_that_expired_unclaimed_still_counts(act):
    def events(job):
        Lease.objects.update(expires_at=now_plus(-100))
        yield Done(job.id, 0)

    [log] = act(events)
    assert log.state == ScriptLog.SUCCESS


@pytest.fixture
def break_database(clock):
    """Let the database refuse some updates of leases: ``break_database(times, seconds each)``."""
    refusals = []

    def refuse(execute, sql, *arguments):
        if refusals and sql.startswith("UPDATE") and "orchestration_lease" in sql:
            clock.now += refusals.pop()
            raise OperationalError("the server is away")
        return execute(sql, *arguments)

    with connection.execute_wrapper(refuse):
        yield lambda times, *, seconds=0: refusals.extend([seconds] * times)


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_for_a_while_gets_the_result_later(
    act, clock, monkeypatch, caplog, break_database
):
    monkeypatch.setattr(recording, "PATIENCE", 0.001)

    def events(job):
        break_database(1)
        clock.now += 1
        yield Tick()
        yield Output(job.id, 1, b"kept")
        break_database(3)
        yield Done(job.id, 0)

    with caplog.at_level(logging.WARNING):
        [log] = act(events)
    assert (log.state, log.stdout) == ("SUCCESS", "kept")
    assert caplog.text.count("does not take the result: the server is away") == 4


@pytest.mark.django_db(transaction=True)
def test_a_script_goes_on_while_the_database_is_away(act, clock, break_database, caplog):
    def events(job):
        break_database(20)
        for _ in range(2000):
            clock.now += 0.01
            yield Output(job.id, 1, b".")
        yield Done(job.id, 0)

    [log] = act(events)
    assert (log.state, log.stdout_size) == ("SUCCESS", 2000)
    assert caplog.text.count("the server is away") in {19, 20}


@pytest.mark.django_db(transaction=True)
def test_a_database_that_stays_away_ends_the_drain_at_last(act, monkeypatch, break_database):
    monkeypatch.setattr(recording, "PATIENCE", 0.001)

    def events(job):
        break_database(5, seconds=400)
        yield Done(job.id, 0)

    with pytest.raises(OperationalError):
        act(events)
    assert only().state == ScriptLog.STARTED


@pytest.mark.parametrize("result", [{"nul": "\0"}, {"set": {1}}, {"half": "\udcff"}])
def test_results_that_cannot_be_stored_do_not_stop_the_lane(act, result):
    def events(job):
        yield Output(job.id, 1, b"printed")
        yield Done(job.id, 0, results=result)

    [log] = act(events)
    assert log.state == ScriptLog.SUCCESS
    assert log.finished_at
    assert log.results == result or "refused" in log.reason


def test_sentences_of_methods_may_hold_anything(act):
    def events(job):
        yield Done(job.id, None, error="a\0b\udcff", traceback="c\0d", notes=("e\0f",))

    [log] = act(events)
    assert log.reason == "a\ufffdb? e\ufffdf"
    assert log.traceback == "c\ufffdd"


class TestLease:
    """The compare-and-set itself."""

    @pytest.fixture
    def lane(self, recording, store, server):
        return store(script(server())).lanes[0]

    def test_only_one_can_take_it(self, lane):
        first = lease.claim(lane)
        assert lease.claim(lane) is None
        assert first.epoch == 1

    def test_an_expired_one_can_be_taken_with_a_higher_epoch(self, lane):
        first = lease.claim(lane)
        Lease.objects.update(expires_at=now_plus(-0.01))
        second = lease.claim(lane)
        assert second.epoch == first.epoch + 1
        with pytest.raises(LeaseLost):
            lease.renew(first)
        lease.release(first)
        assert Lease.objects.get().owner == second.owner
        lease.renew(second)

    def test_a_released_one_can_be_taken(self, lane):
        lease.release(lease.claim(lane))
        assert lease.claim(lane).epoch == 2
