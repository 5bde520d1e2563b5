"""The executor of a process: daemon threads that drain lanes, and one that looks for forgotten work."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections, connections

from orchestration import lanes as queues
from orchestration.methods import pools
from orchestration.settings import options

logger = logging.getLogger(__name__)
#: Seconds after which a thread without work ends.
IDLE = 10.0
#: Seconds that the end of the process waits for scripts that run.
FAREWELL = 30.0


class Threads:
    """A bounded pool; each lane is drained by one thread of it at a time."""

    def __init__(self) -> None:
        self._begin()
        atexit.register(self.stop)
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        """Start from nothing: in a forked child the threads of the parent do not exist."""
        self._lock = threading.Lock()
        self._has_work = threading.Condition(self._lock)
        self._has_alarm = threading.Condition(self._lock)
        self._stopping = False
        self._queue: deque[int] = deque()
        #: Lanes to be tried again: they get half of the threads, for those may wait long for dead servers.
        self._retries: deque[int] = deque()
        #: Lanes whose last try failed, and how many of them are drained now.
        self._troubled: set[int] = set()
        self._retrying = 0
        #: Lanes that wait in a queue or are drained now; True: drain once more afterwards.
        self._known: dict[int, bool] = {}
        #: When lanes shall be woken, on the monotonic clock of this process.
        self._alarms: dict[int, float] = {}
        self._workers: set[threading.Thread] = set()
        self._idle = 0
        self._watcher: threading.Thread | None = None

    def wake(self, lanes: Iterable[int]) -> None:
        """Have lanes drained by threads of this process."""
        with self._lock:
            self._stopping = False
            for lane in lanes:
                self._enqueue(lane)
        self.start()

    def start(self) -> None:
        """Start the thread that looks for work which nobody announced."""
        with self._lock:
            if self._watcher is None and not self._stopping:
                self._watcher = self._run(self._watch, "orchestration-watch")

    def stop(self, seconds: float = FAREWELL) -> None:
        """Start no further script; wait up to ``seconds`` for those that run."""
        deadline = time.monotonic() + seconds
        with self._lock:
            self._stopping = True
            for queue in (self._queue, self._retries):
                while queue:
                    del self._known[queue.pop()]
            self._alarms.clear()
            self._has_work.notify_all()
            self._has_alarm.notify_all()
            threads = [*self._workers, *([self._watcher] if self._watcher else [])]
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))
        if any(thread.is_alive() for thread in threads):
            logger.warning("Scripts still run after %g seconds: their end will not be seen.", seconds)

    def _enqueue(self, lane: int) -> None:
        """Put a lane in its queue, once; called with the lock held."""
        self._alarms.pop(lane, None)
        if lane in self._known:
            self._known[lane] = True
            return
        if self._idle <= self._ready and len(self._workers) < options.DRAIN_THREADS:
            self._hire()
        if self._workers:  # else the watcher tries again
            self._known[lane] = False
            (self._retries if lane in self._troubled else self._queue).append(lane)
            self._has_work.notify()

    @property
    def _ready(self) -> int:
        """Return how many lanes could be drained now."""
        room = max(options.DRAIN_THREADS // 2, 1) - self._retrying
        return len(self._queue) + max(min(len(self._retries), room), 0)

    def _hire(self) -> None:
        """Start one more thread that drains."""
        if worker := self._run(self._work, "orchestration-drain"):
            self._workers.add(worker)

    def _run(self, target: Callable[[], None], name: str) -> threading.Thread | None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no room for it, or the interpreter ends
            logger.warning("Scripts wait for a thread: %s", error)
            return None
        return thread

    # What drains

    def _work(self) -> None:
        """Drain lanes until there has been nothing to do for a while."""
        try:
            while (lane := self._next()) is not None:
                rest = self._drain(lane)
                self._settle(lane, rest)
        finally:
            connections.close_all()

    def _next(self) -> int | None:
        """Return the next lane; None, and this thread counts no more, when none comes."""
        with self._lock:
            self._idle += 1
            self._has_work.wait_for(lambda: self._ready or self._stopping, IDLE)
            self._idle -= 1
            if self._queue:
                return self._queue.popleft()
            if self._ready:
                self._retrying += 1
                return self._retries.popleft()
            self._workers.discard(threading.current_thread())
            return None

    def _drain(self, lane: int) -> queues.Rest:
        """Drain a lane; whatever breaks must not end the thread, and the watcher tries again."""
        try:
            return queues.drain(lane, stop=lambda: self._stopping)
        except (OperationalError, InterfaceError) as error:
            logger.warning("Lane %s waits for the database: %s", lane, error)
        except BaseException:  # no Ctrl-C comes here, but a method may call sys.exit()
            logger.exception("Lane %s could not be drained.", lane)
        finally:
            _let_go_of_databases()
        return queues.Rest()

    def _settle(self, lane: int, rest: queues.Rest) -> None:
        """Queue what is due now, the lane itself behind all others, and set an alarm for what is not."""
        with self._lock:
            is_woken = self._known.pop(lane)
            self._note(lane, is_troubled=rest.is_troubled)
            if self._stopping:
                return
            for other in rest.wake:
                self._enqueue(other)
            if is_woken or rest.again == 0:
                self._enqueue(lane)
            elif rest.again is not None:
                self._alarms[lane] = time.monotonic() + rest.again
                self._has_alarm.notify()

    def _note(self, lane: int, *, is_troubled: bool) -> None:
        """Remember whether a drained lane is in trouble; called with the lock held."""
        if lane in self._troubled:
            self._retrying -= 1
            self._has_work.notify()
        (self._troubled.add if is_troubled else self._troubled.discard)(lane)

    # What looks for work that nobody announced

    def _watch(self) -> None:
        """Wake lanes at their time, and those that were left alone."""
        next_look = time.monotonic()
        while self._sleep(next_look):
            if time.monotonic() >= next_look:
                self._look()
                next_look = time.monotonic() + options.POLL
        connections.close_all()

    def _sleep(self, next_look: float) -> bool:
        """Wait for the next alarm or look, and queue the lanes whose time has come; False: stop."""
        with self._lock:
            until = min([next_look, *self._alarms.values()])
            self._has_alarm.wait(max(until - time.monotonic(), 0))
            if self._stopping:
                self._watcher = None
                return False
            now = time.monotonic()
            for lane in [lane for lane, moment in self._alarms.items() if moment <= now]:
                self._enqueue(lane)
            return True

    def _look(self) -> None:
        for lane in self._due():
            with self._lock:
                if not self._stopping:
                    self._enqueue(lane)
        pools.close_idle()

    def _due(self) -> list[int]:
        """Return the lanes that were left alone; whatever breaks must not end the watcher."""
        try:
            return queues.due()
        except (DatabaseError, InterfaceError) as error:
            # It is away, or has no tables yet: the next look may find it back.
            logger.warning("Could not look for scripts that were left alone: %s", error)
        except Exception:
            logger.exception("Could not look for scripts that were left alone.")
        finally:
            _let_go_of_databases()
        return []


def _let_go_of_databases() -> None:
    """Close the connections that shall not be kept; one that is broken may refuse even that."""
    try:
        close_old_connections()
    except Exception as error:  # noqa: BLE001  drivers raise errors of their own
        logger.warning("A connection to the database could not be closed: %s", error)
