"""Connections with paramiko: logged in, host key checked; and the channels on them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import paramiko

from orchestration.exceptions import (
    ConnectionFailed,
    ConnectTimeout,
    LoginFailed,
    OrchestrationError,
)
from orchestration.scripts import Host
from orchestration.settings import options

from . import keys, login
from .channel import PACKET, WINDOW, ParamikoChannel
from .wire import Wire, dial

#: Fast and modern first; what is missing here (cbc, 3des, md5, sha1) is never used.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
EXCHANGES = (
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group14-sha256",
)
#: Seconds of silence, with somebody waiting, after which the far end is asked for a sign of life; as
#: many again without one, and it counts as gone.
SILENCE = 15.0
LOGGER = "orchestration.paramiko"

# Whatever paramiko would log as an error reaches the caller as one; a debug level may still be set.
logging.getLogger(LOGGER).setLevel(logging.CRITICAL)


class Session(paramiko.Transport):
    """Paramiko's transport, with our order of algorithms."""

    def __init__(self, wire: Wire, host_key_algorithms: tuple[str, ...]) -> None:
        super().__init__(wire)  # type: ignore[arg-type]  # the few methods of a socket that it calls
        self.set_log_channel(LOGGER)
        self.host_key_algorithms = host_key_algorithms
        security = self.get_security_options()
        security.ciphers, security.digests, security.kex = CIPHERS, MACS, EXCHANGES

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """Host key algorithms in the order of preference: for paramiko."""
        return self.host_key_algorithms


class ParamikoTransport:
    """Reaches hosts by paramiko."""

    def connect(self, host: Host) -> ParamikoLink:
        """Connect and log in, in CONNECT_TIMEOUT seconds in all; raises what ConnectionFailed it was."""
        deadline = time.monotonic() + options.CONNECT_TIMEOUT
        key = login.load_key(options.SSH_KEY_PATH)
        wire = dial(host, deadline)
        session = Session(wire, keys.algorithms(host.host_keys))
        link = ParamikoLink(host, session, wire, deadline)
        try:
            link.establish(key)
        except BaseException:  # whatever it is, the connection must not stay open
            link.close()
            raise
        return link


def scan_host_keys(address: str, port: int = 22) -> list[str]:
    """Return the host keys that a server shows, one 'type base64' each, for a person to compare.

    Nobody knows yet whether they are the right ones. Raises ConnectionFailed when there is none.
    """
    host = Host(name=address, address=address, port=port)
    found = (_shown_key(host, names) for names in keys.ALGORITHMS.values())
    lines = [line for line in found if line]
    if not lines:
        raise ConnectionFailed(f"{address}:{port} shows no host key of a type that is accepted.")
    return lines


def _shown_key(host: Host, algorithms: tuple[str, ...]) -> str | None:
    wire = dial(host, time.monotonic() + options.CONNECT_TIMEOUT)
    session = Session(wire, algorithms)
    try:
        with _explained(host, wire):
            session.start_client()
        key = session.get_remote_server_key()
    except ConnectionFailed as error:
        if isinstance(error.__cause__, paramiko.ssh_exception.IncompatiblePeer):
            return None
        raise
    finally:
        session.close()
        wire.close()
    return f"{key.get_name()} {key.get_base64()}"


class ParamikoLink:
    """A connection to a host."""

    def __init__(self, host: Host, session: Session, wire: Wire, deadline: float) -> None:
        self.host, self.session, self.wire = host, session, wire
        self._deadline: float | None = deadline

    def establish(self, key: paramiko.PKey | None) -> None:
        """Agree on keys, check the host's, log in."""
        with _explained(self.host, self.wire):
            self.session.start_client()
            keys.check(self.host, self.session.get_remote_server_key())
            login.log_in(self.session, self.host, key)
        self.wire.relax()

    def open(self, command: str) -> ParamikoChannel:
        """Run a command in the login shell. Raises ConnectionFailed when that is not possible."""
        # Paramiko waits for ever for the answer to exec_command(); a link that gives none is of no use.
        watch = threading.Timer(self._patience(), self.wire.give_up)
        watch.daemon = True
        watch.start()
        try:
            with _explained(self.host, self.wire):
                channel = self.session.open_session(WINDOW, PACKET)
                channel.exec_command(command)
        finally:
            watch.cancel()
        return ParamikoChannel(self, channel)

    def _patience(self) -> float:
        # The first channel belongs to connecting, and shares its time.
        deadline, self._deadline = self._deadline, None
        if deadline is None:
            return options.CONNECT_TIMEOUT
        return max(deadline - time.monotonic(), 0.1)

    @property
    def is_closed(self) -> bool:
        """Tell whether the connection has ended."""
        return self.wire.has_hung_up or not self.session.is_active()

    def close(self) -> None:
        """Close the connection and all of its channels."""
        self.session.close()
        self.wire.close()

    def abandon(self) -> None:
        """Let go of the connection in a forked child."""
        self.wire.abandon()

    def is_frozen(self) -> bool:
        """Tell whether the far end has not answered for too long; asks it for an answer when due."""
        quiet = time.monotonic() - self.wire.heard
        if quiet < SILENCE:
            return False
        self._ask()
        return quiet > 2 * SILENCE

    def _ask(self) -> None:
        # Any server answers a request that it does not know; the answer itself is of no interest.
        request = paramiko.Message()
        request.add_byte(paramiko.common.cMSG_GLOBAL_REQUEST)
        request.add_string("keepalive@openssh.com")
        request.add_boolean(True)
        self.session._send_user_message(request)  # type: ignore[attr-defined]  # not in the stubs


@contextmanager
def _explained(host: Host, wire: Wire) -> Iterator[None]:
    try:
        yield
    except OrchestrationError:
        raise
    except Exception as error:  # paramiko hands on whatever foreign bytes made its parser raise
        raise _explain(host, wire, error) from error


def _explain(host: Host, wire: Wire, error: Exception) -> ConnectionFailed:
    place = f"{host.name} ({host.address}:{host.port})"
    if wire.is_late:
        return ConnectTimeout(
            f"{place} accepted the connection, and then said nothing for {options.CONNECT_TIMEOUT:g} s: "
            "is it overloaded, or is it no SSH server?"
        )
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return ConnectionFailed(f"{place} offers no algorithm that is safe: {error}.")
    if isinstance(error, paramiko.AuthenticationException):
        return LoginFailed(login.refusal(host, error))
    if isinstance(error, paramiko.ChannelException):
        return ConnectionFailed(f"{place} grants no further session: raise MaxSessions in sshd_config.")
    return ConnectionFailed(f"The connection to {place} ended: {str(error) or 'without a word'}.")
