"""Route expressions: a small, safe part of Python, compiled once per text."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from types import CodeType, TracebackType
from typing import Any  # Any: the object of an expression, and its value, have any type

from orchestration import syntax
from orchestration.exceptions import ExpressionFailed, UnsafeExpression

from . import words
from .guard import Guard
from .language import GUARD, OBJECT, SLICE, Translator
from .rows import Rows

_FILE = "<route expression>"
_NAMES = ("instance", "obj")
_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")
_NUMBER = re.compile(
    r"0[xX][\da-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|(\d[\d_]*(\.[\d_]*)?|\.\d[\d_]*)([eE][+-]?\d+)?", re.ASCII
)
_LIKE_A_NUMBER = re.compile(r"(?<![\w.])\.?\d([eE][+-]\d|[\w.])*", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """A compiled expression; equal texts share one."""

    text: str
    names: tuple[str, ...]
    _function: Callable[[Any, Guard], object]

    def evaluate(self, instance: object) -> object:
        """Return the value for an object; ExpressionFailed or UnsafeExpression when it has none."""
        try:
            return self._function(instance, Guard())
        except Exception as error:  # the panel's own properties may raise anything
            raise self._failure(error) from error

    def matches(self, instance: object) -> bool:
        """Tell whether the value for an object is true."""
        try:
            return bool(self._function(instance, Guard()))
        except Exception as error:  # the panel's own properties may raise anything
            raise self._failure(error) from error

    def parts(self, instance: object) -> list[tuple[str, object]]:
        """Return what the expression consists of, each part with its value, or with the error it raises."""
        return [(source, _value(source, self.names, instance)) for source in _sources(self.text)]

    def _failure(self, error: Exception) -> UnsafeExpression | ExpressionFailed:
        position = _position(error.__traceback__, self.text)
        if isinstance(error, UnsafeExpression):
            return UnsafeExpression(str(error), position=position)
        return ExpressionFailed(f"{type(error).__name__}: {error}"[:300], position=position)


@lru_cache(maxsize=4096)
def compile_expression(text: str, names: tuple[str, ...] = ()) -> Expression:
    """Return the expression of a text; UnsafeExpression, with position, when it is none or not safe.

    ``names`` are bound to the object, besides ``instance`` and ``obj``.
    """
    source = text.strip()
    _check_text(text, source)
    indent = text.find(source)
    try:
        code = _compile(source, frozenset({*_NAMES, *names}))
    except UnsafeExpression as error:
        raise UnsafeExpression(str(error), position=indent + _characters(source, error.position)) from None
    except SyntaxError as error:
        position = indent + (error.offset - 1 if error.offset else len(source))
        raise UnsafeExpression(f"This is no Python expression: {error.msg}.", position=position) from error
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise UnsafeExpression(f"This is no Python expression: {error}.", position=indent) from error
    # The code was built from checked nodes alone, and finds no builtins.
    function = eval(code, {"__builtins__": {}, SLICE: slice})  # noqa: S307
    return Expression(text, names, function)


def _check_text(text: str, source: str) -> None:
    if not source:
        raise UnsafeExpression("The expression is empty: write True to match everything.", position=0)
    if len(text) > words.MAX_LENGTH:
        message = f"The expression is longer than {words.MAX_LENGTH} characters."
        raise UnsafeExpression(message, position=words.MAX_LENGTH)
    depth = 0
    for position, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth > words.MAX_BRACKETS:
            raise UnsafeExpression("There are too many brackets in brackets.", position=position)
        if character in "\r\n\\\0":
            raise UnsafeExpression("Line breaks and backslashes are not allowed.", position=position)
    _check_numbers(text)


def _check_numbers(text: str) -> None:
    """Refuse '1if': Python reads it, with a warning that it would print in the middle of a request."""
    without_texts = _TEXT.sub(lambda found: "'" * len(found[0]), text)
    for found in _LIKE_A_NUMBER.finditer(without_texts):
        if not _NUMBER.fullmatch(found[0]):
            raise UnsafeExpression(f"'{found[0][:40]}' is no number.", position=found.start())


def _compile(source: str, names: frozenset[str]) -> CodeType:
    body = Translator(names).visit(syntax.parse(source, mode="eval").body)
    arguments = ast.arguments([], [ast.arg(OBJECT), ast.arg(GUARD)], None, [], [], None, [])
    tree = ast.Expression(ast.copy_location(ast.Lambda(arguments, body), body))
    code: CodeType = compile(ast.fix_missing_locations(tree), _FILE, "eval")
    return code


def _characters(source: str, offset: int | None) -> int:
    """Return which character starts at a byte of the UTF-8 text."""
    return len(source.encode(errors="replace")[: offset or 0].decode(errors="ignore"))


# Where an error happened


def _position(traceback: TracebackType | None, text: str) -> int | None:
    """Return the character at which the innermost frame of the expression stood."""
    offset = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == _FILE:
            offset = _offset(traceback)
        traceback = traceback.tb_next
    source = text.strip()
    return None if offset is None else text.find(source) + _characters(source, offset)


def _offset(traceback: TracebackType) -> int | None:
    positions = traceback.tb_frame.f_code.co_positions()
    place = next(islice(positions, traceback.tb_lasti // 2, None), None)
    return place and place[2]


# What an expression consists of


def _sources(text: str) -> list[str]:
    source = text.strip()
    nodes = _parts(syntax.parse(source, mode="eval").body)
    return list(dict.fromkeys(ast.get_source_segment(source, node) or "" for node in nodes))


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the conditions of an expression, and what they read of the object, outside loops."""
    if isinstance(node, (ast.BoolOp, ast.IfExp)) or _is_negation(node):
        for child in ast.iter_child_nodes(node):
            yield from _parts(child)
    elif isinstance(node, (ast.Attribute, ast.Subscript, ast.Call, ast.ListComp)):
        yield node
    elif isinstance(node, (ast.Compare, ast.BinOp)):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from _parts(child)


def _is_negation(node: ast.AST) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _value(source: str, names: tuple[str, ...], instance: object) -> object:
    try:
        value = compile_expression(source, names).evaluate(instance)
    except (UnsafeExpression, ExpressionFailed) as error:
        return error
    return str(value) if isinstance(value, Rows) else value
