"""What may stand in a context: plain values, ``Raw`` text and ``Secret`` values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import GeneratorType
from typing import TypeVar, cast

from django.utils.functional import Promise

from orchestration.exceptions import UnsafeTemplate

T = TypeVar("T")

#: What people see instead of a secret.
MASK = "********"

#: Never special to a shell, wherever it stands as a word. ``=``, ``,`` and ``~`` may be, at some places.
_PLAIN = re.compile(r"[A-Za-z0-9_@%+:./-]+", re.ASCII)
#: POSIX and bash: words with a meaning of their own where a command may begin.
_RESERVED = {"case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in"}
_RESERVED |= {"select", "then", "time", "until", "while"}


class Shell(str):
    """Shell text with secrets in it: ``shown`` is what people may see."""

    __slots__ = ("secrets", "shown")
    shown: str
    secrets: tuple[str, ...]

    def __new__(cls, text: str, *, shown: str | None = None, secrets: Iterable[str] = ()) -> Shell:
        """Take the secrets of ``text`` over, unless others are given."""
        self = super().__new__(cls, text)
        self.shown, self.secrets = str(self), tuple(secrets)
        if isinstance(text, Shell):
            self.shown, self.secrets = text.shown, self.secrets or text.secrets
        if shown is not None:
            self.shown = shown
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), str(self), self.shown, self.secrets)


def _restore(cls: type[Shell], text: str, shown: str, secrets: tuple[str, ...]) -> Shell:
    return cls(text, shown=shown, secrets=secrets)


class Raw(Shell):
    """Shell text that is filled in as it is: the ``mark_safe`` of shell, rare and reviewed."""

    __slots__ = ()


class Secret:
    """A value that runs, and that nobody reads in logs, mails and messages.

    It has no text of its own: formatting it with ``%`` or ``{}`` raises UnsafeTemplate, since nobody
    could then tell what to mask. ``reveal()`` returns the value.
    """

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        value = value.reveal() if isinstance(value, Secret) else value
        self._value = str(value) if isinstance(value, str) else as_text(value)

    def reveal(self) -> str:
        """Return the value itself."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        raise UnsafeTemplate("A Secret can only be filled in by append(template, context) or sh().")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


def as_text(value: object) -> str:
    """Return the text of a value; UnsafeTemplate when it has none that a shell could be given."""
    if problem := _problem(value):
        raise UnsafeTemplate(problem)
    text = value.decode(errors="surrogateescape") if isinstance(value, bytes) else str(value)
    if not text.isascii():
        _refuse_surrogates(text)
    if "\0" in text:
        raise UnsafeTemplate("it contains a NUL character, which no shell can hold.")
    return text


def _problem(value: object) -> str:
    if value is None:
        return "it is None. Give a value, or leave the command out."
    if isinstance(value, (Mapping, set, frozenset, GeneratorType)):
        return f"it is a {type(value).__name__}. Give text, a number, a path, or a list of them."
    has_text = type(value).__str__ is not object.__str__ or type(value).__repr__ is not object.__repr__
    if not isinstance(value, Promise) and (callable(value) or not has_text):
        return f"it is a {type(value).__name__}, which has no text of its own. Was it to be called?"
    return ""


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UnsafeTemplate("it contains bytes or surrogates that are not UTF-8.") from error


def is_plain(text: str) -> bool:
    """Tell whether text is the same word to a shell with quotes and without."""
    return _PLAIN.fullmatch(text) is not None and text not in _RESERVED and ".." not in text


def quote(text: str, *, always: bool = False) -> str:
    """Return text as one word of a POSIX shell; with ``always`` in quotes even when it needs none."""
    if not always and is_plain(text):
        return text
    return "'" + text.replace("'", "'\"'\"'") + "'"


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return text with every secret in it replaced by asterisks."""
    ordered = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
    if not ordered:
        return text
    return re.sub("|".join(map(re.escape, ordered)), MASK, text)


def forms(secret: str) -> tuple[str, ...]:
    """Return the forms in which a secret may be printed: itself, quoted, and its longer lines."""
    lines = [line for line in secret.splitlines() if len(line) >= 8] if "\n" in secret else []
    return tuple(dict.fromkeys(form for form in (secret, quote(secret), *lines) if form))


def replace(context: T, pattern: str, repl: str) -> T:
    """Return a copy of a context with ``pattern`` replaced in each string of it, however deep.

    ``Raw`` text and ``Secret`` values stay as they are.
    """
    return cast("T", _replaced(context, pattern, repl))


def _replaced(value: object, pattern: str, repl: str) -> object:
    if isinstance(value, Mapping):
        return {key: _replaced(item, pattern, repl) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_replaced(item, pattern, repl) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, str) and not isinstance(value, Shell):
        return value.replace(pattern, repl)
    return value
