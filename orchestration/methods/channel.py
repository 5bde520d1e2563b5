"""What a transport offers to the runner's client: a link to a host, and channels of bytes on it."""

from __future__ import annotations

from typing import Protocol, TypeVar

from orchestration.scripts import Host

#: Seconds after which a far end that takes no bytes counts as gone.
STALL = 30.0


class Channel(Protocol):
    """One command that runs at the far end, with its stdin and stdout."""

    def send(self, data: bytes) -> None:
        """Hand over all of ``data``.

        Raises ConnectionLost when the link is gone or the far end took nothing for STALL seconds; then
        the last byte was certainly not handed over. One thread sends at a time, while others receive.
        """

    def receive(self, timeout: float) -> bytes | None:
        """Return what has arrived on stdout, waiting up to ``timeout`` seconds (0: do not wait).

        None: nothing arrived. Empty: the command or the link has ended, and all that came was returned.
        """

    def close(self) -> None:
        """Close the channel; may be called twice, and while another thread waits in ``receive``."""

    def stderr_text(self) -> str:
        """Return what has arrived on stderr so far (its last 64 KiB), for messages to people."""

    def exit_status(self) -> int | None:
        """Return the command's exit status once it has ended (waits up to a second); None: unknown."""


class Link(Protocol):
    """A connection to a host: logged in, host key checked."""

    def open(self, command: str) -> Channel:
        """Run a command in the login shell of the host.

        Raises ConnectionFailed when the link is gone or the host grants no further channel.
        """

    def close(self) -> None:
        """Close the link and all of its channels."""

    def abandon(self) -> None:
        """Let go of the link in a forked child: free its descriptor and say nothing on it."""


L_co = TypeVar("L_co", bound=Link, covariant=True)


class Transport(Protocol[L_co]):
    """A way to reach hosts. One instance serves all threads."""

    def connect(self, host: Host) -> L_co:
        """Connect and log in, within ``options.CONNECT_TIMEOUT`` seconds in all.

        Raises the subclass of ConnectionFailed that says why not.
        """
