"""The runner itself, served in this process: frames, odd systems, and clients that leave."""

import os
import resource
import signal
import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.exceptions import ServerFull
from orchestration.methods.agent import link as links
from orchestration.methods.agent import loop, processes, section
from orchestration.methods.agent.clip import Clip
from orchestration.methods.agent.frames import BadFrame, Unit, take_frame
from orchestration.methods.exchange import Exchange, encode

from .units import collect, has_stopped_writing, is_alive, make_job, make_unit, wait_until

SIGNALS = (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE)


class Client:
    """The other end of a runner's link."""

    def __init__(self, end):
        self.end = end
        self.received = bytearray()

    def send(self, data):
        self.end.sendall(data)

    def leave(self):
        self.end.shutdown(socket.SHUT_RDWR)

    def receive(self):
        """Return the next frame as (name, words, body), or None at the end."""
        while not (frame := take_frame(self.received)):
            data = self.end.recv(65536)
            if not data:
                return None
            self.received += data
        (name, _, *words), body = frame
        return name, words, body

    def receive_until(self, wanted):
        while (frame := self.receive()) and frame[0] != wanted:
            pass
        return frame

    def run(self, unit):
        """Run a unit as the client in ``methods/runner.py`` does."""
        self.send(encode(unit))
        return collect(self._events(Exchange(unit)), unit)

    def _events(self, exchange):
        while not exchange.is_over:
            name, words, body = self.receive()
            if words and words[0] in exchange.keys:
                exchange.receive(name, words, body)
            yield from exchange.take()


@pytest.fixture
def serve():
    """Return a function that serves a client: a function that gets a Client, in a thread of its own."""
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def serve(client):
        ours, theirs = socket.socketpair()
        results = []
        with ours, theirs, open(os.dup(ours.fileno()), "wb", buffering=0) as sink:
            thread = threading.Thread(target=lambda: results.append(_call(client, theirs)))
            thread.start()
            loop.Runner(b"nonce", ours.fileno(), sink.fileno()).run()
            thread.join(20)
        if isinstance(results[0], BaseException):
            raise results[0]
        return results[0]

    yield serve
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


def _call(client, end):
    """Return what the client returns, or its error; then it is gone."""
    try:
        return client(Client(end))
    except BaseException as error:
        return error
    finally:
        end.close()


# Frames


def test_it_says_hello_with_the_nonce(serve):
    assert serve(Client.receive) == (b"hello", [b"nonce", b"1"], b"")


def test_it_runs_a_unit(serve):
    unit = make_unit("echo one; exit 3", make_job("", executable="/nowhere"), "seq 1000", cap=100, tail=10)
    results = serve(lambda client: client.run(unit))
    assert (results[0].stdout, results[0].done.status) == (b"one\n", 3)
    assert "No such file" in results[1].done.error
    assert (len(results[2].stdout), results[2].done.stdout_tail) == (100, b"998\n999\n1000\n"[-10:])


def test_it_answers_signs_of_life_and_ignores_frames_of_later_versions(serve):
    def client(client):
        client.send(b"dance 3 a b\nabc" + b"alive 0\n")
        return client.receive_until(b"alive")

    assert serve(client) == (b"alive", [], b"")


def _frame(words, body):
    return b"unit %d %s\n%s" % (len(body), words, body)


@pytest.mark.parametrize(
    "data",
    [
        b"x" * 5000,
        b"unit\n",
        b"unit -1\n",
        b"unit 99999999999 a\n",
        _frame(b"ab ab 1 1 1", b"\n"),
        _frame(b"../x ab 1 1 1", b"aa 0 1 1 - sh\n\n"),
        _frame(b"ab " + b"a" * 65 + b" 1 1 1", b"aa 0 1 1 - sh\n\n"),
        _frame(b"ab ab 1 1 1", b"aa 1 1 1 - sh\n\nxy"),
        _frame(b"ab ab 1 1 1", b"aa 2 1 1 - sh\n\nx"),
        _frame(b"ab ab 1 1", b"aa 0 1 1 - sh\n\n"),
        _frame(b"ab ab 1 1 1", b"../aa 0 1 1 - sh\n\n"),
        _frame(b"ab ab 1 1 1", b"aa -1 1 1 - sh\n\n"),
        _frame(b"ab ab 1 1 1", b"aa 0 soon 1 - sh\n\n"),
    ],
)
def test_a_bad_frame_ends_the_link_and_a_running_section_goes_on(serve, data, tmp_path):
    unit = make_unit(f"until [ -e {tmp_path}/go ]; do sleep 0.01; done; touch {tmp_path}/end")

    def client(client):
        client.send(encode(unit) + data)
        assert client.receive_until(b"end") is None
        (tmp_path / "go").touch()

    serve(client)
    assert (tmp_path / "end").exists()


def test_a_client_that_is_not_heard_for_too_long_is_gone(serve, monkeypatch):
    monkeypatch.setattr(links, "UNHEARD", 0.05)
    serve(lambda client: client.receive_until(b"nothing"))


def test_a_client_that_left_stops_what_has_not_begun(serve, tmp_path):
    first = make_unit(f"echo go; cat {tmp_path}/gate; touch {tmp_path}/first", f"touch {tmp_path}/second")
    third = make_unit(f"touch {tmp_path}/third", lane=first.lane)
    os.mkfifo(tmp_path / "gate")

    def client(client):
        client.send(encode(first) + encode(third) + encode(make_unit("echo cut"))[:-1])
        client.receive_until(b"output")
        client.leave()
        (tmp_path / "gate").write_text("go")

    serve(client)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "gate"]


def test_a_flood_is_drained_when_the_client_has_left(serve, tmp_path):
    unit = make_unit(f"echo go; head -c 5000000 /dev/zero; touch {tmp_path}/end", cap=1 << 30)

    def client(client):
        client.send(encode(unit))
        client.receive_until(b"output")

    serve(client)
    assert (tmp_path / "end").exists()


def test_a_slow_client_slows_the_section_and_misses_nothing(serve, tmp_path):
    note = f"echo ok >&2; echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid"
    unit = make_unit(f"{note}; exec head -c 5000000 /dev/zero", cap=1 << 30)

    def client(client):
        client.send(encode(unit))
        events = client._events(Exchange(unit))
        wait_until((tmp_path / "pid").exists)
        pid = int((tmp_path / "pid").read_text())
        wait_until(lambda: has_stopped_writing(pid))
        return sum(len(getattr(event, "data", b"")) for event in events)

    assert serve(client) == 5000003


def test_cancel_kills_what_runs_and_drops_the_rest(serve, tmp_path):
    unit = make_unit("echo $$; sleep 60", f"touch {tmp_path}/second")
    waiting = make_unit(f"touch {tmp_path}/third", lane=unit.lane)

    def client(client):
        client.send(encode(unit) + encode(waiting))
        pid = int(client.receive_until(b"output")[2])
        cancel = f"cancel 0 {waiting.id}\ncancel 0 {unit.id}\ncancel 0 {unit.id}\n"
        client.send(cancel.encode())
        assert client.receive_until(b"done")[1][:4] == [unit.jobs[0].id.encode(), b"-", b"15", b"-"]
        assert client.receive_until(b"end")[1] == [unit.id.encode()]
        assert client.receive_until(b"end")[1] == [waiting.id.encode()]
        return pid

    assert not is_alive(serve(client))
    assert list(tmp_path.iterdir()) == []


def test_limits_hold_here_too(serve, monkeypatch):
    monkeypatch.setattr(section, "GRACE", 0.2)
    results = serve(
        lambda client: client.run(make_unit("trap '' TERM; sleep 60 & wait; sleep 60", total=0.1))
    )
    assert (results[0].done.limit, results[0].done.signal) == ("total", 9)


def test_what_cannot_be_killed_is_named_and_given_up(serve, monkeypatch):
    monkeypatch.setattr(section, "GRACE", 0.05)
    kill, pids = os.kill, []
    monkeypatch.setattr(os, "kill", lambda pid, number: pids.append(pid))
    results = serve(lambda client: client.run(make_unit("sleep 60", total=0.05)))
    kill(pids[0], signal.SIGKILL)
    assert results[0].done.notes[0].startswith(f"could not be killed: pid {-pids[0]}")
    assert (results[0].done.status, results[0].done.limit) == (None, "total")
    os.waitpid(-pids[0], 0)


def test_background_processes_are_read_and_dropped(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "HELD", 2)
    gate = f"until [ -e {tmp_path}/go ]; do sleep 0.01; done"

    def client(client):
        results = client.run(make_unit(*[f"({gate}; seq 9; sleep 0.1) & echo {n}" for n in range(3)]))
        (tmp_path / "go").touch()
        after = client.run(make_unit("sleep 0.3; echo after"))
        return results, after

    results, after = serve(client)
    assert [result.stdout for result in results.jobs.values()] == [b"0\n", b"1\n", b"2\n"]
    assert all("kept stdout and stderr open" in result.done.notes[0] for result in results.jobs.values())
    assert after[0].stdout == b"after\n"


# Odd systems


def test_without_memory_files_the_text_is_a_file_that_only_we_can_read(serve, monkeypatch, tmp_path):
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    results = serve(lambda client: client.run(make_unit('echo "$0"; stat -c %a "$0"; exit 3')))
    path, mode = results[0].stdout.decode().split()
    assert path.startswith(f"{tmp_path}/orchestration-")
    assert (mode, results[0].done.status) == ("600", 3)
    assert list(tmp_path.iterdir()) == []


def test_without_room_for_the_text_nothing_runs(serve, monkeypatch, tmp_path):
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    results = serve(lambda client: client.run(make_unit("echo no")))
    assert "No such file" in results[0].done.error


def test_a_full_disk_refuses_the_unit_and_leaves_nothing_behind(serve, monkeypatch, tmp_path):
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        results = serve(lambda client: client.run(make_unit("#" * 5000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "File too large" in results[0].done.error
    assert list(tmp_path.iterdir()) == []


def test_without_room_for_pipes_the_unit_is_refused(serve):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def client(client):
        client.receive()
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, before[1]))
        client.run(make_unit("echo no"))

    try:
        with pytest.raises(ServerFull, match="Too many open files"):
            serve(client)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_without_proc_only_the_group_is_known(monkeypatch):
    monkeypatch.setattr(os, "listdir", _refuse)
    assert processes.find_members(1, b"a") == {}
    assert processes.describe_holders({"pipe:[1]": b"stdout"}) == []
    assert processes.list_links(1) == []


def _refuse(path):
    raise FileNotFoundError(path)


# Any input


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([b"unit", b"x"]), st.binary(max_size=50))), st.integers(1, 20))
def test_frames_survive_any_split(frames, step):
    data = b"".join(b"%s %d word\n%s" % (name, len(body), body) for name, body in frames)
    received, taken = bytearray(), []
    for start in range(0, len(data), step):
        received += data[start : start + step]
        while frame := take_frame(received):
            taken.append(frame)
    assert taken == [([name, b"%d" % len(body), b"word"], body) for name, body in frames]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_a_bad_frame_or_none_at_all(data):
    try:
        while take_frame(received := bytearray(data)):
            data = bytes(received)
    except BadFrame:
        pass


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=9), max_size=7), st.binary(max_size=80))
def test_a_unit_of_noise_is_refused_and_breaks_nothing(words, body):
    with pytest.raises((BadFrame, ValueError)):
        Unit(words, body)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=30)), st.integers(0, 50), st.integers(0, 50))
def test_a_clip_is_head_and_tail_of_the_whole(chunks, cap, tail):
    clip, whole = Clip(cap, tail), b"".join(chunks)
    assert b"".join(clip.take(chunk) for chunk in chunks) == whole[:cap]
    rest = whole[cap:]
    assert clip.last() == (rest[-tail:] if tail else b"")
    assert clip.size == len(whole)


def test_a_clip_of_much_keeps_little():
    clip = Clip(10, 10)
    for _ in range(100):
        clip.take(b"x" * 65536)
    clip.take(b"the end")
    assert (clip.last(), len(clip.end) < 1 << 19) == (b"xxxthe end", True)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=100), min_size=1, max_size=5), st.integers(0, 2**40))
def test_a_unit_arrives_as_it_was_sent(texts, epoch):
    unit = make_unit(*texts, executable="python3 -S")
    (_, _, *words), body = take_frame(bytearray(encode(unit)))
    arrived = Unit(words, body)
    assert [bytes(job.text) for job in arrived.jobs] == texts
    assert [job.id.decode() for job in arrived.jobs] == [job.id for job in unit.jobs]
    assert arrived.jobs[0].argv == [b"python3", b"-S"]
