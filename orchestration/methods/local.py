"""The method Local: scripts run on this machine, by a runner that is a child of this process."""

from __future__ import annotations

import atexit
import os
import select
import socket
import subprocess
from contextlib import suppress
from typing import IO

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
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  the command is ours
                ["/bin/sh", "-c", command],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                env={name: os.environ[name] for name in VARIABLES if name in os.environ},
                start_new_session=True,  # out of reach of a Ctrl-C that is meant for the development server
            )
        _running.append(self)
        os.set_blocking(self._errors.fileno(), False)
        self._socket.settimeout(STALL)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    @property
    def _errors(self) -> IO[bytes]:
        assert self._process.stderr is not None
        return self._process.stderr

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

    def abandon(self) -> None:
        """Free the descriptors, and forget the process without waiting for it."""
        self._process.returncode = 0
        self._free()

    def stderr_text(self) -> str:
        """Return what has arrived on stderr."""
        with suppress(OSError, ValueError):
            return os.read(self._errors.fileno(), CHUNK).decode(errors="replace")
        return ""

    def exit_status(self) -> int | None:
        """Return the exit status, once the process has ended."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(END)
        return None

    def has_ended(self) -> bool:
        """Tell whether the process has ended; then it leaves no zombie."""
        return self._process.poll() is not None

    def _free(self) -> None:
        self._socket.close()
        self._errors.close()


def _collect() -> None:
    """Collect the runners that were let go and have finished their sections since."""
    _running[:] = [channel for channel in list(_running) if not channel.has_ended()]


def _let_go() -> None:
    """Leave the runners to themselves when this process ends: they finish their sections."""
    for channel in _running:
        channel.abandon()


_running: list[LocalChannel] = []
atexit.register(_let_go)
