"""Running operations as a unit of their own, in and outside transactions; and looking without one."""

import pytest
from django.db import transaction

from orchestration import Operation, ServiceController, executors, manager, orchestrate
from orchestration.exceptions import ConnectionFailed, ForeignInstallation, RouteBroken
from orchestration.models import Installation, Lane, Lease, OperationLog, Route, ScriptLog
from orchestration.models.clock import now_plus
from orchestration.testing import enabled_execution
from tests.services.concurrency import in_threads, until
from tests.webapps.models import Domain

pytestmark = pytest.mark.databases
committing = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ExecutedZone(backend):
    class ExecutedZone(ServiceController):
        model = "webapps.Domain"
        actions = ("save", "delete", "check")
        probes = ("check",)

        def save(self, domain):
            self.append("echo save %(name)s", {"name": domain.name})

        def check(self, domain):
            self.append("echo check %(name)s", {"name": domain.name})

    return backend(ExecutedZone)


@pytest.fixture
def route(ExecutedZone, server):
    def create(name="web1", **fields):
        return Route.objects.create(backend="ExecutedZone", host=server(name), **fields)

    return create


@pytest.fixture
def domain(db):
    return Domain.objects.create(name="example.org")


@committing
class TestExecute:
    def test_logs_are_finished_outside_transactions(self, recording, route, domain, ExecutedZone):
        route("web1"), route("web2")
        logs = manager.execute([Operation(ExecutedZone, domain, "save")])
        assert [(log.server_name, log.state) for log in logs] == [("web1", "SUCCESS"), ("web2", "SUCCESS")]
        assert OperationLog.objects.filter(log__in=logs).count() == 2

    def test_inside_a_transaction_it_waits_for_the_commit(self, recording, route, domain, ExecutedZone):
        route()
        with transaction.atomic():
            [log] = manager.execute([Operation(ExecutedZone, domain, "save")])
            assert log.state == ScriptLog.RECEIVED
            assert recording.exchanges == []
        assert len(recording.exchanges) == 1

    def test_a_rollback_takes_it_back(self, recording, route, domain, ExecutedZone):
        route()
        with transaction.atomic():
            manager.execute([Operation(ExecutedZone, domain, "save")])
            transaction.set_rollback(True)
        assert not ScriptLog.objects.exists()
        assert recording.exchanges == []

    def test_failures_are_in_the_logs(self, recording, route, domain, ExecutedZone):
        route()
        recording.answer(2)
        [log] = manager.execute([Operation(ExecutedZone, domain, "save")])
        assert (log.state, log.exit_code) == ("FAILURE", 2)

    def test_a_server_out_of_reach_is_not_waited_for(self, threaded, route, domain, ExecutedZone):
        route()
        threaded.fail(ConnectionFailed("Not now."))
        [log] = manager.execute([Operation(ExecutedZone, domain, "save")])
        assert log.state in ("RECEIVED", "SUCCESS")

    @pytest.mark.lesson(13)
    def test_false_waits_for_asynchronous_routes_too(self, threaded, route, domain, ExecutedZone):
        route(run_async=True, async_actions=["save"])
        [log] = manager.execute([Operation(ExecutedZone, domain, "save")], run_async=False)
        assert log.state == ScriptLog.SUCCESS

    @pytest.mark.lesson(13)
    def test_true_waits_for_nothing(self, threaded, route, domain, ExecutedZone):
        route()
        with threaded.held():
            [log] = manager.execute([Operation(ExecutedZone, domain, "save")], run_async=True)
            assert not log.is_finished
        until(lambda: ScriptLog.objects.get().is_success)

    def test_serialized_servers_come_one_after_the_other(self, threaded, route, domain, ExecutedZone):
        for name in ("web1", "web2", "web3"):
            route(name)
        manager.execute([Operation(ExecutedZone, domain, "save")], serialize=True)
        assert [host.name for host, _ in threaded.exchanges] == ["web1", "web2", "web3"]

    @pytest.mark.lesson(36)
    def test_nothing_to_do_is_no_trouble(self, recording, ExecutedZone, domain):
        assert manager.execute([]) == []
        assert manager.execute([Operation(ExecutedZone, domain, "save")]) == []

    def test_a_broken_route_fails_the_unit_and_is_marked(self, recording, route, domain, ExecutedZone):
        good = route("web1")
        broken = route("web2")
        Route.objects.filter(pk=broken.pk).update(match="instance.owner.name == 'x'")
        with pytest.raises(RouteBroken):
            manager.execute([Operation(ExecutedZone, domain, "save")])
        assert not ScriptLog.objects.exists()
        broken.refresh_from_db()
        good.refresh_from_db()
        assert broken.broken
        assert not good.broken

    def test_work_behind_a_vanished_worker_is_done_when_its_lease_expires(
        self, recording, route, domain, ExecutedZone, settings
    ):
        """The executor "inline" has no watcher, and nobody else may be there."""
        settings.ORCHESTRATION_POLL = 0.05
        lane = Lane.objects.create(server=route().host)
        for run in (manager.execute, orchestrated):
            Lease.objects.update_or_create(lane=lane, defaults={"owner": "gone", "expires_at": now_plus(0.3)})
            [[log]] = in_threads(lambda run=run: run([Operation(ExecutedZone, domain, "save")]))
            assert log.state == ScriptLog.SUCCESS

    def test_a_broken_announcement_loses_nothing(
        self, recording, route, domain, ExecutedZone, settings, caplog
    ):
        route()
        settings.ORCHESTRATION_EXECUTOR = "tests.manager.test_execution.Deaf"
        with transaction.atomic():
            [log] = manager.execute([Operation(ExecutedZone, domain, "save")])
        assert ScriptLog.objects.get(pk=log.pk).state == ScriptLog.RECEIVED
        settings.ORCHESTRATION_EXECUTOR = "inline"
        executors.wake([log.lane_id])
        assert ScriptLog.objects.get(pk=log.pk).state == ScriptLog.SUCCESS


def orchestrated(operations):
    with orchestrate() as unit:
        operations[0].instance.save()
    return unit.logs


class Deaf:
    def wake(self, lanes):
        raise RuntimeError("nobody hears this")


@pytest.mark.django_db
class TestProbe:
    def test_it_looks_at_once_and_stores_nothing(self, recording, route, domain, ExecutedZone):
        route()
        recording.answer(3, stdout=b"found", stderr=b"hm")
        [log] = manager.probe([Operation(ExecutedZone, domain, "check")])
        assert (log.state, log.exit_code, log.stdout, log.stderr) == ("FAILURE", 3, "found", "hm")
        assert (log.pk, log.server_name, log.backend) == (None, "web1", "ExecutedZone")
        assert log.payload is None
        assert not ScriptLog.objects.exists()
        assert not Lane.objects.exists()

    def test_unsaved_objects_can_be_looked_at(self, recording, route, ExecutedZone):
        route()
        [log] = manager.probe([Operation(ExecutedZone, Domain(name="new.org"), "check")])
        assert log.is_success
        assert "echo check new.org" in recording.texts[0]

    def test_its_limit_is_short(self, recording, route, domain, ExecutedZone):
        route()
        manager.probe([Operation(ExecutedZone, domain, "check")], seconds=2)
        assert recording.jobs[0].total == 2

    def test_a_server_out_of_reach_is_an_error(self, recording, route, domain, ExecutedZone):
        route()
        recording.fail(ConnectionFailed("There is no way to web1."))
        [log] = manager.probe([Operation(ExecutedZone, domain, "check")])
        assert (log.state, log.reason) == ("ERROR", "There is no way to web1.")

    def test_inactive_servers_are_left_alone(self, recording, route, domain, ExecutedZone):
        host = route().host
        type(host).objects.update(is_active=False)
        assert manager.probe([Operation(ExecutedZone, domain, "check")]) == []

    def test_another_installation_may_not_look(self, recording, route, domain, ExecutedZone):
        route()
        Installation.objects.create(name="production")
        with pytest.raises(ForeignInstallation):
            manager.probe([Operation(ExecutedZone, domain, "check")])

    def test_disabled_execution_looks_at_nothing(self, route, domain, ExecutedZone):
        route()
        [log] = manager.probe([Operation(ExecutedZone, domain, "check")])
        assert (log.state, log.reason) == ("REVOKED", "Execution is disabled.")

    def test_execute_tells_looks_from_changes(self, recording, route, domain, ExecutedZone):
        route()
        look, change = Operation.execute(
            [Operation(ExecutedZone, domain, action) for action in ("save", "check")]
        )
        assert (look.pk, look.state) == (None, "SUCCESS")
        assert change.pk
        assert "echo check" in recording.texts[0]

    def test_it_really_looks(self, route, domain, ExecutedZone):
        host = route().host
        type(host).objects.update(connection="local")
        with enabled_execution():
            [log] = manager.probe([Operation(ExecutedZone, domain, "check")])
        assert (log.reason, log.stdout) == ("", "check example.org\n"), log.traceback
