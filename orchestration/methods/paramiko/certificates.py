"""Host certificates of OpenSSH: whether a pinned authority vouches for this key and this host.

Paramiko reads certificates, and checks that the server owns the key in it; it checks nothing else.
The rules are those of OpenSSH's PROTOCOL.certkeys, stricter in one: a certificate without principals
is valid for no host, not for every host.
"""

from __future__ import annotations

import base64
import fnmatch
import time
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)
from cryptography.hazmat.primitives.serialization.ssh import serialize_ssh_public_key

CERTIFICATE = "-cert-v01@openssh.com"
_SHA1 = b"\x00\x00\x00\x07ssh-rsa"


def problem_of(blob: bytes, *, names: Iterable[str], authorities: Iterable[tuple[str, str]]) -> str | None:
    """Return why a host certificate (its bytes) is not acceptable for a host; None when it is.

    ``names`` are those under which the host is known, ``authorities`` (type, base64) of the pinned ones.
    """
    try:
        certificate = _load(blob)
        certificate.verify_cert_signature()
    except (ValueError, NotImplementedError, UnsupportedAlgorithm, InvalidSignature) as error:
        return f"it is damaged or its signature is wrong ({type(error).__name__})"
    return _authority_problem(certificate, blob, authorities) or _content_problem(certificate, names)


def _load(blob: bytes) -> SSHCertificate:
    kind = blob[4 : 4 + int.from_bytes(blob[:4], "big")]
    identity = load_ssh_public_identity(kind + b" " + base64.b64encode(blob))
    if not isinstance(identity, SSHCertificate):
        raise ValueError("not a certificate")
    return identity


def _authority_problem(
    certificate: SSHCertificate, blob: bytes, authorities: Iterable[tuple[str, str]]
) -> str | None:
    signer = certificate.signature_key()
    kind, encoded = serialize_ssh_public_key(signer).decode().split()
    if (kind, encoded) not in set(authorities):
        return "its authority is not the pinned one"
    if isinstance(signer, RSAPublicKey) and _signed_with_sha1(blob, signer.key_size // 8):
        return "it is signed with SHA-1"
    return None


def _signed_with_sha1(blob: bytes, size: int) -> bool:
    # The last field is the signature: its type, then as many bytes as the key has (with their length).
    return blob[: -(size + 4)].endswith(_SHA1)


def _content_problem(certificate: SSHCertificate, names: Iterable[str]) -> str | None:
    if certificate.type is not SSHCertificateType.HOST:
        return "it is not a host certificate"
    if certificate.critical_options:
        return "it has critical options that are not known"
    if not certificate.valid_after <= time.time() < certificate.valid_before:
        return "it is not valid now"
    patterns = [principal.decode(errors="replace").lower() for principal in certificate.valid_principals]
    if not any(_matches(name.lower(), pattern) for name in names for pattern in patterns):
        return f"it is for {', '.join(patterns) or 'no host'}"
    return None


def _matches(name: str, pattern: str) -> bool:
    # OpenSSH knows * and ? only; brackets are literal there, so they must not be classes here.
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))
