"""The commands that a person or a service manager calls."""

import io

import pytest
from django.core.management import CommandError, call_command

from orchestration.lanes import installation
from orchestration.models import Installation, ScriptLog
from tests.lanes.scripts import script

pytestmark = [pytest.mark.databases, pytest.mark.django_db]


def call(*arguments):
    output = io.StringIO()
    call_command(*arguments, stdout=output, no_color=True)
    return output.getvalue()


class TestOrchestrate:
    def test_adopt_makes_this_installation_the_one_that_acts(self, recording, store, server):
        Installation.objects.create(name="production")
        queued = store(script(server()))
        assert "production" in call("orchestrate", "--adopt")
        assert Installation.objects.get().name == installation.name()
        call("drainlanes", "--once")
        assert ScriptLog.objects.get(pk=queued.logs[0].pk).state == ScriptLog.SUCCESS

    def test_adopt_says_when_nothing_changes(self):
        assert "belongs to this installation now" in call("orchestrate", "--adopt")
        assert "already belonged" in call("orchestrate", "--adopt")

    def test_without_an_option_it_says_which_there_are(self):
        with pytest.raises(CommandError, match="--adopt"):
            call("orchestrate")


class TestDrainLanes:
    def test_once_runs_what_is_due(self, recording, store, server):
        store(script(server("web1")), script(server("web2")), script(server("web3", is_active=False)))
        call("drainlanes", "--once")
        states = ScriptLog.objects.order_by("server_name").values_list("state", flat=True)
        assert list(states) == ["SUCCESS", "SUCCESS", "RECEIVED"]

    def test_another_installation_is_refused(self, recording):
        Installation.objects.create(name="production")
        with pytest.raises(CommandError, match="--adopt"):
            call("drainlanes", "--once")

    def test_disabled_execution_is_refused(self):
        with pytest.raises(CommandError, match="ORCHESTRATION_DISABLE_EXECUTION"):
            call("drainlanes")
