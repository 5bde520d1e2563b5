"""Checks of what people type into the fields of a server."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

# RFC 1123, 2.1: letters, digits and inner hyphens, labels of up to 63 characters; underscores occur.
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", re.ASCII)


def validate_address(value: str) -> None:
    """Accept an IP address or a host name."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if not _is_host_name(value):
            message = _("'%(value)s' is neither an IP address nor a host name.")
            raise ValidationError(message, params={"value": value}) from None


def _is_host_name(value: str) -> bool:
    labels = value.removesuffix(".").split(".")
    looks_like_ip = labels[-1].isdigit()
    return len(value) <= 253 and not looks_like_ip and all(_LABEL.fullmatch(label) for label in labels)


def host_key_lines(text: str) -> list[str]:
    """Return the lines of pinned keys: without comments, blank lines and surplus words."""
    lines = (line.split() for line in text.splitlines())
    return [" ".join(words[: _width(words)]) for words in lines if words and not words[0].startswith("#")]


def _width(words: list[str]) -> int:
    return 3 if words[0].startswith("@") else 2


def validate_host_keys(value: str) -> None:
    """Accept lines of 'type base64', with or without '@cert-authority' in front."""
    for line in host_key_lines(value):
        problem = _problem(line.split())
        if problem:
            raise ValidationError(
                _("Host key '%(line)s': %(problem)s"), params={"line": line[:60], "problem": problem}
            )


def _problem(words: list[str]) -> object:
    if words[0].startswith("@"):
        if words[0] != "@cert-authority":
            return _("the only mark is @cert-authority.")
        words = words[1:]
    if len(words) != 2:
        return _("write 'type base64'.")
    return _key_problem(*words)


def _key_problem(kind: str, blob: str) -> object:
    try:
        data = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        return _("the key is not valid base64.")
    # RFC 4253, 6.6: a key starts with its type, as a string with a 32-bit length.
    length = int.from_bytes(data[:4], "big")
    if data[4 : 4 + length] != kind.encode() or len(data) <= 4 + length:
        return _("the key is not of the type in front of it.")
    return None
