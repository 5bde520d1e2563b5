"""Reading what quotes, braces and expansions of a shell enclose: no value may stand in there."""

from __future__ import annotations

import re
from typing import NoReturn

from orchestration.exceptions import UnsafeTemplate

#: Stands for a value in the text that is scanned: no shell text can contain it.
PLACE = "\0"

_SPECIAL_PARAMETER = re.compile(r"\$[0-9$?!#*@-]")
_BACKTICKS = re.compile(r"`([^`\\]*)`")
_ANSI_QUOTES = re.compile(r"\$'(?:[^'\\]|\\.)*'", re.DOTALL)


class Reader:
    """A position in shell text, and the constructs in which shells do not split words."""

    def __init__(self, text: str, names: list[str], *, first_line: int = 1) -> None:
        self.text, self.names, self.first_line = text, names, first_line
        self.position = 0
        #: Where the current word begins; the position itself: between words.
        self.word = 0
        #: Open parentheses of the innermost quoted ``$( )``; None outside of them.
        self.depth: int | None = None

    def step(self) -> None:
        """Read the next piece of a command, outside of quotes."""
        raise NotImplementedError

    def refuse_pending(self) -> None:
        """Raise UnsafeTemplate when the body of a heredoc would have to begin here."""
        raise NotImplementedError

    def check_command(self, text: str) -> None:
        """Raise UnsafeTemplate when a command is not whole."""
        raise NotImplementedError

    # Refusing

    def refuse(self, position: int, problem: str) -> NoReturn:
        """Raise UnsafeTemplate for what begins at a position."""
        raise UnsafeTemplate(f"Line {self.line(position)}: {problem}.")

    def refuse_place(self, position: int, where: str) -> NoReturn:
        """Raise UnsafeTemplate for the value at a position."""
        name = self.names[self.text.count(PLACE, 0, position)]
        self.refuse(position, f"%({name})s is {where}")

    def refuse_places(self, start: int, end: str | int, where: str) -> int:
        """Return where ``end`` is (or the text's end); UnsafeTemplate when a value is before it."""
        stop = self.find(end, start) if isinstance(end, str) else end
        place = self.text.find(PLACE, start, stop)
        if place >= 0:
            self.refuse_place(place, where)
        return stop

    def line(self, position: int) -> int:
        """Return the number of the line, counted from 1."""
        return self.first_line + self.text.count("\n", 0, position)

    def find(self, wanted: str, start: int) -> int:
        """Return the position of a text, or the end."""
        found = self.text.find(wanted, start)
        return len(self.text) if found < 0 else found

    def next(self, pattern: str, start: int, problem: str) -> str:
        """Go to the next match of a pattern and return it; without one, refuse what began at ``start``."""
        match = re.compile(pattern).search(self.text, self.position)
        if match is None:
            self.refuse(start, problem)
        self.position = match.start()
        return match[0]

    # Expansions

    def expansion(self, *, is_quoted: bool) -> None:
        """Read what begins with a dollar, inside quotes or not."""
        if self.text.startswith("$((", self.position):
            self.arithmetic(3)
        elif self.text.startswith("$(", self.position):
            self._command_substitution()
        elif self.text.startswith("${", self.position):
            self._braces(is_quoted=is_quoted)
        else:
            self.position += 2 if _SPECIAL_PARAMETER.match(self.text, self.position) else 1

    def _command_substitution(self) -> None:
        self.refuse_pending()
        start, outer = self.position, (self.depth, self.word)
        self.position += 2
        self.depth, self.word = 0, self.position
        while self.depth is not None and self.depth >= 0:
            if self.position >= len(self.text):
                self.refuse(start, "a $( does not end in this text")
            self.step()
        self.depth, self.word = outer

    def _braces(self, *, is_quoted: bool) -> None:
        start = self.position
        self.position += 2
        if self.text[self.position : self.position + 1] in (" ", "\t", "\n", "|"):
            self.refuse(start, "write $( ) for ${ }")
        while (char := self.next("[}'\"\\\\`$\0]", start, "a ${ does not end in this text")) != "}":
            if char in "'\"" and (is_quoted or self.text[self.position - 1] == "$"):
                self.refuse(self.position, "quotes inside ${ } inside quotes cannot be followed")
            self.inside(char, "inside ${ }")
        self.position += 1

    def arithmetic(self, width: int) -> None:
        """Read ``$(( ))`` or ``(( ))``, whose opening is ``width`` characters wide."""
        start, depth = self.position, 2
        self.position += width
        while depth > 1:
            char = self.next(
                "[()$'\"\\\\`#\0]|<<", start, "an arithmetic expression does not end in this text"
            )
            depth += {"(": 1, ")": -1}.get(char, 0)
            self._inside_arithmetic(char, is_command=width == 2)
        if self.text[self.position : self.position + 1] != ")":
            self.refuse(start, "put a blank between the two '(' of a subshell")
        self.end(start, self.position)

    def _inside_arithmetic(self, char: str, *, is_command: bool) -> None:
        is_base = char == "#" and self.text[self.position - 1].isalnum()
        if char in "()" or is_base or (char == "<<" and not is_command):
            self.position += len(char)
        elif char in "$\0":
            self.inside(char, "in arithmetic, which evaluates it; compute it in Python")
        else:
            self.refuse(self.position, "this arithmetic expression cannot be followed")

    # Quotes

    def single_quotes(self) -> None:
        """Read 'text'."""
        start = self.position
        end = self.refuse_places(start + 1, "'", "inside single quotes; remove them, values are quoted")
        self.end(start, end)

    def ansi_quotes(self) -> None:
        """Read $'text', which some shells take for a dollar and 'text'."""
        start = self.position
        end = self.refuse_places(start + 2, "'", "inside $'quotes'; remove them, values are quoted")
        match = _ANSI_QUOTES.match(self.text, start)
        if match is None or match.end() != end + 1:
            self.refuse(start, "write the quote inside $'quotes' as \\x27")
        self.end(start, end)

    def end(self, start: int, end: int) -> None:
        """Go behind the last character, at ``end``, of what began at ``start``."""
        if end >= len(self.text):
            self.refuse(start, "a quote does not end in this text")
        self.position = end + 1
        if "\n" in self.text[start:end]:
            self.refuse_pending()

    def double_quotes(self) -> None:
        """Read text in double quotes, with the expansions in it."""
        start = self.position
        self.position += 1
        where = "inside double quotes; remove them, values are quoted"
        while (char := self.next('["\\\\`$\0]', start, "a quote does not end in this text")) != '"':
            self.inside(char, where)
        self.end(start, self.position)

    def inside(self, char: str, where: str) -> None:
        """Step over one special character inside quotes or braces."""
        if char == PLACE:
            self.refuse_place(self.position, where)
        elif char == "\\":
            self.refuse_places(self.position, self.position + 2, where)
            self._refuse_split_expansion()
            self.position += 2
        elif char == "'":
            self.single_quotes()
        elif char == '"':
            self.double_quotes()
        elif char == "`":
            self.backticks(is_quoted=True)
        else:
            self.expansion(is_quoted=True)

    def _refuse_split_expansion(self) -> None:
        is_split = self.text[self.position - 1] in "${" and self.text.startswith("\\\n", self.position)
        if is_split:
            self.refuse(self.position, "write the expansion on one line")

    def backticks(self, *, is_quoted: bool = False) -> None:
        """Read a command in backticks."""
        start = self.position
        self.refuse_places(start + 1, "`", "inside backticks; write $( ), and no quotes around the value")
        match = _BACKTICKS.match(self.text, start)
        if match is None or (is_quoted and '"' in match[1]):
            self.refuse(start, "these backticks cannot be followed; write $( )")
        self.check_command(match[1])
        self.end(start, match.end() - 1)
