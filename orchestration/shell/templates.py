"""``sh()``: fill a template with quoted values, the ``format_html`` of shell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from orchestration.exceptions import UnsafeTemplate

from .lexer import Place, Scanner
from .quoting import PLACE
from .values import MASK, Raw, Secret, Shell, as_text, forms, is_plain, quote

_PERCENT = re.compile(r"%(?:(%)|\(([^()]*)\)s)?")

#: A template in pieces: each place is followed by the literal text behind it.
Parsed = tuple[str, tuple[tuple[str, Place, str], ...]]


def sh(template: str, context: Mapping[str, object]) -> str:
    """Return the template with each ``%(name)s`` replaced by the quoted value of that name.

    ``%%`` is a percent sign. Items of lists and tuples are quoted one by one. ``Raw`` values stay as
    they are; the result is a ``Shell``, with masked text to show, when a ``Secret`` is in it. Raises
    UnsafeTemplate for a place where quoting cannot protect a value, and for a value that is None, has
    no text, or holds NUL or bytes that are not UTF-8.
    """
    if isinstance(template, Shell):
        raise UnsafeTemplate(
            "This text is filled in already. Append it alone, or as Raw value of a template."
        )
    first, rest = parse(template)
    pieces = [first]
    for name, place, literal in rest:
        value = context.get(name)
        if type(value) is str and not place.is_glued and is_plain(value):
            pieces.append(value)
        else:
            pieces.append(_fill(name, place, context))
        pieces.append(literal)
    return join("", pieces)


def _fill(name: str, place: Place, context: Mapping[str, object]) -> str:
    try:
        value = context[name]
    except KeyError:
        known = ", ".join(sorted(map(str, context))) or "nothing"
        message = f"Line {place.line}: the context has no '{name}' for %({name})s. It has: {known}."
        raise UnsafeTemplate(message) from None
    try:
        return _quoted(value, place)
    except UnsafeTemplate as error:
        raise UnsafeTemplate(f"Line {place.line}: %({name})s cannot be filled in: {error}") from error


def _quoted(value: object, place: Place) -> str:
    if type(value) is str:
        return quote(as_text(value), always=place.is_glued)
    if isinstance(value, Secret):
        return _secret(as_text(value.reveal()), place)
    if isinstance(value, Raw):
        return value if value.secrets else str(value)
    if isinstance(value, list | tuple):
        return _listed(value, place)
    if isinstance(value, Shell):
        shown = quote(value.shown, always=True)
        return Shell(quote(as_text(value), always=True), shown=shown, secrets=value.secrets)
    return quote(as_text(value), always=place.is_glued)


def _secret(text: str, place: Place) -> str:
    return Shell(quote(text, always=place.is_glued), shown=MASK, secrets=forms(text))


def _listed(values: Iterable[object], place: Place) -> str:
    if not place.is_word:
        raise UnsafeTemplate("it is a list, which must stand alone, with blanks around it.")
    return join(" ", [_quoted(value, place) for value in values])


def join(separator: str, pieces: list[str]) -> str:
    """Return pieces joined; when one knows secrets, the result knows them too."""
    text = separator.join(pieces)
    secrets = [secret for piece in pieces if type(piece) is not str for secret in _secrets(piece)]
    if not secrets:
        return text
    shown = separator.join(piece.shown if isinstance(piece, Shell) else piece for piece in pieces)
    return Shell(text, shown=shown, secrets=dict.fromkeys(secrets))


def _secrets(piece: str) -> tuple[str, ...]:
    return piece.secrets if isinstance(piece, Shell) else ()


@lru_cache(maxsize=2048)
def parse(template: str) -> Parsed:
    """Return a template in pieces; UnsafeTemplate when a place in it is not safe."""
    names: list[str] = []
    text = _PERCENT.sub(lambda match: _mark(match, names), as_text(template))
    places = Scanner(text, names).places()
    first, *literals = text.split(PLACE)
    return first, tuple(zip(names, places, literals, strict=True))


def _mark(match: re.Match[str], names: list[str]) -> str:
    percent, name = match.groups()
    if percent:
        return "%"
    if name is None:
        line = match.string.count("\n", 0, match.start()) + 1
        raise UnsafeTemplate(f"Line {line}: write %% for a percent sign, and %(name)s for a value.")
    names.append(name)
    return PLACE


@lru_cache(maxsize=2048)
def refuse_open(text: str) -> None:
    """Raise UnsafeTemplate when literal text leaves a quote, heredoc or line open."""
    Scanner(text, []).places()
