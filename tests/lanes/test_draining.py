"""Draining: in order, one worker a lane, and whatever a method does, the lane goes on."""

import pytest

from orchestration import lanes, payloads
from orchestration.exceptions import (
    CannotStart,
    ConnectionFailed,
    ConnectionLost,
    ConnectionRefused,
)
from orchestration.lanes import lease
from orchestration.lanes.head import head
from orchestration.lanes.recording import Recorder
from orchestration.lanes.section import prepare
from orchestration.models import Installation, Lane, Lease, ScriptLog
from orchestration.models.clock import now_plus
from orchestration.scripts import Done, Group, Started
from orchestration.testing import RECORDING, RecordingMethod
from tests.services.concurrency import in_threads

from .scripts import script, section

pytestmark = [pytest.mark.databases, pytest.mark.django_db]
SECOND = "tests.lanes.test_draining.Second"
BROKEN = "tests.lanes.test_draining.Broken"


class Second(RecordingMethod):
    """Another method, to be told from the first."""


class Broken:
    """A method that does not keep its promises."""

    def run(self, host, unit):
        yield Started(unit.jobs[0].id)
        yield Done("somebody else's job", 0)


def drain(queued):
    [lane] = queued.lanes
    return lanes.drain(lane)


def state_of(*logs):
    states = dict(ScriptLog.objects.values_list("pk", "state"))
    return [states[log.pk] for log in logs]


class TestOrder:
    def test_a_script_succeeds(self, recording, store, server):
        queued = store(script(server(), section("A", text="echo a")))
        recording.answer(0, stdout=b"a\n")
        assert drain(queued) == lanes.Rest()
        log = ScriptLog.objects.get()
        assert (log.state, log.exit_code, log.stdout, log.stdout_size) == ("SUCCESS", 0, "a\n", 2)
        assert log.payload is None
        assert log.created_at <= log.started_at <= log.finished_at
        assert recording.texts == ["echo a"]

    @pytest.mark.lesson(11)
    def test_scripts_run_in_the_order_of_their_numbers(self, recording, store, server):
        web = server()
        for number in range(5):
            queued = store(script(web, section(text=f"{number}")))
        drain(queued)
        assert recording.texts == list("01234")
        assert len(recording.exchanges) == 5

    def test_the_host_and_the_lane_are_told_to_the_method(self, recording, store, server):
        web = server(address="10.0.0.1", port=2222, user="ada", sudo=True)
        drain(store(script(web)))
        [(host, unit)] = recording.exchanges
        assert (host.name, host.address, host.port, host.user, host.sudo) == (
            "web1",
            "10.0.0.1",
            2222,
            "ada",
            True,
        )
        assert host.server == web
        assert unit.lane == Lane.objects.get().uuid.hex
        assert unit.epoch == 1
        assert unit.jobs[0].id == ScriptLog.objects.get().uuid.hex

    def test_limits_are_handed_over(self, recording, store, server):
        drain(store(script(server(), section(idle=7, total=8))))
        assert (recording.jobs[0].idle, recording.jobs[0].total) == (7, 8)

    def test_other_lanes_are_left_alone(self, recording, store, server):
        queued = store(
            script(server("web1"), section(text="web")), script(server("web2"), section(text="other"))
        )
        lanes.drain(queued.lanes[0])
        assert state_of(*queued.logs) == ["SUCCESS", "RECEIVED"]

    def test_a_long_lane_gives_way_to_others(self, recording, store, server):
        web = server()
        for _ in range(25):
            queued = store(script(web))
        assert drain(queued) == lanes.Rest(again=0)
        assert drain(queued) == lanes.Rest()
        assert ScriptLog.objects.filter(state="SUCCESS").count() == 25

    def test_stopping_leaves_the_next_script_waiting(self, recording, store, server):
        web = server()
        queued = store(script(web), script(web))
        answers = iter([False, True])
        assert lanes.drain(queued.lanes[0], stop=lambda: next(answers)) == lanes.Rest(again=0)
        assert state_of(*queued.logs) == ["SUCCESS", "RECEIVED"]

    def test_an_inactive_server_keeps_its_work(self, recording, store, server):
        web = server(is_active=False)
        queued = store(script(web))
        assert drain(queued) == lanes.Rest()
        assert state_of(*queued.logs) == ["RECEIVED"]
        assert lanes.due() == []
        type(web).objects.update(is_active=True)
        assert lanes.due() == queued.lanes
        drain(queued)
        assert state_of(*queued.logs) == ["SUCCESS"]

    def test_a_cancelled_script_does_not_run(self, recording, store, server):
        queued = store(script(server()))
        ScriptLog.objects.update(state=ScriptLog.REVOKED)
        drain(queued)
        assert recording.exchanges == []

    def test_a_lane_that_is_gone_is_no_trouble(self, recording):
        assert lanes.drain(12345) == lanes.Rest()


class TestSections:
    def test_all_sections_go_in_one_exchange(self, recording, store, server):
        drain(store(script(server(), section("A", text="a"), section("B", text="b"))))
        assert len(recording.exchanges) == 1
        assert recording.texts == ["a", "b"]

    def test_groups_of_a_section_need_each_other(self, recording, store, server):
        groups = [Group(RECORDING, "/bin/sh", "one"), Group(RECORDING, "/bin/sh", "two")]
        recording.answer(0, stdout=b"1")
        recording.answer(3, stdout=b"2", stderr=b"no")
        drain(store(script(server(), section(groups=tuple(groups)))))
        first, second = recording.jobs
        assert second.id == f"{first.id}-2"
        assert second.needs == (first.id,)
        log = ScriptLog.objects.get()
        assert (log.state, log.exit_code, log.stdout, log.stderr) == ("FAILURE", 3, "12", "no")
        assert (log.stdout_size, log.stderr_size) == (2, 2)

    def test_groups_of_several_methods_are_exchanges_of_their_own(self, recording, store, server):
        groups = (Group(RECORDING, "", "one"), Group(SECOND, "", "two"), Group(RECORDING, "", "three"))
        drain(store(script(server(), section(groups=groups), section("B", text="four"))))
        assert [[job.text for job in unit.jobs] for _, unit in recording.exchanges] == [
            [b"one"],
            [b"three", b"four"],
        ]
        assert all(job.needs == () for job in recording.jobs)
        assert set(ScriptLog.objects.values_list("state", flat=True)) == {"SUCCESS"}

    def test_a_failed_group_stops_the_next_one_of_another_method(self, recording, store, server):
        groups = (Group(RECORDING, "", "one"), Group(SECOND, "", "two"), Group(RECORDING, "", "three"))
        recording.answer(4)
        drain(store(script(server(), section(groups=groups), section("B", text="four"))))
        assert recording.texts == ["one", "four"]
        failed, other = ScriptLog.objects.order_by("position")
        assert (failed.state, failed.exit_code, other.state) == ("FAILURE", 4, "SUCCESS")

    def test_a_failed_section_stops_only_what_needs_it(self, recording, store, server):
        recording.answer(1)
        queued = store(
            script(server(), section("A"), section("B", needs=(0,)), section("C", needs=(1,)), section("D"))
        )
        drain(queued)
        assert state_of(*queued.logs) == ["FAILURE", "REVOKED", "REVOKED", "SUCCESS"]
        reasons = (
            ScriptLog.objects.filter(state="REVOKED").order_by("position").values_list("reason", flat=True)
        )
        assert list(reasons) == [
            "Needs A, which did not succeed.",
            "Needs B, which did not succeed.",
        ]

    def test_a_section_without_content_fulfils_needs(self, recording, store, server):
        queued = store(script(server(), section("A", groups=()), section("B", needs=(0,))))
        drain(queued)
        assert state_of(*queued.logs) == ["NOTHING", "SUCCESS"]

    def test_needs_across_methods_are_decided_here(self, recording, store, server):
        recording.answer(1)
        sections = (
            section("A"),
            section("B", method=SECOND),
            section("C", needs=(0,)),
            section("D", needs=(1,)),
        )
        queued = store(script(server(), *sections))
        drain(queued)
        assert state_of(*queued.logs) == ["FAILURE", "SUCCESS", "REVOKED", "SUCCESS"]

    def test_ssh_means_local_on_this_machine(self, recording, store, server):
        queued = store(script(server(connection="local"), section(text="echo here; exit 3")))
        drain(queued)
        assert recording.exchanges == []
        log = ScriptLog.objects.get()
        assert (log.state, log.stdout, log.exit_code) == ("FAILURE", "here\n", 3)


class TestEnds:
    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            ({"status": 0}, {"state": "SUCCESS", "exit_code": 0, "reason": ""}),
            ({"status": 7}, {"state": "FAILURE", "exit_code": 7, "reason": ""}),
            ({"status": None, "signal": 9}, {"state": "FAILURE", "exit_code": -9}),
            (
                {"status": None, "signal": 15, "limit": "idle"},
                {"state": "TIMEOUT", "exit_code": -15, "reason": "Killed after 900 seconds without output."},
            ),
            (
                {"status": None, "limit": "total"},
                {"state": "TIMEOUT", "exit_code": None, "reason": "Killed at its limit of 3600 seconds."},
            ),
            (
                {"status": None, "error": "There is no php here.", "traceback": "line 1"},
                {"state": "ERROR", "reason": "There is no php here.", "traceback": "line 1"},
            ),
            ({"status": 1, "traceback": "boom"}, {"state": "FAILURE", "traceback": "boom"}),
            ({"status": 0, "notes": ("nginx kept stdout open.",)}, {"reason": "nginx kept stdout open."}),
            ({"status": 0, "results": {"quota": 5}}, {"results": {"quota": 5}}),
        ],
    )
    def test_what_a_method_says_is_what_the_log_says(self, recording, store, server, answer, expected):
        recording.answer(**answer)
        drain(store(script(server())))
        log = ScriptLog.objects.get()
        assert {name: getattr(log, name) for name in expected} == expected
        assert log.finished_at

    @pytest.mark.parametrize("status", [None, 1])
    @pytest.mark.lesson(12)
    def test_what_may_be_run_again_is_kept(self, recording, store, server, status):
        recording.answer(status, error="" if status else "No space.")
        drain(store(script(server())))
        assert ScriptLog.objects.get().payload

    def test_a_server_out_of_reach_keeps_its_work(self, recording, store, server):
        recording.fail(ConnectionRefused("web1 refuses connections on port 22."))
        queued = store(script(server(), section("A"), section("B")))
        rest = drain(queued)
        assert 0 <= rest.again <= 1
        for log in ScriptLog.objects.all():
            assert (log.state, log.attempt) == ("RECEIVED", 1)
            assert log.reason == "web1 refuses connections on port 22."
            assert log.not_before
            assert log.started_at is None
            assert log.payload
        ScriptLog.objects.update(not_before=None)
        drain(queued)
        assert state_of(*queued.logs) == ["SUCCESS", "SUCCESS"]
        assert ScriptLog.objects.filter(reason="", attempt=1).count() == 2

    def test_later_scripts_wait_behind_one_that_is_tried_again(self, recording, store, server):
        web = server()
        recording.fail(ConnectionFailed("Not now."))
        queued = store(script(web, section(text="first")), script(web, section(text="second")))
        drain(queued)
        ScriptLog.objects.filter(attempt=1).update(not_before=now_plus(60))
        rest = drain(queued)
        assert 50 < rest.again <= 60
        assert lanes.due() == []
        assert len(recording.exchanges) == 1

    def test_pauses_grow_up_to_their_limit(self, recording, store, server, settings):
        settings.ORCHESTRATION_RETRY_PAUSE = 8
        queued = store(script(server()))
        longest = 0
        for attempt in range(30):
            ScriptLog.objects.update(attempt=attempt, not_before=None)
            recording.fail(ConnectionFailed("Not now."))
            pause, limit = drain(queued).again, min(8, 2**attempt)
            assert limit / 20 < pause <= limit
            longest = max(longest, pause)
        assert longest > 4

    def test_a_lost_connection_ends_what_nobody_saw(self, recording, store, server):
        recording.answer(0)
        recording.fail(ConnectionLost("The link to web1 was cut."))
        queued = store(script(server(), section("A"), section("B"), section("C")))
        assert drain(queued) == lanes.Rest()
        assert state_of(*queued.logs) == ["SUCCESS", "ABORTED", "ABORTED"]
        assert ScriptLog.objects.filter(reason="The link to web1 was cut.").count() == 2

    def test_what_cannot_start_is_an_error(self, recording, store, server):
        recording.fail(CannotStart("There is no bash on web1."))
        drain(store(script(server())))
        log = ScriptLog.objects.get()
        assert (log.state, log.reason, log.payload is None) == ("ERROR", "There is no bash on web1.", False)

    @pytest.mark.parametrize("method", ["tests.nowhere.Method", "Nonsense", BROKEN])
    def test_a_method_that_breaks_ends_its_script_and_not_the_lane(self, recording, store, server, method):
        web = server()
        queued = store(script(web, section("A", method=method)), script(web, section("B")))
        drain(queued)
        broken, after = ScriptLog.objects.order_by("number")
        assert (broken.state, after.state) == ("ERROR", "SUCCESS")
        assert "Traceback" in broken.traceback
        assert broken.reason.startswith("The method broke")

    def test_an_error_of_the_first_exchange_keeps_the_rest_for_later(self, recording, store, server):
        recording.fail(ConnectionFailed("Not now."))
        queued = store(script(server(), section("A"), section("B", method=SECOND)))
        drain(queued)
        assert state_of(*queued.logs) == ["RECEIVED", "RECEIVED"]

    def test_what_has_ended_is_not_run_again(self, recording, store, server):
        recording.answer(0, stdout=b"once")
        recording.fail(ConnectionFailed("The second job found no space."))
        queued = store(script(server(), section("A"), section("B", needs=(0,))))
        drain(queued)
        assert state_of(*queued.logs) == ["SUCCESS", "RECEIVED"]
        ScriptLog.objects.update(not_before=None)
        drain(queued)
        assert state_of(*queued.logs) == ["SUCCESS", "SUCCESS"]
        assert len(recording.jobs) == 3

    def test_needs_count_those_that_ended_at_an_earlier_try(self, recording, store, server):
        recording.answer(1)
        recording.fail(ConnectionFailed("Not now."))
        queued = store(script(server(), section("A"), section("B"), section("C", needs=(0,))))
        drain(queued)
        ScriptLog.objects.update(not_before=None)
        drain(queued)
        assert state_of(*queued.logs) == ["FAILURE", "SUCCESS", "REVOKED"]

    @pytest.mark.parametrize("payload", [None, b"", b"nonsense"])
    def test_a_payload_that_cannot_be_read_is_an_error(self, recording, store, server, payload):
        queued = store(script(server(), section("A"), section("B", needs=(0,)), section("C")))
        ScriptLog.objects.filter(pk=queued.logs[0].pk).update(payload=payload)
        drain(queued)
        assert state_of(*queued.logs) == ["ERROR", "REVOKED", "SUCCESS"]


class TestLease:
    def test_a_held_lane_is_left_to_its_owner(self, recording, store, server):
        queued = store(script(server()))
        claim = lease.claim(queued.lanes[0])
        assert drain(queued) == lanes.Rest()
        assert recording.exchanges == []
        assert lanes.due() == []
        lease.release(claim)
        assert lanes.due() == queued.lanes

    @pytest.mark.lesson(9)
    @pytest.mark.lesson(40)
    def test_what_a_vanished_worker_left_is_ended_and_the_lane_goes_on(self, recording, store, server):
        web = server()
        queued = store(script(web, section(text="first")), script(web, section(text="second")))
        lease.claim(queued.lanes[0])
        ScriptLog.objects.filter(number=1).update(state="STARTED", epoch=1)
        assert lanes.due() == []
        Lease.objects.update(expires_at=now_plus(-1))
        assert lanes.due() == queued.lanes
        drain(queued)
        orphan, other = ScriptLog.objects.order_by("number")
        assert (orphan.state, other.state) == ("ABORTED", "SUCCESS")
        assert "nobody saw its end" in orphan.reason
        assert orphan.finished_at
        assert orphan.payload
        assert recording.texts == ["second"]

    def test_only_orphans_are_a_reason_to_come_too(self, recording, store, server):
        queued = store(script(server()))
        ScriptLog.objects.update(state="STARTED")
        assert lanes.due() == queued.lanes
        drain(queued)
        assert state_of(*queued.logs) == ["ABORTED"]
        assert lanes.due() == []

    def test_the_lease_is_given_back(self, recording, store, server):
        drain(store(script(server())))
        row = Lease.objects.get()
        assert (row.owner, row.epoch) == ("", 1)

    def test_what_newer_code_has_stored_waits_for_newer_code(self, recording, store, server, monkeypatch):
        """While a deploy goes on, both drain side by side."""
        with monkeypatch.context() as newer:
            newer.setattr(payloads, "VERSION", 2)
            queued = store(script(server(), section("A"), section("B", needs=(0,))))
            assert drain(queued) == lanes.Rest()
            queued = store(script(queued.logs[0].server, section("A"), section("B", needs=(0,))))
        assert drain(queued).again is not None
        assert state_of(*queued.logs) == ["RECEIVED", "RECEIVED"]
        assert "newer version" in ScriptLog.objects.get(pk=queued.logs[0].pk).reason
        assert len(recording.exchanges) == 1
        monkeypatch.setattr(payloads, "VERSION", 2)
        ScriptLog.objects.update(not_before=None)
        drain(queued)
        assert state_of(*queued.logs) == ["SUCCESS", "SUCCESS"]


@pytest.mark.django_db(transaction=True)
class TestTwoWorkers:
    """G3, with two real connections."""

    def test_one_of_them_gets_the_lane(self, recording, store, server):
        web = server()
        for number in range(10):
            queued = store(script(web, section(text=f"{number}")))
        results = in_threads(*[lambda: drain(queued)] * 2)
        assert all(isinstance(rest, lanes.Rest) for rest in results), results
        drain(queued)
        assert recording.texts == [str(number) for number in range(10)]
        assert set(ScriptLog.objects.values_list("state", flat=True)) == {"SUCCESS"}

    def test_only_one_claim_succeeds(self, recording, store, server):
        for _ in range(5):
            [lane] = store(script(server(f"web{Lane.objects.count()}"))).lanes
            claims = in_threads(*[lambda lane=lane: lease.claim(lane)] * 3)
            assert sum(claim is not None for claim in claims) == 1, claims

    def test_a_cancel_between_the_look_and_the_start_wins(self, recording, store, server):
        queued = store(script(server(), section("A"), section("B")))
        claim = lease.claim(queued.lanes[0])
        following = head(queued.lanes[0])
        ScriptLog.objects.filter(position=1).update(state="REVOKED")
        assert not Recorder(claim, prepare(following.server, following.logs)).start()
        assert state_of(*queued.logs) == ["RECEIVED", "REVOKED"]
        lease.release(claim)
        drain(queued)
        assert state_of(*queued.logs) == ["SUCCESS", "REVOKED"]


class TestFollowing:
    def test_a_follower_starts_when_the_other_has_ended(self, recording, store, server):
        serial = section("A", serialize=True)
        queued = store(script(server("web1"), serial), script(server("web2"), serial))
        first, second = queued.lanes
        assert lanes.due() == [first]
        assert lanes.drain(second) == lanes.Rest()
        assert lanes.drain(first) == lanes.Rest(wake=frozenset({second}))
        lanes.drain(second)
        assert [host.name for host, _ in recording.exchanges] == ["web1", "web2"]

    @pytest.mark.lesson(13)
    def test_a_server_out_of_reach_does_not_stop_the_others(self, recording, store, server):
        serial = section("A", serialize=True)
        queued = store(script(server("web1"), serial), script(server("web2"), serial))
        recording.fail(ConnectionFailed("Not now."))
        first, second = queued.lanes
        assert lanes.drain(first).wake == {second}
        lanes.drain(second)
        assert state_of(*queued.logs) == ["RECEIVED", "SUCCESS"]

    def test_an_inactive_server_does_not_stop_the_others(self, recording, store, server):
        serial = section("A", serialize=True)
        queued = store(script(server("web1", is_active=False), serial), script(server("web2"), serial))
        assert lanes.due() == [queued.lanes[1]]
        lanes.drain(queued.lanes[1])
        assert state_of(*queued.logs) == ["RECEIVED", "SUCCESS"]

    def test_what_a_vanished_worker_left_on_an_inactive_server_ends_too(self, recording, store, server):
        """Else nobody could delete the server: something would run there for ever."""
        web = server()
        queued = store(script(web), script(web))
        ScriptLog.objects.filter(pk=queued.logs[0].pk).update(state="STARTED")
        type(web).objects.update(is_active=False)
        assert lanes.due() == queued.lanes
        drain(queued)
        assert state_of(*queued.logs) == ["ABORTED", "RECEIVED"]
        assert lanes.due() == []


class TestInstallation:
    def test_another_installation_runs_nothing_and_says_so_once(self, recording, store, server, caplog):
        Installation.objects.create(name="production")
        queued = store(script(server()))
        for _ in range(3):
            assert drain(queued) == lanes.Rest()
        assert lanes.due() == []
        assert state_of(*queued.logs) == ["RECEIVED"]
        assert caplog.text.count("--adopt") == 1

    def test_disabled_execution_runs_nothing(self, recording, store, server, settings):
        queued = store(script(server()))
        settings.ORCHESTRATION_DISABLE_EXECUTION = True
        drain(queued)
        assert lanes.due() == []
        assert state_of(*queued.logs) == ["RECEIVED"]
