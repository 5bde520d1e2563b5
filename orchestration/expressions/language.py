"""The language of route expressions: from text to a tree in which the guard does all that is unsafe."""

from __future__ import annotations

import ast
from collections.abc import Collection
from typing import NoReturn

from orchestration.exceptions import UnsafeExpression

from . import words
from .guard import is_display, is_own_method

#: The parameters of the function that an expression becomes, and the built-in slice; no expression can
#: name the last two.
OBJECT, GUARD, SLICE = "instance", "_guard", "_slice"

_SIGNS: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
}  # fmt: skip
_READS = (ast.Name, ast.Attribute, ast.Subscript, ast.Call)
_CONSTANTS = (str, int, float, bool, type(None))
_REMEDIES: dict[type[ast.AST], str] = {
    ast.BinOp: "This operator is not allowed: use + - * / // %.",
    ast.Await: "'await' is not allowed.",
    ast.Dict: "Dictionaries cannot be written: use comparisons joined by 'or'.",
    ast.DictComp: "Dictionaries cannot be written: use a list.",
    ast.GeneratorExp: "Loops need [brackets], except in all(), any(), max(), min(), sum() and after 'in'.",
    ast.JoinedStr: "f-strings are not allowed: join texts by '+'.",
    ast.Lambda: "'lambda' is not allowed.",
    ast.NamedExpr: "':=' is not allowed.",
    ast.SetComp: "Sets cannot be built by a loop: use a list.",
    ast.Starred: "'*' in front of arguments is not allowed.",
}


class Translator(ast.NodeVisitor):
    """Rebuilds the tree of one expression, refusing whatever the language does not have."""

    def __init__(self, names: frozenset[str]) -> None:
        self.objects = names
        self.variables: set[str] = set()
        self.depth = self.nodes = 0

    def visit(self, node: ast.AST) -> ast.expr:
        """Return the translation of a node."""
        self.depth += 1
        self.nodes += 1
        if self.depth > words.MAX_DEPTH or self.nodes > words.MAX_NODES:
            refuse(node, "The expression is too complicated: put a part of it into a method of the model.")
        result: ast.expr = super().visit(node)
        self.depth -= 1
        return result if hasattr(result, "lineno") else ast.copy_location(result, node)

    def generic_visit(self, node: ast.AST) -> NoReturn:
        """Refuse what has no method here."""
        refuse(node, _REMEDIES.get(type(node), "This is not part of the language of routes."))

    # Values

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """Allow texts, numbers, True, False and None."""
        if type(node.value) not in _CONSTANTS:
            refuse(node, "Only texts, numbers, True, False and None can be written.")
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Allow the names of the object and of loop variables."""
        if node.id in self.variables:
            return node
        if node.id not in self.objects:
            refuse(node, f"The name '{node.id}' is not known: use {_listed(self.objects)}.")
        return ast.Name(OBJECT, ast.Load())

    def visit_List(self, node: ast.List) -> ast.expr:
        """Allow lists, and likewise tuples and sets."""
        return type(node)([self.visit(item) for item in node.elts], ast.Load())

    def visit_Tuple(self, node: ast.Tuple) -> ast.expr:
        """Allow tuples."""
        return ast.Tuple([self.visit(item) for item in node.elts], ast.Load())

    def visit_Set(self, node: ast.Set) -> ast.expr:
        """Allow sets."""
        return ast.Set([self.visit(item) for item in node.elts])

    # Operators

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        """Allow ``and`` and ``or``."""
        return ast.BoolOp(node.op, [self.visit(value) for value in node.values])

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        """Allow ``not``, and signs of numbers."""
        if isinstance(node.op, ast.Invert):
            refuse(node, "'~' is not allowed: use 'not'.")
        return ast.UnaryOp(node.op, self.visit(node.operand))

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Allow arithmetic, done by the guard."""
        sign = _SIGNS.get(type(node.op)) or self.generic_visit(node)
        return self._guarded("calculate", ast.Constant(sign), self.visit(node.left), self.visit(node.right))

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        """Allow ``a if test else b``."""
        return ast.IfExp(self.visit(node.test), self.visit(node.body), self.visit(node.orelse))

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        """Allow all comparisons; ``in`` is done by the guard."""
        if isinstance(node.ops[0], (ast.In, ast.NotIn)) and len(node.ops) == 1:
            return self._membership(node)
        lefts = [node.left, *node.comparators]
        for comparison, left, right in zip(node.ops, lefts, node.comparators, strict=False):
            _check_comparison(comparison, left, right)
        return ast.Compare(self.visit(node.left), node.ops, [self.visit(right) for right in node.comparators])

    def _membership(self, node: ast.Compare) -> ast.expr:
        left, right = self.visit(node.left), node.comparators[0]
        if isinstance(right, ast.GeneratorExp):
            return ast.Compare(left, node.ops, [self._loop(right)])
        if _is_constant(right):
            return ast.Compare(left, node.ops, [self.visit(right)])
        found = ast.copy_location(self._guarded("contains", self.visit(right), left), node)
        return found if isinstance(node.ops[0], ast.In) else ast.UnaryOp(ast.Not(), found)

    # Reading

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """Allow attributes, read by the guard."""
        _check_attribute(node)
        return self._guarded_at_name(node, "get", self.visit(node.value), ast.Constant(node.attr))

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """Allow items and slices, read by the guard."""
        value = self.visit(node.value)
        if isinstance(node.slice, ast.Slice):
            bounds = (node.slice.lower, node.slice.upper, node.slice.step)
            parts = [ast.Constant(None) if part is None else self.visit(part) for part in bounds]
            return self._guarded("item", value, ast.Call(ast.Name(SLICE, ast.Load()), parts, []))
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            _check_secret(node.slice, node.slice.value)
        return self._guarded("item", value, self.visit(node.slice))

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Allow listed functions and methods, called by the guard."""
        if isinstance(node.func, ast.Name):
            return self._function(node, node.func.id)
        if isinstance(node.func, ast.Attribute):
            return self._method(node, node.func)
        return refuse(node, "Only functions and methods that are named can be called.")

    def _function(self, node: ast.Call, name: str) -> ast.expr:
        if name not in words.FUNCTIONS:
            refuse(node, f"The function '{name}()' is not allowed: use {_listed(words.FUNCTIONS)}.")
        _, least, most = words.FUNCTIONS[name]
        if not least <= len(node.args) <= most or node.keywords:
            refuse(
                node,
                f"'{name}()' takes {least if least == most else 'one or more'} argument(s), none by name.",
            )
        of_items = name in words.OF_ITEMS and len(node.args) == 1
        args = [self._items(node.args[0])] if of_items else [self.visit(arg) for arg in node.args]
        return self._guarded("function", ast.Constant(name), *args)

    def _items(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.GeneratorExp):
            return self._loop(node)
        return ast.copy_location(self._guarded("each", self.visit(node)), node)

    def _method(self, node: ast.Call, func: ast.Attribute) -> ast.expr:
        _check_attribute(func)
        name = func.attr
        if name not in words.METHOD_NAMES and not is_display(name) and not is_own_method(name):
            _refuse_at_name(func, _not_allowed(name))
        keywords = [self._keyword(func, keyword) for keyword in node.keywords]
        args = [self.visit(arg) for arg in node.args]
        call = self._guarded_at_name(func, "call", self.visit(func.value), ast.Constant(name), *args)
        call.keywords = keywords
        return call

    def _keyword(self, func: ast.Attribute, keyword: ast.keyword) -> ast.keyword:
        if keyword.arg is None:
            refuse(keyword.value, "'**' in front of arguments is not allowed.")
        if func.attr not in words.WITH_KEYWORDS:
            refuse(keyword, f"'{func.attr}()' takes no arguments by name.")
        if not words.is_lookup(keyword.arg):
            refuse(keyword, f"'{keyword.arg}' cannot be looked up: it is private, a secret, or a pattern.")
        return ast.copy_location(ast.keyword(keyword.arg, self.visit(keyword.value)), keyword)

    # Loops

    def visit_ListComp(self, node: ast.ListComp) -> ast.expr:
        """Allow loops over bounded containers."""
        return self._loop(node)

    def _loop(self, node: ast.ListComp | ast.GeneratorExp) -> ast.expr:
        outside = set(self.variables)
        loops = [self._generator(loop) for loop in node.generators]
        result = type(node)(self.visit(node.elt), loops)
        self.variables = outside
        return ast.copy_location(result, node)

    def _generator(self, loop: ast.comprehension) -> ast.comprehension:
        if loop.is_async:
            refuse(loop.target, "'async' is not allowed.")
        values = ast.copy_location(self._guarded("each", self.visit(loop.iter)), loop.iter)
        target = self._target(loop.target)
        return ast.comprehension(target, values, [self.visit(test) for test in loop.ifs], 0)

    def _target(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Tuple):
            return ast.copy_location(ast.Tuple([self._target(item) for item in node.elts], ast.Store()), node)
        if not isinstance(node, ast.Name) or node.id.startswith("_"):
            refuse(node, "A loop variable is a name that does not start with '_'.")
        if node.id in self.objects or node.id in words.FUNCTIONS:
            refuse(node, f"'{node.id}' has a meaning already: call the loop variable something else.")
        self.variables.add(node.id)
        return node

    # Building

    def _guarded(self, method: str, *args: ast.expr) -> ast.Call:
        guard = ast.Name(GUARD, ast.Load())
        return ast.Call(ast.Attribute(guard, method, ast.Load()), list(args), [])

    def _guarded_at_name(self, node: ast.Attribute, method: str, *args: ast.expr) -> ast.Call:
        """Return a call that stands where the attribute's name is: errors point there."""
        call = ast.copy_location(self._guarded(method, *args), node)
        call.lineno, call.col_offset = _name_position(node)
        return call


def refuse(node: ast.AST, message: str) -> NoReturn:
    """Raise UnsafeExpression at the position of a node (in bytes of UTF-8)."""
    raise UnsafeExpression(message, position=getattr(node, "col_offset", 0))


def _refuse_at_name(node: ast.Attribute, message: str) -> NoReturn:
    raise UnsafeExpression(message, position=_name_position(node)[1])


def _name_position(node: ast.Attribute) -> tuple[int, int]:
    end = node.end_col_offset or node.col_offset
    return node.end_lineno or node.lineno, max(node.col_offset, end - len(node.attr.encode()))


def _not_allowed(name: str) -> str:
    if name in words.WRITES:
        return f"'{name}()' changes something: routes only read."
    return (
        f"'{name}()' is not allowed: only methods that are listed in the docs are, "
        f"and those of models marked with '{name}.route_safe = True'."
    )


def _check_attribute(node: ast.Attribute) -> None:
    if node.attr.startswith("_"):
        _refuse_at_name(node, f"'{node.attr}' is private: names that start with '_' cannot be read.")
    if words.is_secret(node.attr):
        _refuse_at_name(node, f"'{node.attr}' may be a secret, which routes cannot read.")


def _check_secret(node: ast.expr, key: str) -> None:
    if words.is_secret(key):
        refuse(node, f"'{key[:40]}' may be a secret, which routes cannot read.")


def _check_comparison(comparison: ast.cmpop, left: ast.expr, right: ast.expr) -> None:
    if isinstance(comparison, (ast.In, ast.NotIn)):
        refuse(right, "'in' cannot be chained with other comparisons: join them by 'and'.")
    if isinstance(comparison, (ast.Is, ast.IsNot)):
        is_single = isinstance(right, ast.Constant) and (right.value is None or isinstance(right.value, bool))
        if not is_single or not isinstance(left, _READS):
            refuse(right, "'is' compares what is read only with None, True and False: use '=='.")


def _is_constant(node: ast.expr) -> bool:
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return all(isinstance(item, ast.Constant) for item in node.elts)
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
