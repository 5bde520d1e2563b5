"""Scripts on this machine: what a section finds, what it may do, and how it ends."""

import os
import re
from pathlib import Path

import pytest

from orchestration.methods import pools
from orchestration.methods.local import Local
from orchestration.scripts import Host

from .units import collect, is_alive, make_job, make_unit, peak_memory, wait_until

HOST = Host("here")
MIB = 1 << 20


@pytest.fixture(scope="module")
def local():
    yield (method := Local())
    method.pool.close_idle(seconds=-1)
    assert not len(method.pool)


@pytest.fixture
def run(local):
    def run(*texts, **fields):
        unit = make_unit(*texts, **fields)
        return collect(local.run(HOST, unit), unit)

    return run


# What comes back


def test_output_and_exit_status_of_each_job_arrive(run):
    results = run("echo one; echo oops >&2; exit 3", "echo two")
    assert (results[0].stdout, results[0].stderr) == (b"one\n", b"oops\n")
    assert (results[0].done.status, results[0].done.signal) == (3, None)
    assert (results[0].done.stdout_size, results[0].done.stderr_size) == (4, 5)
    assert not results[0].done.is_success
    assert results[1].stdout == b"two\n"
    assert results[1].done.is_success


@pytest.mark.lesson(23)
def test_status_255_is_the_script_s_own(run):
    assert run("exit 255")[0].done.status == 255


def test_a_signal_is_told_apart_from_a_status(run):
    done = run("kill -SEGV $$")[0].done
    assert (done.status, done.signal, done.limit) == (None, 11, "")


@pytest.mark.lesson(25)
@pytest.mark.lesson(21)
def test_any_bytes_arrive_unchanged(run, tmp_path):
    data = bytes(range(256)) * 40
    (tmp_path / "data").write_bytes(data)
    results = run(f"cat {tmp_path}/data; cat {tmp_path}/data >&2")
    assert results[0].stdout == data
    assert results[0].stderr == data


@pytest.mark.lesson(25)
def test_the_text_arrives_byte_for_byte(run, tmp_path):
    text = b"cat <<'END'\nends with blanks   \r\n\xff\xfe\x80 \xe2\x80\x9cquoted\xe2\x80\x9d \t\r\nEND\n"
    assert run(text)[0].stdout == b"\n".join(text.split(b"\n")[1:-2]) + b"\n"


@pytest.mark.lesson(21)
def test_the_last_line_is_not_lost(run):
    for _ in range(50):
        assert run("echo start; printf 'the end'")[0].stdout == b"start\nthe end"


def test_output_that_imitates_frames_stays_output(run):
    text = "printf 'end 0 0123456789abcdef\\ndone 0 0123 0 0 - - 0 0\\noutput 3 0123 1\\nabc'"
    results = run(text, "echo real")
    assert results[0].stdout.count(b"\n") == 3
    assert results[1].stdout == b"real\n"


# What a section finds


@pytest.mark.lesson(17)
def test_a_command_that_reads_stdin_eats_nothing(run):
    assert run("cat\nread line\necho after; wc -c < /dev/stdin")[0].stdout == b"after\n0\n"


def test_the_executable_may_have_arguments(run):
    assert run(make_job("import sys; print(sys.flags.no_site)", executable="python3 -S"))[0].stdout == b"1\n"
    assert run(make_job("echo $-", executable='/usr/bin/env "bash" -e'))[0].stdout.startswith(b"e")


def test_a_section_is_a_process_group_of_its_own(run):
    pid, group = run("ps -o pid=,pgid= -p $$ || cut -d' ' -f1,5 /proc/$$/stat")[0].stdout.split()
    assert pid == group


def test_signals_are_as_if_nobody_had_touched_them(run):
    lines = run("grep -E 'Sig(Ign|Blk)' /proc/self/status")[0].stdout.split(b"\n")
    masks = [int(line.split()[1], 16) for line in lines if line]
    assert [mask & 0x7FFFFFFF for mask in masks] == [0, 0]  # above are those of the C library


def test_the_umask_is_that_of_the_login(run):
    mask = os.umask(0)
    os.umask(mask)
    assert int(run("umask")[0].stdout, 8) == mask


def test_it_runs_at_home_and_finds_nothing_of_the_web_process_in_its_environment(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "whatever")
    unit = make_unit('pwd; echo "${SECRET_KEY-none}"')
    method = Local()
    stdout = collect(method.run(HOST, unit), unit)[0].stdout
    method.pool.close_idle(seconds=-1)
    assert stdout.decode().split() == [str(Path.home()), "none"]


@pytest.mark.lesson(28)
def test_the_text_is_in_no_list_of_processes(local):
    unit = make_unit("secret=word-5f2c; mkfifo $0.x 2>/dev/null; sleep 30")
    events = local.run(HOST, unit)
    next(events)
    assert b"word-5f2c" not in b"".join(_command_lines())
    events.close()


def _command_lines():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except OSError:
            continue


def test_children_inherit_no_descriptor_of_ours(run):
    assert run("ls /proc/self/fd")[0].stdout.split() == [b"0", b"1", b"2", b"3"]  # 3 is ls's own


# What runs, and what does not


def test_a_job_is_skipped_when_one_that_it_needs_did_not_succeed(run):
    first, second = make_job("exit 1"), make_job("echo fine")
    third = make_job("echo never", needs=(second.id, first.id))
    fourth = make_job("echo never", needs=(third.id,))
    fifth = make_job("echo again", needs=(second.id,))
    results = run(first, second, third, fourth, fifth)
    assert [result.is_started for result in results.jobs.values()] == [True, True, False, False, True]
    assert (results[2].done.skipped, results[3].done.skipped) == (first.id, third.id)
    assert results[2].done.status is None


def test_a_missing_executable_is_an_error_and_no_exit_status(run):
    results = run(make_job("echo no", executable="/nowhere/bash"), make_job("echo yes"))
    assert results[0].done.status is None
    assert not results[0].is_started
    assert results[0].done.error == "/nowhere/bash cannot be started: No such file or directory."
    assert results[1].stdout == b"yes\n"


def test_an_executable_that_may_not_run_is_an_error(run, tmp_path):
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    results = run(make_job("", executable=str(tmp_path / "tool")))
    assert "Permission denied" in results[0].done.error


def test_jobs_of_a_unit_run_in_order(run):
    results = run(*[f"echo {number}" for number in range(20)])
    assert [result.stdout for result in results.jobs.values()] == [b"%d\n" % number for number in range(20)]


# Sizes


def test_long_output_keeps_its_head_and_its_tail_and_tells_its_true_size(run):
    results = run("seq 100000; seq 50000 >&2", cap=1000, tail=100)
    whole = "".join(f"{number}\n" for number in range(1, 100001)).encode()
    assert results[0].stdout == whole[:1000]
    assert results[0].done.stdout_tail == whole[-100:]
    assert results[0].done.stdout_size == len(whole)
    assert (len(results[0].stderr), len(results[0].done.stderr_tail)) == (1000, 100)


def test_what_follows_the_cap_is_no_longer_than_the_tail_says(run):
    results = run("printf 1234567890", cap=4, tail=100)
    assert (results[0].stdout, results[0].done.stdout_tail) == (b"1234", b"567890")
    assert run("printf 1234567890", cap=4, tail=0)[0].done.stdout_tail == b""
    assert run("printf 1234", cap=4, tail=10)[0].done.stdout_tail == b""


@pytest.mark.lesson(20)
def test_a_hundred_mebibytes_of_stdout_take_little_memory(run):
    results = run("echo $PPID >&2; head -c 104857600 /dev/zero")
    assert results[0].done.stdout_size == 100 * MIB
    assert len(results[0].stdout) == MIB
    assert peak_memory(int(results[0].stderr)) < 20 * MIB


@pytest.mark.lesson(20)
def test_eight_mebibytes_of_stderr_come_beside_stdout(run):
    text = "for n in 1 2 3 4 5 6 7 8; do head -c 1048576 /dev/zero >&2; head -c 1048576 /dev/zero; done"
    results = run(text, cap=10 * MIB)
    assert len(results[0].stdout) == len(results[0].stderr) == 8 * MIB


@pytest.mark.lesson(20)
def test_a_script_of_eight_mebibytes_prints_eight_mebibytes(run):
    line = "echo " + "x" * 1018 + "\n"
    results = run(line * 8192, cap=10 * MIB)
    assert results[0].done.stdout_size == len(results[0].stdout) == 8192 * 1019


def test_a_script_of_one_mebibyte_runs_whole(run):
    assert run("true\n" * (MIB // 5) + "echo the end")[0].stdout == b"the end\n"


# Background processes


@pytest.mark.lesson(22)
def test_a_background_process_does_not_hold_up_the_end(run, tmp_path):
    results = run(f"sleep 60 & echo $! > {tmp_path}/pid; echo done")
    pid = int((tmp_path / "pid").read_text())
    notes = [rf"(bash|sleep) \(pid {pid}\) kept stdout and stderr open"]
    assert results[0].done.is_success
    assert results[0].stdout == b"done\n"
    assert [re.fullmatch(*pair) is not None for pair in zip(notes, results[0].done.notes, strict=True)] == [
        True
    ]
    assert is_alive(pid)
    os.kill(pid, 9)


def test_a_background_process_that_goes_on_printing_is_not_killed_by_it(run, tmp_path):
    results = run(
        f"(until [ -e {tmp_path}/go ]; do sleep 0.01; done; seq 100000; touch {tmp_path}/end) & echo first"
    )
    (tmp_path / "go").touch()
    wait_until((tmp_path / "end").exists)
    assert results[0].stdout == b"first\n"
    assert run("echo next")[0].stdout == b"next\n"


# Limits


@pytest.mark.lesson(22)
def test_a_section_that_hangs_is_killed_with_all_its_processes(run):
    text = "sleep 61.573 & setsid sleep 62.573 & setsid -f sleep 63.573; echo $$ $!; sleep 64.573"
    results = run(text, total=0.3)
    done = results[0].done
    assert (done.status, done.limit, done.signal) == (None, "total", 15)
    for pid in results[0].stdout.split():
        assert not is_alive(int(pid))
    assert not [line for line in _command_lines() if re.fullmatch(rb"sleep\x006\d\.573\x00", line)]


def test_silence_is_limited_and_output_lengthens_it(run):
    results = run("for n in 1 2 3 4 5 6; do sleep 0.1; echo $n; done; sleep 60", idle=0.4, total=60)
    assert results[0].stdout == b"1\n2\n3\n4\n5\n6\n"
    assert results[0].done.limit == "idle"


def test_a_section_may_clean_up_at_its_limit_and_is_not_green_for_it(run):
    results = run("trap 'echo clean; exit 0' TERM; sleep 60 & wait", total=0.3)
    assert results[0].stdout == b"clean\n"
    assert (results[0].done.limit, results[0].done.status) == ("total", None)
    assert not results[0].done.is_success


def test_a_section_that_ignores_being_asked_is_killed(run):
    results = run("trap '' TERM; while :; do sleep 1; done", total=0.2)
    assert (results[0].done.limit, results[0].done.signal) == ("total", 9)


def test_what_needs_a_killed_job_is_skipped_and_the_others_run(run):
    first = make_job("sleep 60", total=0.2)
    results = run(first, make_job("echo no", needs=(first.id,)), "echo yes")
    assert results[1].done.skipped == first.id
    assert results[2].stdout == b"yes\n"


# Several at once


def test_two_lanes_run_at_the_same_time_and_one_lane_in_order(local, tmp_path):
    os.mkfifo(tmp_path / "meet")
    reader, writer = make_unit(f"cat {tmp_path}/meet"), make_unit(f"echo hello > {tmp_path}/meet")
    waiting = local.run(HOST, reader)
    next(waiting)
    assert collect(local.run(HOST, writer), writer)[0].done.is_success
    assert b"hello\n" in [getattr(event, "data", b"") for event in waiting]


def test_units_of_one_lane_wait_for_each_other(local, tmp_path):
    first = make_unit(f"until [ -e {tmp_path}/go ]; do sleep 0.01; done; echo 1 >> {tmp_path}/log")
    second = make_unit(f"echo 2 >> {tmp_path}/log; touch {tmp_path}/second", lane=first.lane)
    events = local.run(HOST, first)
    next(events)
    other = make_unit(f"[ -e {tmp_path}/second ] || touch {tmp_path}/go")
    following = local.run(HOST, second)
    _begin(following, local, other)
    collect(events, first)
    assert (tmp_path / "log").read_text() == "1\n2\n"


def _begin(following, local, other):
    """Hand over a unit that cannot start yet, and only then run the one that lets it."""
    import threading

    thread = threading.Thread(target=list, args=(following,))
    thread.start()
    collect(local.run(HOST, other), other)
    thread.join(20)
    assert not thread.is_alive()


def test_closing_the_events_kills_the_section_and_begins_no_other(local, tmp_path):
    unit = make_unit("echo $$; sleep 60", f"touch {tmp_path}/second")
    events = local.run(HOST, unit)
    pid = next(int(event.data) for event in events if hasattr(event, "data"))
    events.close()
    wait_until(lambda: not is_alive(pid))
    after = make_unit("echo after", lane=unit.lane)
    assert collect(local.run(HOST, after), after)[0].stdout == b"after\n"
    assert not (tmp_path / "second").exists()


def test_idle_connections_are_closed_for_everybody(local, run):
    pid = int(run("echo $PPID")[0].stdout)
    pools.close_idle(seconds=-1)
    wait_until(lambda: not is_alive(pid))
    assert run("echo again")[0].stdout == b"again\n"
