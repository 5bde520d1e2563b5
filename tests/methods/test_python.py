"""Python calls: what they are given, what they print, how they end."""

import sys
import threading

import pytest
from django.contrib.auth.models import Group

from orchestration import calls
from orchestration.methods import python
from orchestration.methods.python import Python
from orchestration.scripts import Call, Host, Started

from .units import collect, make_job, make_unit, wait_until

SERVER = object()
HOST = Host("here", server=SERVER)
SEEN: list[tuple] = []
GATE = threading.Event()


def remember(*args):
    SEEN.append(args)


def give(value, server):
    return value


def give_thread(server):
    return threading.current_thread()


def count_groups(server):
    return Group.objects.count()


def say(text, server):
    print(text)
    print("to stderr", file=sys.stderr)


def say_without_newline(server):
    print("no newline", end="", flush=True)
    sys.stdout.buffer.write(b"\xff\x00")


def say_much(server):
    for number in range(10000):
        print(number)


def fail(server):
    print("before")
    raise ValueError("this is why")


def leave(code, server):
    sys.exit(code)


def wait(server):
    print("waiting")
    GATE.wait(20)
    print("too late")


def wait_talking(server):
    while not GATE.wait(0.05):
        print("still here")


@pytest.fixture(autouse=True)
def _fresh():
    SEEN.clear()
    GATE.clear()
    yield
    GATE.set()
    wait_until(lambda: not _calling())


def _calling():
    return [thread for thread in threading.enumerate() if thread.name.startswith("orchestration-call")]


def make_calls(*commands, **fields):
    """Return a job that calls functions: (function, argument …) each."""
    return make_job(calls=tuple(calls.encode(function, args) for function, *args in commands), **fields)


def run(*jobs, **fields):
    unit = make_unit(*jobs, **fields)
    return collect(Python().run(HOST, unit), unit)


def test_a_function_gets_its_arguments_and_then_the_server():
    assert run(make_calls((remember, "a", 1), (remember,)))[0].done.is_success
    assert SEEN == [("a", 1, SERVER), (SERVER,)]


def test_what_it_prints_is_its_output_and_nobody_else_s(capsys):
    results = run(make_calls((say, "hello ü")))
    assert (results[0].stdout.decode(), results[0].stderr) == ("hello ü\n", b"to stderr\n")
    assert results[0].done.stdout_size == len(results[0].stdout)
    print("outside")
    assert capsys.readouterr().out == "outside\n"


def test_prints_of_other_threads_stay_where_they_were(capsys):
    unit = make_unit(make_calls((wait,)))
    events = Python().run(HOST, unit)
    assert isinstance(next(events), Started)
    assert next(events).data == b"waiting\n"
    print("from outside")
    GATE.set()
    assert next(events).data == b"too late\n"
    assert next(events).is_success
    assert capsys.readouterr().out == "from outside\n"
    assert type(sys.stdout).__name__ != "Divided"


def test_calls_at_the_same_time_print_apart():
    results = {}

    def work(text):
        results[text] = run(make_calls(*[(say, text)] * 20))[0].stdout.decode()

    threads = [threading.Thread(target=work, args=(text,)) for text in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == {text: f"{text}\n" * 20 for text in "abcd"}


def test_the_last_line_and_raw_bytes_arrive():
    assert run(make_calls((say_without_newline,)))[0].stdout == b"no newline\xff\x00"


def test_long_output_is_cut_as_that_of_a_script():
    whole = "".join(f"{number}\n" for number in range(10000)).encode()
    result = run(make_calls((say_much,)), cap=100, tail=10)[0]
    assert (result.stdout, result.done.stdout_tail) == (whole[:100], whole[-10:])
    assert result.done.stdout_size == len(whole)


def test_an_exception_is_a_failure_with_its_traceback_and_ends_the_job():
    first = make_calls((fail,), (remember, "never"))
    results = run(first, make_calls((remember, "never"), needs=(first.id,)), make_calls((remember, "other")))
    assert results[0].done.status == 1
    assert "ValueError: this is why" in results[0].done.traceback
    assert results[0].stdout == b"before\n"
    assert results[1].done.skipped == first.id
    assert SEEN == [("other", SERVER)]


@pytest.mark.parametrize(("code", "status"), [(0, 0), (3, 3), ("a message", 1), (None, 0)])
def test_an_exit_is_an_exit_status(code, status):
    assert run(make_calls((leave, code)))[0].done.status == status


def test_results_are_kept_by_function():
    results = run(make_calls((give, 1), (give, {"a": [2]}), (give, None), (give_thread,)))[0].done.results
    kept = list(results.values())
    assert kept[0] == [1, {"a": [2]}]
    assert "Thread" in kept[1][0]


def test_a_function_that_is_gone_is_an_error_and_calls_nothing():
    job = make_job(calls=(calls.encode(remember, ()), Call("tests.methods.test_python.gone", "[]")))
    done = run(job)[0].done
    assert "gone" in done.error
    assert done.status is None
    assert not SEEN


def test_ticks_come_while_a_call_is_silent(monkeypatch):
    monkeypatch.setattr(python, "TICK", 0.01)
    threading.Timer(0.3, GATE.set).start()
    results = run(make_calls((wait,)))
    assert results.ticks > 5
    assert results[0].done.is_success


def test_a_call_that_is_silent_for_too_long_is_left_to_itself():
    done = run(make_calls((wait,), (remember, "never"), idle=0.1))[0].done
    assert (done.limit, done.status) == ("idle", None)
    assert done.notes == ("The call cannot be killed and goes on.",)
    assert done.stdout_size == len("waiting\n")
    GATE.set()
    wait_until(lambda: not _calling())
    assert not SEEN


def test_a_call_that_talks_for_too_long_is_left_to_itself():
    assert run(make_calls((wait_talking,), idle=10, total=0.3))[0].done.limit == "total"


def test_nothing_more_is_called_when_nobody_follows():
    events = Python().run(HOST, make_unit(make_calls((wait,), (remember, "never"))))
    next(events)
    next(events)
    events.close()
    GATE.set()
    wait_until(lambda: not _calling())
    assert not SEEN


@pytest.mark.django_db
def test_calls_of_a_test_case_see_what_it_has_not_committed():
    Group.objects.create(name="uncommitted")
    done = run(make_calls((count_groups,), (fail,)))[0].done
    assert (done.status, list(done.results.values())) == (1, [[1]])
    assert "this is why" in done.traceback
    assert Group.objects.count() == 1
