"""Parse Python source in threads, one at a time: ``ast.parse`` of Python 3.11 mixes up their depths.

A switch of threads in the middle of it, which a garbage collection may cause, ends in SystemError
("AST constructor recursion depth mismatch").
"""

from __future__ import annotations

import ast
from threading import Lock
from typing import Literal, overload

_parsing = Lock()


@overload
def parse(source: str) -> ast.Module: ...
@overload
def parse(source: str, *, mode: Literal["eval"]) -> ast.Expression: ...
def parse(source: str, *, mode: Literal["exec", "eval"] = "exec") -> ast.AST:
    """Return what ``ast.parse`` returns; SyntaxError when it is not Python."""
    with _parsing:
        return ast.parse(source, mode=mode)
