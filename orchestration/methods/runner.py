"""The client of the runner: a connection on which several threads run units at the same time."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

from orchestration.exceptions import (
    CannotStart,
    ConnectionFailed,
    ConnectionLost,
    ConnectTimeout,
    HostUnreachable,
    NoPython,
)
from orchestration.scripts import Event, Host, Tick, Unit
from orchestration.settings import options

from . import bundle
from .agent.frames import BadFrame, take_frame
from .channel import Link, Transport
from .exchange import Exchange, encode
from .pools import Connection, Pool

L = TypeVar("L", bound=Link)

#: Seconds between two ticks.
TICK = 5.0
#: Seconds after which a silent connection is asked before it is used, and that it has to answer.
DOUBT, ANSWER = 10.0, 5.0
#: Seconds between two signs of life while a unit runs; the runner leaves after ten minutes without.
ALIVE = 60.0
#: Bytes sent between two ticks: a second or so on a slow link.
PIECE = 256 * 1024
#: Bytes of noise (messages of the day) accepted before the runner's hello.
NOISE = 1 << 20
#: What shells say when there is no such program, and the runner when its Python is too old.
NOT_FOUND = 127


class RunnerMethod(Generic[L]):
    """Runs units through a runner at the far end.

    A transport says how to get there, and ``fallback`` what to do on a host without python3.
    """

    def __init__(
        self, transport: Transport[L], *, fallback: Callable[[Host, L], Connection] | None = None
    ) -> None:
        self._transport = transport
        self._fallback = fallback
        self.pool = Pool(self._connect)

    def run(self, host: Host, unit: Unit) -> Iterator[Event]:
        """Run the jobs of a unit; see ``methods.Method``. A dead connection is replaced, once."""
        for is_last in (False, True):
            while not (entered := self.pool.enter(host, patience=TICK)):
                yield Tick()
            entry, connection = entered
            try:
                yield from connection.run(unit)
                return
            except ConnectionFailed:
                if is_last or not connection.is_closed:
                    raise
            finally:
                self.pool.leave(host, entry)

    def _connect(self, host: Host) -> Connection:
        link = self._transport.connect(host)
        try:
            return RunnerConnection(host, link)
        except NoPython:
            if self._fallback:
                return self._fallback(host, link)
            link.close()
            raise
        except BaseException:
            link.close()
            raise


class RunnerConnection:
    """A runner at the far end. Of the threads that wait for it, one reads for all."""

    def __init__(self, host: Host, link: Link) -> None:
        self._name, self._link = host.name, link
        self._exchanges: dict[bytes, Exchange] = {}
        self._received = bytearray()
        self._sending, self._turn = threading.Lock(), threading.Condition()
        self._is_read = self._is_closed = False
        nonce = secrets.token_hex(16)
        self._channel = link.open(bundle.command(nonce, sudo=host.sudo))
        try:
            self._await_hello(f"hello 0 {nonce} ".encode())
        except BaseException:
            self._channel.close()
            raise
        self._heard = self._sent = time.monotonic()

    @property
    def is_closed(self) -> bool:
        """Tell whether the runner is gone."""
        return self._is_closed

    def run(self, unit: Unit) -> Iterator[Event]:
        """Run a unit; see ``methods.Method``."""
        exchange = Exchange(unit)
        try:
            yield from self._hand_over(exchange)
            is_over = False
            while not is_over:
                if not self._wait(exchange.has_news, TICK):
                    self._stay_alive()
                    yield Tick()
                is_over = exchange.is_over  # asked first: another thread may be reading the end just now
                yield from exchange.take()
                if self._is_closed and not exchange.has_news():
                    raise ConnectionLost(
                        f"The connection to {self._name} was cut; how it ended there is unknown."
                    )
        finally:
            self._forget(exchange)

    def close(self) -> None:
        """End the runner, and the link below; running sections finish."""
        self._is_closed = True
        self._channel.close()
        self._link.close()

    def abandon(self) -> None:
        """Let go in a forked child."""
        self._is_closed = True
        self._link.abandon()

    # Beginning

    def _await_hello(self, hello: bytes) -> None:
        """Skip what the login prints until the runner says hello."""
        deadline = time.monotonic() + options.CONNECT_TIMEOUT
        while hello not in self._received or not self._received.endswith(b"\n"):
            data = self._channel.receive(max(0.0, deadline - time.monotonic()))
            if not data or len(self._received) > NOISE:
                raise self._no_hello(data)
            self._received += data
        self._received.clear()

    def _no_hello(self, data: bytes | None) -> Exception:
        """Return the error that says why there was no hello."""
        if data is None:
            return ConnectTimeout(
                f"{self._name} let us in, and then nothing happened: is its login shell stuck?"
            )
        if data:
            return CannotStart(
                f"The login shell of {self._name} prints without end, so nothing can run there."
            )
        said, status = self._channel.stderr_text().strip(), self._channel.exit_status()
        if status == NOT_FOUND or "python3: command not found" in said:
            return NoPython(f"{self._name} has no python3 of version 3.8 or later.")
        if status is None:
            return HostUnreachable(f"The connection to {self._name} was cut before the script was sent.")
        return CannotStart(f"The runner does not start on {self._name}: {said or 'it says nothing'}")

    # Sending

    def _hand_over(self, exchange: Exchange) -> Iterator[Tick]:
        """Send a unit. Raises HostUnreachable when certainly not all of it went out."""
        data = encode(exchange.unit)
        if not self._is_usable():
            raise self._not_sent()
        with self._turn:
            self._exchanges.update(dict.fromkeys(exchange.keys, exchange))
        try:
            yield from self._send_in_pieces(data)
        except ConnectionLost as error:
            raise self._not_sent() from error

    def _send_in_pieces(self, data: bytes) -> Iterator[Tick]:
        """Send what may take minutes on a slow link, or wait for others who do."""
        while not self._sending.acquire(timeout=TICK):
            yield Tick()
        try:
            for start in range(0, len(data), PIECE):
                if start:
                    yield Tick()
                self._channel.send(data[start : start + PIECE])
        except BaseException:  # also when nobody wants the rest: nothing can follow half a frame
            self.close()
            raise
        finally:
            self._sent = time.monotonic()
            self._sending.release()

    def _not_sent(self) -> HostUnreachable:
        return HostUnreachable(f"The connection to {self._name} was cut before the script was sent.")

    def _send(self, data: bytes) -> None:
        with self._sending:
            self._sent = time.monotonic()
            try:
                self._channel.send(data)
            except ConnectionLost:
                self.close()
                raise

    def _is_usable(self) -> bool:
        """Tell whether the runner is there; ask it when it was silent for long."""
        with self._turn:
            if not (self._is_closed or self._is_read):
                self._read(0)
        asked = time.monotonic()
        if self._is_closed or self._sending.locked() or asked - self._heard < DOUBT:
            return not self._is_closed
        try:
            self._send(b"alive 0\n")
        except ConnectionLost:
            return False
        if not self._wait(lambda: self._heard >= asked, ANSWER):
            self.close()
        return not self._is_closed

    def _stay_alive(self) -> None:
        """Show the runner, and every firewall on the way, that somebody still waits."""
        if time.monotonic() - self._sent > ALIVE and not self._sending.locked():
            self._send(b"alive 0\n")

    def _forget(self, exchange: Exchange) -> None:
        """Drop an exchange; what still runs of it is cancelled."""
        with self._turn:
            for key in exchange.keys:
                self._exchanges.pop(key, None)
        if not exchange.is_over and not self._is_closed:
            with suppress(ConnectionLost):
                self._send(f"cancel 0 {exchange.unit.id}\n".encode())

    # Receiving

    def _wait(self, is_ready: Callable[[], bool], patience: float) -> bool:
        """Wait until something is true or the connection has ended; false when it took too long."""
        deadline = time.monotonic() + patience
        with self._turn:
            while not (is_ready() or self._is_closed):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                if self._is_read:
                    self._turn.wait(left)
                else:
                    self._read(left)
        return True

    def _read(self, patience: float) -> None:
        """Read for all threads that wait; the lock is free meanwhile."""
        self._is_read = True
        self._turn.release()
        data = None
        try:
            data = self._channel.receive(patience)
        finally:
            self._turn.acquire()
            self._is_read = False
            self._note(data)
            self._turn.notify_all()

    def _note(self, data: bytes | None) -> None:
        """Give what has arrived to those whom it concerns."""
        if data is None:
            return
        self._heard = time.monotonic()
        self._received += data
        try:
            while frame := take_frame(self._received):
                (name, _, *words), body = frame
                exchange = self._exchanges.get(words[0]) if words else None
                if exchange:
                    exchange.receive(name, words, body)
        except (BadFrame, LookupError, ValueError):  # the runner never says such things
            data = b""
        if not data:
            self.close()
