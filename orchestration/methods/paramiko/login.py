"""Logging in with the key of ORCHESTRATION_SSH_KEY_PATH."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from orchestration.exceptions import LoginFailed
from orchestration.scripts import Host
from orchestration.settings import options


def load_key(path: str) -> paramiko.PKey | None:
    """Return the private key of a file, read again only when the file changes; None without a path.

    Raises LoginFailed when it cannot be used, saying why.
    """
    if not path:
        return None
    try:
        changed = Path(path).expanduser().stat().st_mtime_ns
        return _read(path, changed)
    except OSError as error:
        raise LoginFailed(f"The key {path} cannot be read: {error.strerror}.") from error


@lru_cache(maxsize=8)
def _read(path: str, changed: int) -> paramiko.PKey:
    try:
        return _parse(path)
    except (TypeError, paramiko.PasswordRequiredException) as error:
        raise LoginFailed(
            f"The key {path} is protected by a passphrase, and nobody is there to type it: "
            "use a key without one, readable only by this user."
        ) from error
    except (ValueError, UnsupportedAlgorithm, paramiko.SSHException) as error:
        raise LoginFailed(f"The file {path} holds no private key that can be used.") from error


def _parse(path: str) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(path)
    except paramiko.SSHException:
        # Half of the ECDSA keys without a comment are too much for paramiko's own parser (5.1).
        private = load_ssh_private_key(Path(path).expanduser().read_bytes(), password=None)
        if not isinstance(private, EllipticCurvePrivateKey):
            raise
        return paramiko.ECDSAKey(vals=(private, private.public_key()))


def log_in(session: paramiko.Transport, host: Host, key: paramiko.PKey | None) -> None:
    """Log in with the key, or with nothing when there is none. Raises AuthenticationException."""
    session.auth_timeout = options.CONNECT_TIMEOUT
    if key is None:
        session.auth_none(host.user)
        return
    session.auth_publickey(host.user, key)


def refusal(host: Host, error: Exception) -> str:
    """Return the sentence for a login that the server did not accept."""
    place = f"{host.user}@{host.address}:{host.port}"
    if not options.SSH_KEY_PATH:
        return f"{host.name} refused the login {place} without a key: set ORCHESTRATION_SSH_KEY_PATH."
    return (
        f"{host.name} refused the login {place} with the key {options.SSH_KEY_PATH}: "
        f"is its public half in the authorized_keys of {host.user}? ({error})"
    )
