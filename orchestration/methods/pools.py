"""Pools: connections that outlive a script, one for each host, shared by the threads of a process."""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Protocol

from orchestration.exceptions import HostUnreachable
from orchestration.scripts import Event, Host, Unit
from orchestration.settings import options


class Connection(Protocol):
    """What a pool keeps: a way to run units on one host, for several threads at the same time."""

    @property
    def is_closed(self) -> bool:
        """Tell whether it has ended."""

    def run(self, unit: Unit) -> Iterator[Event]:
        """Run a unit. Raises ConnectionFailed only when certainly nothing of it ran."""

    def close(self) -> None:
        """End it, and the link below; may be called twice."""

    def abandon(self) -> None:
        """Let go of it in a forked child, saying nothing on the link."""


class Entry:
    """The place of one host in a pool: its connection, as soon as there is one, and how many use it."""

    def __init__(self) -> None:
        self.opening: Future[Connection] = Future()
        #: What ``opening`` comes to, without its locks: they cost time, and a fork may leave them locked.
        self.connection: Connection | None = None
        self.has_failed = False
        self.users = 0
        self.used = time.monotonic()

    @property
    def is_useless(self) -> bool:
        """Tell whether connecting has failed, or the connection has ended."""
        return self.has_failed or (self.connection is not None and self.connection.is_closed)

    def fail(self, error: Exception) -> None:
        """Tell all who wait that there will be no connection."""
        self.has_failed = True
        self.opening.set_exception(error)


class Pool:
    """At most ``options.POOL_SIZE`` connections; one unused for ``options.POOL_IDLE`` seconds is closed."""

    def __init__(self, connect: Callable[[Host], Connection]) -> None:
        self._connect = connect
        self._changed = threading.Condition()
        #: Least recently used first.
        self._entries: OrderedDict[Host, Entry] = OrderedDict()
        self._discarded: list[Entry] = []
        _pools.add(self)

    def __len__(self) -> int:
        return len(self._entries)

    def enter(self, host: Host, *, patience: float) -> tuple[Entry, Connection] | None:
        """Return the connection to a host, opened when there is none, and its entry, which must be left.

        None: for ``patience`` seconds the pool was full of connections in use, or another thread was
        connecting. Raises what connecting raises, in every thread that waits for it.
        """
        entry, is_new = self._reserve(host, patience)
        self._close_discarded()
        if entry is None:
            return None
        try:
            if is_new:
                self._open(host, entry)
            return entry, entry.opening.result(patience)
        except BaseException as error:
            self.leave(host, entry)
            if isinstance(error, TimeoutError):
                return None
            raise

    def leave(self, host: Host, entry: Entry) -> None:
        """Give a connection back; one that has ended makes room for a new one."""
        with self._changed:
            entry.users -= 1
            entry.used = time.monotonic()
            if self._entries.get(host) is entry:
                self._entries.move_to_end(host)
                if entry.is_useless:
                    self._discard(host)
            self._changed.notify_all()
        self.close_idle()

    def close_idle(self, *, seconds: float | None = None) -> None:
        """Close the connections that nobody has used for some time (None: ``options.POOL_IDLE``)."""
        oldest = time.monotonic() - (options.POOL_IDLE if seconds is None else seconds)
        with self._changed:
            for host in self._unused_since(oldest):
                self._discard(host)
        self._close_discarded()

    def _unused_since(self, oldest: float) -> list[Host]:
        """Return the hosts whose connection nobody has used since; most often that is one look."""
        old = itertools.takewhile(lambda item: item[1].used <= oldest, self._entries.items())
        return [host for host, entry in old if not entry.users]

    def abandon(self) -> None:
        """Start anew in a forked child: the connections belong to the parent."""
        entries = [*self._entries.values(), *self._discarded]
        self._changed = threading.Condition()
        self._entries, self._discarded = OrderedDict(), []
        for entry in entries:
            if entry.connection:
                entry.connection.abandon()

    def _reserve(self, host: Host, patience: float) -> tuple[Entry | None, bool]:
        """Return the entry of a host, with one more user, and whether it is new."""
        with self._changed:
            self._changed.wait_for(lambda: self._find(host) or self._has_room(), patience)
            entry = self._find(host)
            is_new = entry is None and self._has_room()
            if is_new:
                entry = self._add(host)
            if entry:
                entry.users += 1
            return entry, is_new

    def _find(self, host: Host) -> Entry | None:
        entry = self._entries.get(host)
        return None if entry is None or entry.is_useless else entry

    def _has_room(self) -> bool:
        return len(self._entries) < options.POOL_SIZE or not all(e.users for e in self._entries.values())

    def _add(self, host: Host) -> Entry:
        if host in self._entries:
            self._discard(host)
        if len(self._entries) >= options.POOL_SIZE:
            self._discard(next(host for host, entry in self._entries.items() if not entry.users))
        entry = self._entries[host] = Entry()
        return entry

    def _discard(self, host: Host) -> None:
        self._discarded.append(self._entries.pop(host))

    def _close_discarded(self) -> None:
        with self._changed:
            discarded, self._discarded = self._discarded, []
        for entry in discarded:
            if entry.connection:
                entry.connection.close()

    def _open(self, host: Host, entry: Entry) -> None:
        try:
            entry.connection = self._connect(host)
        except Exception as error:
            entry.fail(error)
            raise
        except BaseException:  # a Ctrl-C in this thread is none in those that wait
            entry.fail(HostUnreachable(f"Connecting to {host.name} was interrupted."))
            raise
        entry.opening.set_result(entry.connection)


def close_idle(*, seconds: float | None = None) -> None:
    """Close the unused connections of all pools of this process (None: ``options.POOL_IDLE``)."""
    for pool in list(_pools):
        pool.close_idle(seconds=seconds)


def _abandon() -> None:
    for pool in list(_pools):
        pool.abandon()


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
os.register_at_fork(after_in_child=_abandon)
