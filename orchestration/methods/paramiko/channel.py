"""Channels with paramiko: one command each, with its stdin, stdout and stderr."""

from __future__ import annotations

import select
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import paramiko

from orchestration.exceptions import ConnectionLost
from orchestration.methods.channel import STALL

if TYPE_CHECKING:
    from .link import ParamikoLink

#: Bytes that a host may send before they are read, and in one packet.
WINDOW = 2 * 1024 * 1024
PACKET = 64 * 1024
#: Bytes that are taken at once; paramiko copies them twice.
CHUNK = 256 * 1024
STDERR_KEPT = 64 * 1024
#: Seconds between two looks whether a far end that takes nothing has been stalling for too long.
LOOK = 0.5


class ParamikoChannel:
    """One command on a link, with its stdin, stdout and stderr."""

    def __init__(self, link: ParamikoLink, channel: paramiko.Channel) -> None:
        self.link, self.channel = link, channel
        self._errors = b""
        channel.settimeout(LOOK)

    def send(self, data: bytes) -> None:
        """Hand over all of ``data``; ConnectionLost when the link is gone or nothing is taken."""
        rest = memoryview(data)
        deadline = time.monotonic() + STALL
        while rest:
            sent = self._send(rest)
            if sent:
                rest, deadline = rest[sent:], time.monotonic() + STALL
            elif time.monotonic() > deadline:
                raise ConnectionLost(f"{self.link.host.name} takes no more data: the link is frozen.")

    def _send(self, data: memoryview) -> int:
        if self.link.is_closed:  # paramiko drops what is sent on a dead session, and says nothing
            raise ConnectionLost(f"The link to {self.link.host.name} is gone.")
        try:
            sent = self.channel.send(data[: PACKET // 2])  # type: ignore[arg-type]  # any buffer
        except TimeoutError:  # receive() sets the timeout of both directions
            return 0
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise ConnectionLost(f"The link to {self.link.host.name} is gone: {error}.") from error
        if sent == 0:
            raise ConnectionLost(f"The link to {self.link.host.name} is gone.")
        return sent

    def receive(self, timeout: float) -> bytes | None:
        """Return what has arrived on stdout; None: nothing within ``timeout`` seconds; empty: ended."""
        self.channel.settimeout(timeout)
        self._read_errors()
        try:
            return self.channel.recv(CHUNK)
        except TimeoutError:
            if self.link.is_frozen():
                self.link.close()
            return None
        except (OSError, EOFError, paramiko.SSHException):
            return b""

    def receive_any(self, timeout: float) -> tuple[int, bytes] | None:
        """Return a stream's number and what has arrived on it; None: nothing came; 0: both have ended."""
        self.channel.settimeout(timeout)
        if not self._await_any(timeout):
            return None
        has_ended = self.channel.eof_received or self.channel.closed
        if self.channel.recv_ready():
            return 1, self.channel.recv(CHUNK)
        if self.channel.recv_stderr_ready():
            return 2, self.channel.recv_stderr(CHUNK)
        return (0, b"") if has_ended else None

    def _await_any(self, timeout: float) -> bool:
        poll = select.poll()
        poll.register(self.channel.fileno(), select.POLLIN)
        if poll.poll(timeout * 1000):
            return True
        if self.link.is_frozen():
            self.link.close()
        return False

    def has_ended(self) -> bool:
        """Tell whether the command has ended, or the link."""
        return self.channel.exit_status_ready()

    def _read_errors(self) -> None:
        # Unread bytes of stderr would use up the window that both streams share.
        while self.channel.recv_stderr_ready():
            self._errors = (self._errors + self.channel.recv_stderr(CHUNK))[-STDERR_KEPT:]

    def stderr_text(self) -> str:
        """Return the last 64 KiB of what has arrived on stderr."""
        self._read_errors()
        return self._errors.decode(errors="replace")

    def exit_status(self) -> int | None:
        """Return the exit status of a command that has ended, waiting up to a second for it."""
        self.channel.status_event.wait(1)
        status = self.channel.exit_status
        return None if status < 0 else status

    def close(self) -> None:
        """Close the channel; the command may go on."""
        with suppress(OSError, EOFError, paramiko.SSHException):  # there may be no link left to say it on
            self.channel.close()
