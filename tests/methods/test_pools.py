"""Pools: one connection per host, bounded, shared, closed when idle."""

import threading

import pytest

from orchestration.exceptions import HostUnreachable
from orchestration.methods.pools import Entry, Pool, close_idle
from orchestration.scripts import Host


class Line:
    """A connection that does nothing but end."""

    def __init__(self, host):
        self.host = host
        self.is_closed = False

    def close(self):
        self.is_closed = True

    def abandon(self):
        self.is_closed = True


@pytest.fixture
def pool():
    pool = Pool(Line)
    yield pool
    pool.close_idle(seconds=-1)


def enter(pool, name, patience=5):
    return pool.enter(Host(name), patience=patience)


def test_a_connection_is_kept_and_shared(pool):
    entry, line = enter(pool, "a")
    other, same = enter(pool, "a")
    assert line is same
    pool.leave(Host("a"), entry)
    pool.leave(Host("a"), other)
    assert enter(pool, "a")[1] is line
    assert len(pool) == 1


def test_a_closed_connection_is_replaced(pool):
    entry, line = enter(pool, "a")
    line.close()
    other, fresh = enter(pool, "a")
    assert fresh is not line
    pool.leave(Host("a"), entry)
    assert enter(pool, "a")[1] is fresh
    pool.leave(Host("a"), other)


def test_the_longest_unused_makes_room_and_is_closed(pool, settings):
    settings.ORCHESTRATION_POOL_SIZE = 2
    lines = []
    for name in ("a", "b", "a", "c"):
        entry, line = enter(pool, name)
        lines.append(line)
        pool.leave(Host(name), entry)
    assert [line.is_closed for line in lines] == [False, True, False, False]
    assert len(pool) == 2


def test_who_finds_all_in_use_waits_and_gets_the_first_that_is_left(pool, settings):
    settings.ORCHESTRATION_POOL_SIZE = 1
    entry, line = enter(pool, "a")
    assert enter(pool, "b", patience=0.01) is None
    got = []
    thread = threading.Thread(target=lambda: got.append(enter(pool, "b")))
    thread.start()
    pool.leave(Host("a"), entry)
    thread.join(20)
    assert got[0][1].host == Host("b")
    assert line.is_closed


def test_unused_connections_are_closed_after_a_while(pool, settings):
    settings.ORCHESTRATION_POOL_IDLE = 0
    entry, line = enter(pool, "a")
    busy, used = enter(pool, "b")
    close_idle()
    assert not line.is_closed
    pool.leave(Host("a"), entry)
    assert line.is_closed
    assert not used.is_closed
    pool.leave(Host("b"), busy)


def test_all_who_wait_for_a_connection_see_why_there_is_none():
    gate, calls = threading.Event(), []

    def connect(host):
        calls.append(host)
        gate.wait(20)
        raise HostUnreachable("nobody there")

    pool, errors = Pool(connect), []

    def work():
        try:
            while not enter(pool, "a", patience=0.05):
                pass
        except HostUnreachable as error:
            errors.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(threads) - 1 > sum(entry.users for entry in pool._entries.values()):
        pass
    gate.set()
    for thread in threads:
        thread.join(20)
    assert errors == ["nobody there"] * 4
    assert len(pool) == 0


def test_an_interrupted_connect_is_only_a_failure_for_the_others():
    def connect(host):
        raise KeyboardInterrupt

    pool = Pool(connect)
    with pytest.raises(KeyboardInterrupt):
        enter(pool, "a")
    entry = Entry()
    with pytest.raises(KeyboardInterrupt):
        pool._open(Host("a"), entry)
    with pytest.raises(HostUnreachable, match="interrupted"):
        entry.opening.result(0)


def test_another_host_key_is_another_host(pool):
    lines = [pool.enter(Host("a", host_keys=(key,)), patience=1)[1] for key in ("one", "two")]
    assert lines[0] is not lines[1]
    assert pool.enter(Host("a", host_keys=("one",), server=object()), patience=1)[1] is lines[0]


def test_a_child_starts_anew(pool):
    _, line = enter(pool, "a")
    pool.abandon()
    assert line.is_closed
    assert len(pool) == 0
