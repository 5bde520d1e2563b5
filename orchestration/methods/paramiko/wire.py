"""The socket under an SSH connection: quick to answer, quick to notice that the other end is gone."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time

from orchestration.exceptions import ConnectionRefused, HostUnreachable
from orchestration.scripts import Host

#: Seconds after which data or probes that nobody acknowledged end the connection.
UNANSWERED = 30
CHUNK = 128 * 1024
_HUNG_UP = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


class Silent(OSError):
    """The far end said nothing until the deadline."""


class Wire:
    """A connected socket as paramiko needs it: reads ahead, and knows when it last heard something.

    Paramiko polls its socket ten times a second and reads each packet in two pieces. Here a read
    blocks, and takes all that has arrived: about half of the CPU time of short scripts.
    """

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._socket = connection
        self._deadline: float | None = deadline
        self._buffer = b""
        self._offset = 0
        self._closed = False
        self.heard = time.monotonic()

    def relax(self) -> None:
        """End the time in which the far end must say something: from now on it may be silent."""
        self._deadline = None

    @property
    def is_late(self) -> bool:
        """Tell whether the deadline has passed."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    @property
    def has_hung_up(self) -> bool:
        """Tell whether the far end has closed, even if the thread that reads has not seen it yet."""
        if self._closed:
            return True
        poll = select.poll()
        try:
            poll.register(self._socket, _HUNG_UP)
        except ValueError:  # another thread has closed it just now
            return True
        return bool(poll.poll(0))

    def settimeout(self, timeout: float) -> None:
        """Ignore paramiko's poll interval."""

    def recv(self, size: int) -> bytes:
        """Return up to ``size`` bytes, empty at the end. Raises Silent at the deadline."""
        if self._offset == len(self._buffer):
            self._fill()
        data = self._buffer[self._offset : self._offset + size]
        self._offset += len(data)
        return data

    def _fill(self) -> None:
        data = None
        while data is None:
            data = self._await()
        self._buffer, self._offset = data, 0
        self.heard = time.monotonic()

    def _await(self) -> bytes | None:
        """Return what has arrived; None when the deadline was lifted in the meantime."""
        if self._deadline is not None:
            self._socket.settimeout(max(self._deadline - time.monotonic(), 0.001))
        try:
            return self._socket.recv(CHUNK)
        except TimeoutError as error:
            if self.is_late:
                raise Silent(errno.ETIMEDOUT, "the far end is silent") from error
            self._socket.settimeout(None)
            return None

    def send(self, data: bytes) -> int:
        """Send some of ``data``; return how many bytes."""
        return self._socket.send(data)

    def close(self) -> None:
        """Close the connection, and wake the thread that reads it."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def give_up(self) -> None:
        """Close the connection because the far end is late."""
        self._deadline = 0.0
        self.close()

    def abandon(self) -> None:
        """Free the descriptor of a forked child; the connection of the parent goes on."""
        self._closed = True
        self._socket.close()


def dial(host: Host, deadline: float) -> Wire:
    """Connect to a host, over IPv6 or IPv4. Raises HostUnreachable or ConnectionRefused."""
    error: OSError | None = None
    addresses = _look_up(host)
    for position, (family, kind, protocol, _, address) in enumerate(addresses):
        share = (deadline - time.monotonic()) / (len(addresses) - position)
        try:
            return Wire(_open(socket.socket(family, kind, protocol), address, share), deadline)
        except OSError as trouble:
            error = trouble
    raise _explain(host, error) from error


def _look_up(host: Host) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
    try:
        found = socket.getaddrinfo(host.address, host.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        message = f"The address '{host.address}' of {host.name} is unknown: check it, or the name service."
        raise HostUnreachable(message) from error
    return [tuple(entry) for entry in found]  # type: ignore[misc]  # typeshed: family is an enum


def _open(connection: socket.socket, address: tuple[object, ...], seconds: float) -> socket.socket:
    try:
        _tune(connection)
        connection.settimeout(max(seconds, 0.001))
        connection.connect(address)
    except BaseException:  # whatever it is, the descriptor must not stay open
        connection.close()
        raise
    return connection


def _tune(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in {
        "TCP_KEEPIDLE": 10,
        "TCP_KEEPINTVL": 5,
        "TCP_KEEPCNT": 4,
        "TCP_USER_TIMEOUT": UNANSWERED * 1000,
    }.items():
        if option := getattr(socket, name, None):  # not every platform has them
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _explain(host: Host, error: OSError | None) -> HostUnreachable | ConnectionRefused:
    place = f"{host.name} ({host.address}:{host.port})"
    if isinstance(error, ConnectionRefusedError):
        return ConnectionRefused(f"{place} refuses connections: is sshd running, and is the port right?")
    reason = "it did not answer in time" if isinstance(error, TimeoutError) else f"{error}"
    return HostUnreachable(f"{place} cannot be reached: {reason}. Is it up, and no firewall in between?")
