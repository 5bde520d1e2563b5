"""What host projects use in their tests works as they will use it."""

import threading

import pytest
from django.test import TestCase

from orchestration import Operation, ServiceController, backends, executors
from orchestration.exceptions import ConnectionFailed
from orchestration.models import Route, ScriptLog, Server
from orchestration.scripts import Done, Host, Job, Output, Started, Tick, Unit
from orchestration.testing import RecordingMethod, enabled_execution, recorded, registered

from .services.concurrency import until
from .webapps.models import Domain


class HostedZone(ServiceController):
    """A backend of a host project."""

    model = "webapps.Domain"

    def save(self, domain):
        self.append("echo %(name)s", {"name": domain.name})


backends.forget(HostedZone)
UNIT = Unit("u", "l", 1, (Job("a", text=b"one"), Job("b", text=b"two", needs=("a",))))


class TestRecordingMethod:
    @pytest.fixture
    def method(self):
        return RecordingMethod()

    def run(self, method):
        return list(method.run(Host("web1"), UNIT))

    def test_it_keeps_what_it_is_given_and_succeeds(self, method):
        events = self.run(method)
        assert [event for event in events if isinstance(event, Started)] == [Started("a"), Started("b")]
        assert [event.status for event in events if isinstance(event, Done)] == [0, 0]
        assert method.texts == ["one", "two"]
        assert method.exchanges == [(Host("web1"), UNIT)]

    def test_it_answers_in_order(self, method):
        method.answer(0, stdout=b"out", stderr=b"err")
        method.answer(5)
        events = self.run(method)
        assert [(event.stream, event.data) for event in events if isinstance(event, Output)][:2] == [
            (1, b"out"),
            (2, b"err"),
        ]
        assert [event.status for event in events if isinstance(event, Done)] == [0, 5]

    def test_it_skips_what_needs_a_failed_job(self, method):
        method.answer(1)
        assert self.run(method)[-1] == Done("b", skipped="a")

    def test_it_raises_what_it_is_told_to(self, method):
        method.fail(ConnectionFailed("Not now."))
        with pytest.raises(ConnectionFailed, match="Not now"):
            self.run(method)

    def test_it_refuses_answers_that_no_method_gives(self, method):
        with pytest.raises(TypeError):
            method.answer(0, colour="blue")

    def test_held_jobs_start_and_tick(self, method):
        with method.held():
            events = method.run(Host("web1"), UNIT)
            assert next(events) == Started("a")
            assert next(events) == Tick()
        assert [event.job for event in events if isinstance(event, Done)] == ["a", "b"]

    def test_reset_forgets(self, method):
        method.answer(1)
        self.run(method)
        method.reset()
        assert method.exchanges == []
        assert self.run(method)[-1].status == 0


def test_registered_backends_are_installed_in_the_block_only():
    with registered(HostedZone):
        assert backends.find("HostedZone") is HostedZone
    assert HostedZone not in backends.installed()


def test_registered_backends_are_removed_when_the_block_fails():
    with pytest.raises(ZeroDivisionError), registered(HostedZone):
        raise ZeroDivisionError
    assert HostedZone not in backends.installed()


class HostProjectTests(TestCase):
    """A host project's test case, as Django's documentation writes them."""

    def setUp(self):
        self.enterContext(registered(HostedZone))
        self.web = Server.objects.create(name="web1")
        Route.objects.create(backend="HostedZone", host=self.web)

    def save(self):
        domain = Domain.objects.create(name="example.org")
        return Operation.execute_action(domain, "save")

    def test_nothing_runs_unless_the_test_asks_for_it(self):
        with self.captureOnCommitCallbacks(execute=True):
            self.save()
        log = ScriptLog.objects.get()
        assert log.state == ScriptLog.REVOKED
        assert "echo example.org" in log.script

    def test_scripts_run_with_the_callbacks_of_the_commit(self):
        with recorded() as method:
            with self.captureOnCommitCallbacks(execute=True):
                [log] = self.save()
                assert method.exchanges == []
            log.refresh_from_db()
            assert log.state == ScriptLog.SUCCESS
            assert "echo example.org" in method.texts[0]
            assert log.operations.get().instance_repr == "example.org"

    def test_failures_can_be_played(self):
        with recorded() as method, self.captureOnCommitCallbacks(execute=True):
            method.answer(1, stderr=b"disk full")
            self.save()
        log = ScriptLog.objects.get()
        assert (log.state, log.stderr) == (ScriptLog.FAILURE, "disk full")

    def test_real_methods_can_be_used_too(self):
        Server.objects.update(connection="local")
        with enabled_execution(), self.captureOnCommitCallbacks(execute=True):
            self.save()
        assert ScriptLog.objects.get().stdout == "example.org\n"


@pytest.mark.django_db(transaction=True)
@pytest.mark.databases
class TestOutsideTransactions:
    @pytest.fixture(autouse=True)
    def route(self, backend, server):
        backend(HostedZone)
        Route.objects.create(backend="HostedZone", host=server())

    def test_execute_returns_finished_logs(self, recording):
        [log] = Operation.execute_action(Domain.objects.create(name="example.org"), "save")
        assert log.state == ScriptLog.SUCCESS

    def test_execute_waits_for_threads_too(self, threaded):
        [log] = Operation.execute_action(Domain.objects.create(name="example.org"), "save")
        assert log.state == ScriptLog.SUCCESS
        assert threading.current_thread().name == "MainThread"
        executors.stop()
        until(lambda: not any(t.name.startswith("orchestration-drain") for t in threading.enumerate()))
