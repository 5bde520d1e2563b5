"""The runner as one text: what is sent to a host, as small as it gets without losing its meaning."""

from __future__ import annotations

import ast
import base64
import zlib
from functools import cache
from pathlib import Path

from orchestration import syntax

#: The modules of the runner, each before those that use it.
MODULES = ("frames", "clip", "processes", "link", "section", "loop")
#: Understood by every login shell: one line, no quotes inside but double ones. Status 127: no fit Python.
COMMAND = (
    "python3 -ISc 'import sys;sys.version_info<(3,8)and sys.exit(127);"
    'from binascii import*;from zlib import*;exec(decompress(a2b_base64("{code}")))\' {nonce}'
)


def command(nonce: str, *, sudo: bool = False) -> str:
    """Return the shell command that becomes a runner, which says hello with this nonce."""
    return ("exec sudo -n -- " if sudo else "exec ") + COMMAND.format(code=_code(), nonce=nonce)


@cache
def _code() -> str:
    return base64.b64encode(zlib.compress(source().encode(), 9)).decode()


@cache
def source() -> str:
    """Return the modules of the runner as one text, without comments, docstrings and annotations."""
    folder = Path(__file__).parent / "agent"
    trees = [syntax.parse((folder / f"{name}.py").read_text()) for name in MODULES]
    body = [node for tree in trees for node in tree.body if not _is_internal(node)]
    return ast.unparse(_Stripped().visit(ast.Module(body=body, type_ignores=[])))


def _is_internal(node: ast.stmt) -> bool:
    """Tell whether a statement makes no sense in one file: imports of each other, and for types."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    return isinstance(node, ast.ImportFrom) and (node.level > 0 or node.module == "__future__")


class _Stripped(ast.NodeTransformer):
    """Remove what the interpreter does not need, so that less is sent and compiled on each host."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.Assign:
        assert node.value is not None, "a bare annotation has no place in the runner"
        return ast.Assign(targets=[node.target], value=node.value, lineno=node.lineno)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(arg=node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.returns = None
        node.body = node.body or [ast.Pass()]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node
