"""Bad luck with a real server, as the log tells it: each kind has a sentence and a state of its own."""

import shutil
import socket

import pytest

from orchestration import lanes
from orchestration.models import ScriptLog, Server
from orchestration.scripts import Group
from tests.services.sshd import generate_key

from .scripts import script, section

pytestmark = pytest.mark.django_db(transaction=True)

TOOLS = ["sh", "bash", "cat", "dd", "echo", "env", "head", "kill", "mkdir", "mktemp", "rm", "sleep", "wc"]
KEPT, ENDED = "RECEIVED", "ERROR"


@pytest.fixture
def execution(settings):
    settings.ORCHESTRATION_DISABLE_EXECUTION = False
    settings.ORCHESTRATION_CONNECT_TIMEOUT = 1


@pytest.fixture
def listener():
    """A port on which nobody accepts: ``listener(backlog)``."""
    sockets = []

    def listen(sshd, backlog):
        sockets.append(socket.create_server((sshd.address, 0), backlog=backlog))
        port = sockets[-1].getsockname()[1]
        if backlog == 0:  # one connection fills the queue: the next is not even answered
            sockets.append(socket.create_connection((sshd.address, port)))
        return {"port": port}

    yield listen
    for each in sockets:
        each.close()


def nowhere(sshd, listener):
    return {"address": "no-such-host.invalid"}


def deaf(sshd, listener):
    return listener(sshd, 0)


def refused(sshd, listener):
    sshd.stop()
    return {}


def silent(sshd, listener):
    return listener(sshd, 5)


def wrong_login(sshd, listener):
    sshd.authorized_keys.write_text("")
    return {}


def no_pinned_key(sshd, listener):
    return {"host_keys": ""}


def changed_host_key(sshd, listener):
    return {"host_keys": generate_key(sshd.folder / "other").with_suffix(".pub").read_text()}


def restricted(sshd, listener):
    sshd.stop()
    sshd.options["ForceCommand"] = "/bin/echo For backups only. >&2; exit 1"
    sshd.start()
    return {}


def disk_full(sshd, listener):
    """/proc/self takes no files, like a full disk; without python3 scripts are files."""
    sshd.stop()
    tools = sshd.folder / "tools"
    tools.mkdir()
    for tool in TOOLS:
        tools.joinpath(tool).symlink_to(shutil.which(tool, path="/usr/bin:/bin"))
    sshd.environment |= {"PATH": tools, "TMPDIR": "/proc/self"}
    sshd.start()
    return {}


@pytest.mark.parametrize(
    ("trouble", "state", "words"),
    [
        (nowhere, KEPT, "The address 'no-such-host.invalid' of web1 is unknown"),
        (deaf, KEPT, "cannot be reached: it did not answer in time"),
        (refused, KEPT, "refuses connections: is sshd running"),
        (silent, KEPT, "accepted the connection, and then said nothing for 1 s"),
        (wrong_login, KEPT, "web1 refused the login"),
        (no_pinned_key, KEPT, "No host key of web1 is pinned"),
        (changed_host_key, KEPT, "The host key of web1 is not the pinned one"),
        (disk_full, KEPT, "web1 has no space"),
        (restricted, ENDED, "For backups only."),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_each_trouble_has_its_sentence_and_loses_nothing(
    execution, store, sshd, listener, trouble, state, words
):
    place = {"address": sshd.address, "port": sshd.port, "user": sshd.user}
    place["host_keys"] = "\n".join(sshd.host_keys)
    web = Server.objects.create(name="web1", **place | trouble(sshd, listener))
    [lane] = store(script(web, section(text="touch ~/ran"))).lanes
    lanes.drain(lane)
    log = ScriptLog.objects.get()
    assert words in log.reason
    assert "Traceback" not in log.reason + log.traceback
    assert log.state == state
    assert log.payload
    assert (log.attempt > 0, log.not_before is not None) == (state == KEPT,) * 2
    assert not (sshd.home / "ran").exists()


@pytest.mark.parametrize("missing", [["bash"], ["bash", "python3"]])
def test_a_server_without_the_interpreter_is_told(execution, store, sshd_factory, path_without, missing):
    """The default is absolute, /bin/bash: one that is looked up shows what a host without bash does."""
    sshd = sshd_factory(path=path_without(*missing))
    place = {"address": sshd.address, "port": sshd.port, "user": sshd.user}
    web = Server.objects.create(name="web1", host_keys="\n".join(sshd.host_keys), **place)
    bash = Group("SSH", "bash", "true")
    [lane] = store(script(web, section(groups=(bash,)))).lanes
    lanes.drain(lane)
    log = ScriptLog.objects.get()
    assert (log.state, log.exit_code, bool(log.payload)) == (ENDED, None, True)
    assert "bash" in log.reason
    assert log.reason.endswith(".")
