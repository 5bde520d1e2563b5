"""The client of the runner: handing over whole units, sharing a connection, and what a cut link means."""

import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from orchestration.exceptions import (
    CannotStart,
    ConnectionLost,
    ConnectTimeout,
    HostUnreachable,
    NoPython,
    ServerFull,
)
from orchestration.methods import bundle, runner
from orchestration.methods.exchange import encode
from orchestration.methods.local import LocalLink
from orchestration.methods.runner import RunnerMethod
from orchestration.scripts import Done, Host, Tick
from tests.services.programs import require

from .units import collect, has_stopped_writing, is_alive, make_job, make_unit, peak_memory, wait_until

HOST = Host("here")


class Wrapped:
    """The way to this machine, with a login of another kind."""

    def __init__(self, template="{command}"):
        self.template = template
        self.links = []
        #: Give out a channel only when its command has ended.
        self.is_patient = False

    def connect(self, host):
        self.links.append(WrappedLink(self))
        return self.links[-1]


class WrappedLink(LocalLink):
    def __init__(self, transport):
        super().__init__()
        self.transport = transport

    def open(self, command):
        channel = super().open(self.transport.template.replace("{command}", command))
        if self.transport.is_patient:
            wait_until(channel.has_ended)
        return channel


@pytest.fixture
def make_method():
    methods = []

    def make_method(template="{command}", **fields):
        methods.append(RunnerMethod(Wrapped(template), **fields))
        return methods[-1]

    yield make_method
    for method in methods:
        method.pool.close_idle(seconds=-1)
        assert not len(method.pool)


@pytest.fixture
def method(make_method):
    return make_method()


def run(method, *texts, host=HOST, **fields):
    unit = make_unit(*texts, **fields)
    return collect(method.run(host, unit), unit)


def runner_pid(method):
    return int(run(method, "echo $PPID")[0].stdout)


# Before anything runs


def test_ticks_come_while_a_big_unit_is_sent(method):
    """A lease must not end because a link is slow."""
    events = list(method.run(HOST, make_unit("#" * 4 * runner.PIECE)))
    first = next(index for index, event in enumerate(events) if not isinstance(event, Tick))
    assert first >= 4


def test_ticks_come_while_another_thread_sends(method, monkeypatch):
    monkeypatch.setattr(runner, "TICK", 0.01)
    run(method, "true")
    big = method.run(HOST, make_unit("#" * 4 * runner.PIECE))
    assert isinstance(next(big), Tick)
    events = method.run(HOST, make_unit("echo fine"))
    assert [next(events) for _ in range(3)] == [Tick()] * 3
    list(big)
    assert any(isinstance(event, Done) and event.is_success for event in events)


def test_half_a_unit_that_nobody_wants_any_more_runs_nothing(method, tmp_path):
    run(method, "true")
    big = method.run(HOST, make_unit(f"touch {tmp_path}/ran\n" + "#" * 4 * runner.PIECE))
    next(big)
    big.close()
    assert run(method, "echo fine")[0].stdout == b"fine\n"
    assert not (tmp_path / "ran").exists()


def test_what_a_login_prints_is_skipped(make_method):
    method = make_method("seq 1000; printf 'hello 0 me 1'; echo noise >&2; {command}")
    assert run(method, "echo fine")[0].stdout == b"fine\n"


def test_a_login_that_prints_without_end_is_an_error(make_method):
    with pytest.raises(CannotStart, match="prints without end"):
        run(make_method("exec yes"), "echo no")


def test_a_silent_login_is_given_up(make_method, settings):
    settings.ORCHESTRATION_CONNECT_TIMEOUT = 0.1
    with pytest.raises(ConnectTimeout, match="login shell"):
        run(make_method("exec sleep 60"), "echo no")


def test_a_host_without_python_says_so(make_method):
    with pytest.raises(NoPython, match="has no python3"):
        run(make_method("PATH=/nowhere; {command}"), "echo no")


def test_a_host_without_python_is_left_to_the_fallback(make_method):
    hosts = []

    def fallback(host, link):
        hosts.append(host)
        return Plain()

    method = make_method("exit 127", fallback=fallback)
    assert list(method.run(HOST, make_unit("x"))) == [Tick()]
    assert list(method.run(HOST, make_unit("x"))) == [Tick()]
    assert hosts == [HOST]


class Plain:
    is_closed = False

    def run(self, unit):
        yield Tick()

    def close(self):
        self.is_closed = True


def test_a_login_that_fails_is_an_error_with_what_it_said(make_method):
    with pytest.raises(CannotStart, match="sudo: a password is required"):
        run(make_method("echo sudo: a password is required >&2; exit 1"), "echo no")


@pytest.mark.parametrize("executable", ["", "'open", "'a\tb'"])
def test_an_executable_that_is_none_is_refused_before_it_is_sent(method, executable):
    with pytest.raises(CannotStart, match="is no executable"):
        run(method, make_job("", executable=executable))


def test_sudo_makes_the_whole_runner_root(make_method, tmp_path):
    (tmp_path / "sudo").write_text('#!/bin/sh\n[ "$1 $2" = "-n --" ] && shift 2 && AS=root exec "$@"\n')
    (tmp_path / "sudo").chmod(0o755)
    method = make_method(f"PATH={tmp_path}:$PATH; {{command}}")
    assert run(method, "echo $AS", host=Host("here", sudo=True))[0].stdout == b"root\n"


@pytest.mark.parametrize("shell", ["dash", "bash", "zsh", "ksh", "fish", "tcsh", "csh", "busybox sh"])
def test_every_login_shell_understands_the_command(shell):
    words = [require(shell.split()[0]), *shell.split()[1:], "-c", bundle.command("abc")]
    result = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    assert result.stdout == b"hello 0 abc 1\n"


def test_a_server_without_room_refuses_the_unit_and_certainly_ran_nothing(make_method, tmp_path):
    method = make_method("ulimit -n 8; {command}")
    for _ in range(5):
        with pytest.raises(ServerFull, match="Too many open files"):
            run(method, f"touch {tmp_path}/ran", "echo second")
    assert not (tmp_path / "ran").exists()
    assert len(method._transport.links) == 1


def test_refusals_use_up_nothing_of_a_server(make_method):
    method = make_method("ulimit -n 15; {command}")
    for _ in range(20):
        assert "No such file" in run(method, make_job("", executable="/nowhere"))[0].done.error
    assert run(method, "echo fine")[0].stdout == b"fine\n"


def test_a_unit_without_jobs_ends_at_once(method):
    assert run(method).order == []


# Whole or nothing


@pytest.mark.lesson(18)
def test_a_link_cut_at_any_byte_runs_nothing(tmp_path):
    unit = make_unit(f"touch {tmp_path}/first", f"rm -rf {tmp_path}/old; touch {tmp_path}/second")
    data = encode(unit)
    (tmp_path / "old").mkdir()
    channels = [_cut_after(data[:size]) for size in [*range(0, len(data), 9), len(data) - 1]]
    for channel in channels:
        wait_until(channel.has_ended)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def _cut_after(data):
    channel = LocalLink().open(bundle.command("abc"))
    channel.send(data)
    channel.close()
    return channel


def test_units_that_have_not_begun_are_dropped_with_the_link(tmp_path):
    first = make_unit(f"touch {tmp_path}/first; until [ -e {tmp_path}/go ]; do sleep 0.01; done", "touch no")
    second = make_unit(f"touch {tmp_path}/second", lane=first.lane)
    channel = LocalLink().open(bundle.command("abc"))
    channel.send(encode(first) + encode(second))
    wait_until((tmp_path / "first").exists)
    channel.close()
    (tmp_path / "go").touch()
    wait_until(channel.has_ended)
    assert not (tmp_path / "second").exists()


@pytest.mark.lesson(19)
def test_a_section_finishes_when_the_link_is_cut_while_it_prints(method, tmp_path):
    unit = make_unit(f"echo go; for n in $(seq 3000); do echo step $n; done; sleep 0.1; touch {tmp_path}/end")
    events = method.run(HOST, unit)
    for event in events:
        if getattr(event, "data", b"").startswith(b"go"):
            break
    method._transport.links[0].close()
    with pytest.raises(ConnectionLost, match="how it ended there is unknown"):
        list(events)
    wait_until((tmp_path / "end").exists)


# Sharing a connection


def test_threads_share_one_connection(method):
    failures = []

    def work():
        for number in range(15):
            if run(method, f"echo {number}")[0].stdout != b"%d\n" % number:
                failures.append(number)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert len(method._transport.links) == 1


def test_what_another_thread_has_read_to_the_end_is_not_lost(method, monkeypatch):
    hand_over = runner.RunnerConnection._hand_over

    def slowly(connection, exchange):
        yield from hand_over(connection, exchange)
        other = threading.Thread(target=connection._wait, args=(lambda: exchange.is_over, 20))
        other.start()
        other.join()

    monkeypatch.setattr(runner.RunnerConnection, "_hand_over", slowly)
    assert run(method, "echo here")[0].stdout == b"here\n"


def test_big_output_of_several_lanes_at_once_stays_apart(method):
    results = {}

    def work(letter):
        results[letter] = run(method, f"head -c 3000000 /dev/zero | tr '\\0' {letter}", cap=3_000_000)[0]

    threads = [threading.Thread(target=work, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {letter: bytes(result.stdout) for letter, result in results.items()} == {
        letter: letter.encode() * 3_000_000 for letter in "abcd"
    }


def test_an_unread_flood_waits_at_the_far_end(method):
    """Nobody reads: the section is slowed down and the runner keeps little; then everything arrives."""
    unit = make_unit("echo $PPID $$; exec head -c 60000000 /dev/zero", cap=100_000_000)
    events = method.run(HOST, unit)
    head = next(event.data for event in events if hasattr(event, "data"))
    far, section = map(int, head.split(b"\n")[0].split())
    wait_until(lambda: has_stopped_writing(section))
    rest = list(events)
    sizes = [len(event.data) for event in rest if hasattr(event, "data")]
    assert len(head) + sum(sizes) == rest[-1].stdout_size
    assert rest[-1].is_success
    assert peak_memory(far) < 20 << 20


def test_ticks_come_while_a_section_is_silent(method, monkeypatch):
    monkeypatch.setattr(runner, "TICK", 0.02)
    results = run(method, "sleep 0.3")
    assert results.ticks > 5
    assert results[0].done.is_success


def test_a_sign_of_life_goes_out_while_a_section_is_silent(method, monkeypatch):
    monkeypatch.setattr(runner, "TICK", 0.02)
    monkeypatch.setattr(runner, "ALIVE", 0.05)
    assert run(method, "sleep 0.3")[0].done.is_success


# Dead connections


@pytest.mark.lesson(23)
def test_a_dead_connection_is_replaced(method):
    first = runner_pid(method)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not is_alive(first))
    assert runner_pid(method) != first
    assert len(method._transport.links) == 2


@pytest.mark.lesson(23)
def test_a_connection_that_answers_nothing_is_replaced_before_anything_is_sent(method, monkeypatch):
    first = runner_pid(method)
    os.kill(first, signal.SIGSTOP)
    monkeypatch.setattr(runner, "DOUBT", 0.0)
    monkeypatch.setattr(runner, "ANSWER", 0.1)
    assert runner_pid(method) != first
    os.kill(first, signal.SIGKILL)


def test_a_silent_connection_that_answers_is_kept(method, monkeypatch):
    first = runner_pid(method)
    monkeypatch.setattr(runner, "DOUBT", 0.0)
    assert runner_pid(method) == first


def test_an_end_that_nobody_saw_is_unknown(method):
    unit = make_unit("echo first", "kill -9 $PPID; sleep 60")
    events = method.run(HOST, unit)
    seen = []
    with pytest.raises(ConnectionLost):
        seen.extend(events)
    wait_until(lambda: not _sleeps(unit.jobs[1].id))


def _sleeps(job):
    return [pid for pid in _marked(job) if os.kill(pid, signal.SIGKILL) is None]


def _marked(job):
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if job.encode() in path.read_bytes() and is_alive(path.parent.name):
                yield int(path.parent.name)
        except OSError:
            continue


def test_what_was_done_before_the_link_was_cut_is_known(method):
    unit = make_unit("echo first", "until false; do sleep 0.05; done")
    events = method.run(HOST, unit)
    done = next(event for event in events if isinstance(event, Done))
    assert done.is_success
    method._transport.links[0].close()
    with pytest.raises(ConnectionLost):
        list(events)
    for pid in _marked(unit.jobs[1].id):
        os.kill(pid, signal.SIGKILL)


def test_a_connection_that_breaks_again_is_no_endless_loop(make_method):
    method = make_method("printf 'hello 0 '; echo {command} | sed 's/.* //' | tr '\\n' ' '; echo 1")
    method._transport.is_patient = True
    with pytest.raises(HostUnreachable, match="before the script was sent"):
        run(method, "echo no")
    assert len(method._transport.links) == 2


# A far end that misbehaves


class Scripted:
    """A transport, link and channel in one: says hello, takes some frames, then does as it was told."""

    def __init__(self, *, takes=100, says=b""):
        self.takes, self.says = takes, says
        self.connected = 0

    def connect(self, host):
        self.connected += 1
        self.left = self.takes
        return self

    def open(self, command):
        self.answers = [f"hello 0 {command.split()[-1]} 1\n".encode(), None, self.says]
        return self

    def send(self, data):
        self.left -= 1
        if self.left < 0:
            raise ConnectionLost("cut")

    def receive(self, timeout):
        return self.answers.pop(0) if self.answers else b""

    def close(self):
        self.answers = []


def test_a_unit_that_was_not_wholly_sent_is_sent_again_once_and_then_kept():
    transport = Scripted(takes=0)
    with pytest.raises(HostUnreachable, match="before the script was sent"):
        run(RunnerMethod(transport), "echo no")
    assert transport.connected == 2


def test_a_unit_that_was_sent_is_never_sent_again():
    transport = Scripted()
    with pytest.raises(ConnectionLost):
        run(RunnerMethod(transport), "echo no")
    assert transport.connected == 1


@pytest.mark.parametrize("says", [b"output\n", b"x" * 5000, b"done 0 {job}\n", b"output 1 {job} x\na"])
def test_a_runner_that_talks_nonsense_is_given_up(says):
    unit = make_unit("echo no")
    transport = Scripted(says=says.replace(b"{job}", unit.jobs[0].id.encode()))
    with pytest.raises(ConnectionLost):
        list(RunnerMethod(transport).run(HOST, unit))


def test_a_doubtful_connection_that_cannot_even_be_asked_is_replaced(monkeypatch):
    monkeypatch.setattr(runner, "DOUBT", 0.0)
    transport = Scripted(takes=0)
    with pytest.raises(HostUnreachable):
        run(RunnerMethod(transport), "echo no")
    assert transport.connected == 2


def test_ticks_come_while_the_pool_is_full(make_method, monkeypatch, settings):
    monkeypatch.setattr(runner, "TICK", 0.02)
    settings.ORCHESTRATION_POOL_SIZE = 1
    method = make_method()
    busy = method.run(HOST, make_unit("echo busy; sleep 60"))
    next(busy)
    unit = make_unit("echo other")
    waiting = method.run(Host("other"), unit)
    assert [next(waiting) for _ in range(3)] == [Tick()] * 3
    busy.close()
    assert collect(waiting, unit)[0].stdout == b"other\n"


# Other processes and other Pythons


def test_what_a_forked_child_does_not_own_is_let_go_silently(method):
    pid = runner_pid(method)
    method.pool.abandon()
    assert len(method.pool) == 0
    assert runner_pid(method) != pid


def test_a_forked_child_uses_a_connection_of_its_own(method):
    first = runner_pid(method)
    pid = os.fork()
    if not pid:
        try:
            os._exit(0 if runner_pid(method) not in (0, first) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert runner_pid(method) == first


def _interpreters():
    found = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3"))
    return {path.parent.parent.name: str(path) for path in found} or {"system": shutil.which("python3")}


@pytest.mark.parametrize("version", _interpreters())
def test_the_runner_runs_on_old_and_new_pythons(make_method, version):
    folder = Path(_interpreters()[version]).parent
    method = make_method(f"PATH={folder}:$PATH; {{command}}")
    if version.startswith(("3.6", "3.7")):
        with pytest.raises(NoPython):
            run(method, "echo no")
        return
    first = make_job("sleep 60", total=0.1)
    results = run(
        method, "echo one; echo two >&2; exit 4", first, make_job("", needs=(first.id,)), "seq 1000", cap=9
    )
    assert (results[0].stdout, results[0].stderr, results[0].done.status) == (b"one\n", b"two\n", 4)
    assert results[1].done.limit == "total"
    assert results[2].done.skipped == first.id
    assert len(results[3].stdout + results[3].done.stdout_tail) == results[3].done.stdout_size


def test_the_runner_is_small():
    assert len(bundle.source()) < 20_000
    assert len(bundle.command("0" * 32)) < 8_192


def test_the_runner_needs_nothing_but_few_modules_of_the_standard_library():
    lines = [line.strip() for line in bundle.source().splitlines()]
    imports = {line for line in lines if line.startswith(("import ", "from "))}
    assert imports == {
        f"import {name}" for name in ("errno", "os", "select", "sys", "time", "signal", "_signal as signal")
    }
