"""Scripts over real SSH, through the runner and by plain exec: all of it arrives, all of it comes back."""

import dataclasses
import os
import threading
import time
import tracemalloc
import uuid
from collections import defaultdict

import pytest

from orchestration.exceptions import (
    CannotStart,
    ConnectionFailed,
    ConnectionLost,
    ConnectionRefused,
    HostKeyChanged,
    ServerFull,
)
from orchestration.methods.paramiko import Paramiko
from orchestration.methods.paramiko import link as links
from orchestration.methods.paramiko.channel import WINDOW
from orchestration.methods.paramiko.link import ParamikoTransport
from orchestration.methods.plain import PlainConnection
from orchestration.scripts import Done, Job, Output, Started, Tick, Unit
from tests.services.programs import require
from tests.services.sshd import generate_key, is_running, wait_until

MIB = 1024 * 1024


@pytest.fixture
def method():
    """A method with connections of its own."""
    paramiko = Paramiko()
    yield paramiko
    paramiko.pool.close_idle(seconds=0)


@pytest.fixture
def plain(sshd_factory, path_without):
    """A host without python3."""
    return sshd_factory(path=path_without("python3"))


@pytest.fixture(params=["runner", "plain"])
def server(request):
    """A host with python3, and one without."""
    return request.getfixturevalue("sshd" if request.param == "runner" else "plain")


def job(text, **options):
    return Job(uuid.uuid4().hex, text=text.encode() if isinstance(text, str) else text, **options)


def unit_of(*jobs, lane="0" * 32, **options):
    jobs = tuple(job(one) if isinstance(one, str | bytes) else one for one in jobs)
    return Unit(uuid.uuid4().hex, lane, 1, jobs, **options)


class Log:
    """What happened: events, and for each job its output and end, in order of the jobs."""

    def __init__(self, unit, events=()):
        self.unit, self.events, self.done = unit, [], {}
        self.output = defaultdict(bytes)
        for event in events:
            self.add(event)

    def add(self, event):
        self.events.append(event)
        if isinstance(event, Output):
            self.output[event.job, event.stream] += event.data
        if isinstance(event, Done):
            assert event.job not in self.done
            self.done[event.job] = event

    def __getitem__(self, number):
        return self.done[self.unit.jobs[number].id]

    def printed(self, number=0, stream=1):
        return self.output[self.unit.jobs[number].id, stream]


def run(method, host, *jobs, **options):
    unit = unit_of(*jobs, **options)
    return Log(unit, method.run(host, unit))


def run_one(method, host, text, **options):
    log = run(method, host, job(text, **options))
    return log[0], log.printed(), log.printed(stream=2)


# What is sent, what comes back


def test_a_script_runs_and_says_how_it_ended(method, server):
    log = run(method, server.host, "echo out; echo oops >&2; exit 3")
    assert (log[0].status, log.printed(), log.printed(stream=2)) == (3, b"out\n", b"oops\n")
    assert (log[0].stdout_size, log[0].stderr_size) == (4, 5)
    assert [type(event) for event in log.events if not isinstance(event, Output | Tick)] == [Started, Done]


def test_it_has_the_environment_of_the_user_and_bash(method, server):
    _, out, _ = run_one(method, server.host, "echo ~; [[ -n $BASH_VERSION ]] && echo bash")
    assert out.decode().split() == [str(server.home), "bash"]


def test_the_log_says_that_there_was_no_python(method, plain, sshd):
    assert "There is no python3" in run(method, plain.host, "true")[0].notes[0]
    assert not run(method, sshd.host, "true")[0].notes


@pytest.mark.lesson(23)
@pytest.mark.parametrize("status", [1, 127, 255])
def test_the_status_of_a_script_is_not_that_of_ssh(method, server, status):
    assert run_one(method, server.host, f"exit {status}")[0].status == status


def test_all_jobs_run_in_order_though_one_fails(method, server):
    path = server.home / "order"
    log = run(method, server.host, *[f"echo {n} >> {path}; exit {n}" for n in range(4)])
    assert (path.read_text(), [log[n].status for n in range(4)]) == ("0\n1\n2\n3\n", [0, 1, 2, 3])


def test_what_needs_a_failed_job_is_skipped(method, server):
    first, other = job("exit 1"), job("echo fine")
    log = run(
        method,
        server.host,
        first,
        job("touch ~/ran", needs=(first.id,)),
        other,
        job("true", needs=(other.id,)),
    )
    assert log[1] == Done(log.unit.jobs[1].id, skipped=first.id)
    assert log[3].is_success
    assert not (server.home / "ran").exists()


@pytest.mark.lesson(17)
def test_a_section_that_reads_stdin_finds_nothing_and_goes_on(method, server):
    done, out, _ = run_one(method, server.host, "cat; read line; echo rest runs")
    assert (done.status, out) == (0, b"rest runs\n")


@pytest.mark.lesson(25)
def test_text_arrives_as_it_is(method, server):
    text = "printf %s 'tab\there, \u00fc\u20ac, \"double\", back\\slash, cr\r\nlf' > ~/text; printf end\r\n"
    run_one(method, server.host, text)
    wanted = 'tab\there, \u00fc\u20ac, "double", back\\slash, cr\r\nlf'
    assert (server.home / "text").read_bytes() == wanted.encode()


@pytest.mark.lesson(21)
def test_any_bytes_come_back(method, server):
    data = bytes(range(256)) * 500
    (server.home / "data").write_bytes(data)
    done, out, err = run_one(method, server.host, "cat ~/data ~/data >&2; cat ~/data; exit 7")
    assert (done.status, out, err) == (7, data, data + data)


def test_a_script_of_a_mebibyte_runs(method, server):
    done, out, _ = run_one(method, server.host, "# filler\n" * (MIB // 9) + "echo end")
    assert (done.status, out) == (0, b"end\n")


@pytest.mark.lesson(20)
def test_an_8_mib_script_that_prints_8_mib_runs(method, server):
    text = f"head -c {8 * MIB} /dev/zero\n" + "# filler\n" * (8 * MIB // 9) + "echo end"
    log = run(method, server.host, text, cap=9 * MIB)
    assert (log[0].status, len(log.printed())) == (0, 8 * MIB + 4)


@pytest.mark.lesson(20)
def test_mebibytes_of_stderr_come_back(method, server):
    log = run(method, server.host, f"head -c {8 * MIB} /dev/zero >&2; echo end", cap=9 * MIB)
    assert (log[0].status, len(log.printed(stream=2)), log.printed()) == (0, 8 * MIB, b"end\n")


@pytest.mark.lesson(21)
def test_the_end_of_long_output_is_kept_and_its_size_is_true(method, server):
    log = run(method, server.host, "seq 300000; seq 200000 >&2", cap=1000, tail=500)
    whole = "".join(f"{n}\n" for n in range(1, 300001)).encode()
    assert log.printed() == whole[:1000]
    assert log[0].stdout_tail == whole[-500:]
    assert (log[0].stdout_size, log[0].stderr_size) == (len(whole), 1288895)


def test_output_of_any_size_needs_little_memory(method, server):
    run(method, server.host, "true")
    unit = unit_of(f"head -c {100 * MIB} /dev/zero")
    size = 0
    tracemalloc.start()
    for event in method.run(server.host, unit):
        size += len(event.data) if isinstance(event, Output) else 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (size, event.stdout_size, len(event.stdout_tail)) == (unit.cap, 100 * MIB, unit.tail)
    assert peak < WINDOW + 2 * MIB


@pytest.mark.parametrize("noise", ["echo welcome", "echo careful >&2", "printf 'no newline'"])
def test_what_the_login_prints_is_no_output(method, server, noise):
    (server.home / ".bashrc").write_text(f"{noise}\n")
    done, out, _ = run_one(method, server.host, "echo mine")
    assert (done.status, out) == (0, b"mine\n")


# Processes


@pytest.mark.lesson(22)
def test_a_background_child_that_keeps_the_output_open_is_not_waited_for(method, server):
    started = time.monotonic()
    done, out, _ = run_one(method, server.host, "sleep 30 & echo $!")
    assert (done.status, time.monotonic() - started < 5) == (0, True)
    assert any("kept" in note and "open" in note for note in done.notes)
    assert is_running(int(out))


@pytest.mark.lesson(22)
@pytest.mark.parametrize("limit", ["idle", "total"])
def test_a_limit_kills_the_script_and_its_children(method, server, limit):
    chatter = "while sleep 0.05; do echo .; done" if limit == "total" else "sleep 60"
    text = f"echo $$; sleep 60 & echo $!; {chatter}"
    done, out, _ = run_one(method, server.host, text, **{limit: 0.7})
    assert (done.limit, done.status) == (limit, None)
    for pid in out.split()[:2]:
        wait_until(lambda pid=int(pid): not is_running(pid), f"the end of process {pid}")


@pytest.mark.lesson(22)
def test_a_script_that_ignores_term_is_killed_at_its_limit(method, server):
    done, out, _ = run_one(
        method, server.host, "trap '' TERM; echo $$; while :; do sleep 0.1; done", idle=0.5
    )
    assert done.limit == "idle"
    wait_until(lambda: not is_running(int(out)), "the end of the stubborn script")


def test_the_jobs_after_a_killed_one_run(method, server):
    log = run(method, server.host, job("sleep 60", idle=0.3), job("echo next"))
    assert (log[0].limit, log.printed(1), log[1].status) == ("idle", b"next\n", 0)


def test_leaving_the_iterator_cancels_the_job(method, server):
    unit = unit_of("echo $$; exec sleep 60", "touch ~/second")
    events = method.run(server.host, unit)
    out = next(event for event in events if isinstance(event, Output))
    events.close()
    wait_until(lambda: not is_running(int(out.data)), "the end of the cancelled job")
    assert run(method, server.host, "ls")[0].is_success
    assert not (server.home / "second").exists()


def test_a_job_that_has_said_nothing_yet_is_cancelled_too(method, server):
    events = method.run(server.host, unit_of("echo $$ > ~/pid; exec sleep 60"))
    next(event for event in events if isinstance(event, Started))
    events.close()
    file = server.home / "pid"
    wait_until(lambda: not file.exists() or not is_running(int(file.read_text() or 0)), "its end")


def test_an_interpreter_that_is_not_there_is_named(method, server):
    log = run(method, server.host, job("<?php", executable="/usr/bin/no-php"), job("echo next"))
    assert (log[0].status, "/usr/bin/no-php" in log[0].error) == (None, True)
    assert log.printed(1) == b"next\n"


@pytest.mark.parametrize("executable", ["/bin/bash 'unclosed"])
def test_an_executable_that_is_none_cannot_start(method, server, executable):
    with pytest.raises(CannotStart, match="is no executable"):
        run(method, server.host, "touch ~/ran", job("true", executable=executable))
    assert not (server.home / "ran").exists()


def test_an_executable_may_have_arguments(method, server):
    done, out, _ = run_one(method, server.host, "echo $-", executable="/usr/bin/env bash -e")
    assert (done.status, b"e" in out) == (0, True)


def test_nothing_is_left_in_the_temporary_folder(method, server):
    run(method, server.host, "true", job("sleep 9", idle=0.2), job("x", executable="/no/such"))
    wait_until(lambda: not list(server.temporary.iterdir()), "an empty folder")


def test_nothing_is_left_there_when_the_link_is_cut(method, server):
    with pytest.raises(ConnectionLost):  # noqa: PT012  what happens decides when to cut
        for event in method.run(server.host, unit_of("echo started; exec sleep 60", "echo password")):
            if isinstance(event, Output):
                server.cut()
    wait_until(lambda: not list(server.temporary.iterdir()), "an empty folder")


def test_a_host_without_python_that_grants_one_session_is_too_narrow(
    method, sshd_factory, path_without, settings
):
    settings.ORCHESTRATION_CONNECT_TIMEOUT = 1
    sshd = sshd_factory(MaxSessions=1, path=path_without("python3"))
    with pytest.raises(ConnectionFailed, match="raise MaxSessions"):
        run(method, sshd.host, "touch ~/ran")
    assert not (sshd.home / "ran").exists()


def test_no_space_for_the_script_starts_nothing(method, plain):
    plain.stop()
    plain.environment["TMPDIR"] = "/proc/self"
    plain.start()
    with pytest.raises(ServerFull, match="no space"):
        run(method, plain.host, "touch ~/ran")
    assert not (plain.home / "ran").exists()


# Connections


def test_one_connection_serves_many_scripts(method, server, proxy_to):
    proxy = proxy_to(server.host)
    for _ in range(3):
        assert run(method, proxy.host, "true")[0].is_success
    assert proxy.connections == 1


def test_lanes_share_a_connection_at_the_same_time(method, sshd_factory):
    sshd = sshd_factory(MaxSessions=1)
    logs, count = {}, 6
    meet = f"until [ $(ls ~ | grep -c here-) -eq {count} ]; do sleep 0.02; done"

    def work(number):
        script = job(f"touch ~/here-{number}; {meet}; echo {number}", total=20)
        logs[number] = run(method, sshd.host, script, lane=f"{number:032x}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {number: log.printed() for number, log in logs.items()} == {n: b"%d\n" % n for n in range(count)}
    assert len(method.pool) == 1


@pytest.mark.lesson(23)
def test_a_dead_connection_is_replaced(method, server):
    for number in range(3):
        assert run(method, server.host, f"echo {number}")[0].is_success
        server.cut()


@pytest.mark.lesson(23)
def test_a_host_that_was_restarted_is_reached_again(method, server):
    assert run(method, server.host, "true")[0].is_success
    server.stop()
    with pytest.raises(ConnectionRefused):
        run(method, server.host, "true")
    server.start()
    assert run(method, server.host, "true")[0].is_success


def test_a_link_cut_while_a_job_runs_leaves_its_end_unknown(method, server):
    unit = unit_of("echo first", "echo started; exec sleep 60", "touch ~/third")
    log = Log(unit)
    with pytest.raises(ConnectionLost):  # noqa: PT012  what happens decides when to cut
        for event in method.run(server.host, unit):
            log.add(event)
            if log.printed(1):
                server.cut()
    assert list(log.done) == [unit.jobs[0].id]
    assert not (server.home / "third").exists()


def test_a_link_that_freezes_is_noticed(method, server, proxy_to, monkeypatch):
    monkeypatch.setattr(links, "SILENCE", 0.2)
    monkeypatch.setattr("orchestration.methods.runner.TICK", 0.1)
    proxy = proxy_to(server.host)
    started = time.monotonic()
    with pytest.raises(ConnectionLost):  # noqa: PT012  what happens decides when to freeze
        for event in method.run(proxy.host, unit_of("echo started; exec sleep 60")):
            if isinstance(event, Output):
                proxy.freeze()
    assert time.monotonic() - started < 10


@pytest.mark.lesson(18)
def test_a_link_cut_at_any_byte_of_a_script_runs_nothing(method, server, proxy_to):
    marks = server.home / "marks"
    marks.mkdir()
    text = "".join(f"touch {marks}/{n}\n" for n in range(2000))
    proxy = proxy_to(server.host)
    for position in [0, 1, 5, 16, 17, 60, 200, 999, *range(2000, len(text), 9001)]:
        proxy.cut_after = None
        run(method, proxy.host, "true")
        proxy.cut_after = proxy.sent + position
        with pytest.raises((ConnectionFailed, ConnectionLost)):
            run(method, proxy.host, text)
    assert run(method, server.host, "true")[0].is_success
    assert not list(marks.iterdir())


@pytest.mark.lesson(18)
def test_a_login_cut_at_any_byte_runs_nothing(method, server, proxy_to):
    proxy = proxy_to(server.host)
    run(method, proxy.host, "true")
    whole = proxy.sent
    for position in range(1, whole - 200, whole // 15):
        method.pool.close_idle(seconds=0)
        proxy.sent, proxy.cut_after = 0, position
        with pytest.raises((ConnectionFailed, ConnectionLost)):
            run(method, proxy.host, f"touch ~/ran-{position}")
    assert not [path for path in server.home.iterdir() if path.name.startswith("ran")]


def test_a_delayed_link_loses_nothing(method, server, proxy_to):
    proxy = proxy_to(server.host)
    proxy.delay = 0.02
    log = run(method, proxy.host, "seq 20000", cap=MIB)
    assert log.printed() == "".join(f"{n}\n" for n in range(1, 20001)).encode()


@pytest.mark.lesson(28)
def test_no_script_goes_to_a_host_with_another_key(method, server, tmp_path):
    other = generate_key(tmp_path / "other").with_suffix(".pub").read_text()
    with pytest.raises(HostKeyChanged):
        run(method, dataclasses.replace(server.host, host_keys=(other,)), "touch ~/ran")
    assert not (server.home / "ran").exists()


def test_a_login_that_is_not_allowed_to_run_commands_is_said_to_be(method, sshd_factory):
    sshd = sshd_factory(ForceCommand="/bin/echo This account is for backups only. >&2; exit 1")
    with pytest.raises(CannotStart, match="for backups only"):
        run(method, sshd.host, "touch ~/ran")


def test_no_bash_is_said_to_be_missing(method, sshd_factory, path_without):
    """The default interpreter is absolute; one that is looked up shows what a host without bash does."""
    for missing in (["bash"], ["bash", "python3"]):
        sshd = sshd_factory(path=path_without(*missing))
        log = run(method, sshd.host, job("true", executable="bash"))
        assert "bash" in log[0].error
        assert log[0].status is None


@pytest.mark.parametrize("is_plain", [False, True])
def test_sudo_runs_scripts_as_root_and_kills_them_at_their_limit(method, sshd, is_plain):
    require("sudo")
    host = dataclasses.replace(sshd.host, sudo=True)
    unit = unit_of("id -u; exit 5", job("echo $$; exec sleep 60", idle=0.5))
    runner = PlainConnection(host, ParamikoTransport().connect(host)) if is_plain else None
    log = Log(unit, runner.run(unit) if runner else method.run(host, unit))
    assert (log.printed(), log[0].status, log[1].limit) == (b"0\n", 5, "idle")
    wait_until(lambda: not is_running(int(log.printed(1))), "the end of what ran as root")


def test_no_text_of_a_script_is_in_the_process_list(method, server):
    secret = uuid.uuid4().hex
    run(method, server.host, "true")
    unit = unit_of(f"echo started; : {secret}; sleep 0.2; sleep 0.1")
    for event in method.run(server.host, unit):
        if isinstance(event, Output):
            assert secret not in "".join(command_lines())


def command_lines():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as line:
                yield line.read()
        except OSError:
            continue
