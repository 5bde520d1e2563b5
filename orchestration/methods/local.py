"""The method Local: scripts run on this machine, by a runner that is a child of this process."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from contextlib import suppress

from orchestration.exceptions import ConnectionLost, HostUnreachable
from orchestration.scripts import Host

from .channel import STALL
from .runner import RunnerMethod

CHUNK = 65536
#: What a login has in its environment; the secrets of the web process are none of a script's business.
VARIABLES = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER")
#: Seconds that a process has to end after it closed its stdout.
END = 1.0


class LocalTransport:
    """The way to this machine."""

    def connect(self, host: Host) -> LocalLink:
        """Return a link; there is nothing to connect."""
        return LocalLink()


class LocalLink:
    """A link to this machine: each channel is a process."""

    def __init__(self) -> None:
        self._channels: list[LocalChannel] = []

    def open(self, command: str) -> LocalChannel:
        """Run a command as a login would: in the home directory, with a plain environment."""
        try:
            channel = LocalChannel(f"cd 2>/dev/null; {command}")
        except OSError as error:
            raise HostUnreachable(f"No process can be started on this machine: {error.strerror}.") from error
        self._channels.append(channel)
        return channel

    def close(self) -> None:
        """Close all channels."""
        for channel in self._channels:
            channel.close()

    def abandon(self) -> None:
        """Free the descriptors; the processes are the parent's."""
        for channel in self._channels:
            channel.abandon()


class Local(RunnerMethod[LocalLink]):
    """Run scripts on this machine, as the user of this process (or as root, by sudo)."""

    def __init__(self) -> None:
        super().__init__(LocalTransport())


class LocalChannel:
    """A process with a socket as its stdin and stdout."""

    def __init__(self, command: str) -> None:
        _collect()
        self._status: int | None = None
        self._socket, theirs = socket.socketpair()
        self._errors, errors = os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), number) for number in (0, 1)]
        actions.append((os.POSIX_SPAWN_DUP2, errors, 2))
        environment = {name: os.environ[name] for name in VARIABLES if name in os.environ}
        try:
            self._pid = os.posix_spawn(
                "/bin/sh", ["sh", "-c", command], environment, file_actions=actions, setsid=True
            )
        except OSError:
            self._free()
            raise
        finally:
            theirs.close()
            os.close(errors)
        _running.append(self)
        self._socket.settimeout(STALL)
        os.set_blocking(self._errors, False)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def send(self, data: bytes) -> None:
        """Hand over all of the data."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._socket.send(rest) :]
        except OSError as error:
            raise ConnectionLost("The runner on this machine is gone.") from error

    def receive(self, timeout: float) -> bytes | None:
        """Return what has arrived."""
        if not self._poll.poll(timeout * 1000):
            return None
        try:
            return self._socket.recv(CHUNK)
        except OSError:
            return b""

    def close(self) -> None:
        """Close the socket: the runner leaves when its sections have ended."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes up who waits in receive
        self._free()
        self.is_ended()

    def abandon(self) -> None:
        """Free the descriptors and forget the process, which is the parent's."""
        self._status = -1
        self._free()

    def stderr_text(self) -> str:
        """Return what has arrived on stderr."""
        try:
            return os.read(self._errors, CHUNK).decode(errors="replace")
        except OSError:
            return ""

    def exit_status(self) -> int | None:
        """Return the exit status, once the process has ended."""
        deadline = time.monotonic() + END
        while not self.is_ended() and time.monotonic() < deadline:
            time.sleep(END / 200)
        return self._status

    def is_ended(self) -> bool:
        """Collect the process when it has ended, so that it leaves no zombie."""
        with _collecting:
            if self._status is None and (ended := os.waitpid(self._pid, os.WNOHANG))[0]:
                self._status = os.waitstatus_to_exitcode(ended[1])
        return self._status is not None

    def _free(self) -> None:
        self._socket.close()
        if self._errors >= 0:
            os.close(self._errors)
            self._errors = -1


def _collect() -> None:
    """Collect runners that were let go, and finished a section since."""
    _running[:] = [channel for channel in list(_running) if not channel.is_ended()]


_collecting = threading.Lock()
_running: list[LocalChannel] = []
