"""What of a section must outlive the process, as encrypted bytes."""

from __future__ import annotations

import base64
import dataclasses
import json
import zlib
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac

from .exceptions import PayloadNewer, PayloadUnreadable
from .scripts import Call, Group, Section
from .settings import options

#: Raised when an older version of this package could not read what a newer one writes.
VERSION = 1
SALT = "orchestration.payloads"
FIELDS = ("secrets", "needs", "serialize", "idle", "total")


def dump(section: Section) -> bytes:
    """Return what is needed to run a section, encrypted; operations and shown text are not in it."""
    content = {"version": VERSION, "groups": [dataclasses.asdict(group) for group in section.groups]}
    content |= {name: getattr(section, name) for name in FIELDS}
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return _cipher().encrypt(zlib.compress(text.encode(errors="surrogatepass"), level=1))


def load(payload: bytes | memoryview, *, backend: str = "") -> Section:
    """Return the section of a payload, without operations.

    Raises PayloadUnreadable when no configured key fits, and PayloadNewer when this code is too old.
    """
    try:
        text = zlib.decompress(_cipher().decrypt(bytes(payload))).decode(errors="surrogatepass")
        content = json.loads(text)
        if content["version"] > VERSION:
            raise PayloadNewer("A newer version stored this script, and a newer process will run it.")
        return _section(content, backend)
    except InvalidToken as error:
        raise PayloadUnreadable(
            "The stored script cannot be decrypted. Add the key that it was stored with to "
            "ORCHESTRATION_FERNET_KEYS or SECRET_KEY_FALLBACKS."
        ) from error
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise PayloadUnreadable(f"The stored script is damaged: {error!r}.") from error


def _section(content: dict[str, Any], backend: str) -> Section:  # Any: decoded JSON
    fields = {name: content[name] for name in FIELDS if name in content}
    for name in {"secrets", "needs"} & fields.keys():
        fields[name] = tuple(fields[name])
    groups = tuple(_group(group) for group in content["groups"])
    return Section(backend=backend, operations=(), groups=groups, shown="", **fields)


def _group(content: dict[str, Any]) -> Group:  # Any: decoded JSON
    calls = tuple(Call(**call) for call in content["calls"])
    return Group(content["method"], content["executable"], content["text"], calls)


def _cipher() -> MultiFernet:
    return _cipher_of(tuple(options.FERNET_KEYS), (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=4)
def _cipher_of(keys: tuple[str, ...], secrets: tuple[str | bytes, ...]) -> MultiFernet:
    # Derived keys stay readable, so that work stored before FERNET_KEYS was set still runs.
    return MultiFernet([Fernet(key) for key in [*keys, *map(_derived, secrets)]])


def _derived(secret: str | bytes) -> str:
    digest = salted_hmac(SALT, "fernet", secret=secret, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(digest).decode()
