"""Pinned host keys: which to ask a server for, and whether the one it shows is the right one."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

import paramiko

from orchestration.exceptions import HostKeyChanged, HostKeyUnknown
from orchestration.scripts import Host

from .certificates import CERTIFICATE, problem_of

#: Algorithms by type of key, best first; "ssh-rsa" alone (SHA-1) is not accepted.
ALGORITHMS = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
AUTHORITY = "@cert-authority"


def algorithms(lines: Iterable[str]) -> tuple[str, ...]:
    """Return all host key algorithms, those of the pinned lines first.

    A server with several keys then shows the pinned one. The others stay in the list, so that a server
    without the pinned type is told apart from one that speaks no SSH.
    """
    plain = [name for names in ALGORITHMS.values() for name in names]
    wanted = [name for kind, _ in pinned(lines) for name in ALGORITHMS.get(kind, ())]
    certified = [name + CERTIFICATE for name in plain] if authorities(lines) else []
    return tuple(dict.fromkeys([*certified, *wanted, *plain]))


def pinned(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Return (type, base64) of the keys that are pinned themselves."""
    return [(words[0], words[1]) for words in _words(lines) if not words[0].startswith("@")]


def authorities(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Return (type, base64) of the pinned certificate authorities."""
    return [(words[1], words[2]) for words in _words(lines) if words[0] == AUTHORITY and len(words) > 2]


def _words(lines: Iterable[str]) -> list[list[str]]:
    split = (line.split() for line in lines)
    return [words for words in split if len(words) > 1]


def check(host: Host, key: paramiko.PKey) -> None:
    """Accept the key that a server has just proved to own, or raise HostKeyUnknown or HostKeyChanged.

    Right is a pinned key, or a key with a certificate of a pinned authority for this very host.
    """
    known, trusted = pinned(host.host_keys), authorities(host.host_keys)
    if key.get_base64() in {blob for _, blob in known}:
        return
    problem = _certificate_problem(host, key, trusted) if trusted else None
    if trusted and not problem:
        return
    if not known and not trusted:
        raise HostKeyUnknown(_unknown(host, key))
    raise HostKeyChanged(_changed(host, key, known or trusted, problem))


def _certificate_problem(host: Host, key: paramiko.PKey, trusted: list[tuple[str, str]]) -> str | None:
    blob = key.public_blob
    if blob is None:
        return "it shows no certificate"
    return problem_of(blob.key_blob, names=(host.address, host.name), authorities=trusted)


def fingerprint(blob: str) -> str:
    """Return the fingerprint of a key, given in base64, as ``ssh-keygen -l`` prints it."""
    digest = hashlib.sha256(base64.b64decode(blob)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _unknown(host: Host, key: paramiko.PKey) -> str:
    return (
        f"No host key of {host.name} is pinned. {host.address}:{host.port} shows "
        f"{key.get_name()} {fingerprint(key.get_base64())}: compare it with 'ssh-keygen -lf' on the "
        "console of the server, then add the key to the server."
    )


def _changed(host: Host, key: paramiko.PKey, known: list[tuple[str, str]], problem: str | None) -> str:
    expected = ", ".join(f"{kind} {fingerprint(blob)}" for kind, blob in known)
    detail = f" (certificate refused: {problem})" if problem else ""
    return (
        f"The host key of {host.name} is not the pinned one. Pinned: {expected}. "
        f"{host.address}:{host.port} shows: {key.get_name()} {fingerprint(key.get_base64())}{detail}. "
        "Either another machine answers, or the server was installed anew: find out on its console, "
        "and only then pin the new key."
    )
