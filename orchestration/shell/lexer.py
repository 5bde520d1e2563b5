"""Where in a shell script a quoted value is safe: a scanner that refuses what it cannot follow."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .evaluation import evaluator
from .quoting import PLACE, Reader

# Blanks are those of shells: \s would take others of Unicode for blanks, too.
_RUN = re.compile(r"""[^ \t\n\\'"`$<>&|;()#\0]+""")
_DELIMITER = re.compile(r"""[ \t]*((?:'[^'\n\0]*'|"[^"\n\\`$\0]*"|\\[^\n\0]|[^ \t\n\\'"`$<>&|;()\0])+)""")
_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)"|\\(.)""", re.DOTALL)
_SUBSCRIPT = re.compile(r"[A-Za-z_]\w*\[|\[(?![\[ \t\n])")
_ARRAY = re.compile(r"[A-Za-z_]\w*(?:\[.*\])?\+?=", re.DOTALL)
_DUPLICATION = re.compile(r"[<>]&(?:-|(?:[ \t]|\\\n)*)")
_NUMERIC_TEST = re.compile(r"\s-(?:eq|ne|lt|le|gt|ge|v)\s")
_BARE_BEFORE = re.compile(r"[A-Za-z0-9_/.:@=+\0-]*")
_BARE_BEHIND = re.compile(r"[A-Za-z0-9_/.:@+\0 \t\n;)|-]|\Z")
_WORD_END = re.compile(r"[ \t\n;)|&]|\Z")
_EXPANSION = re.compile(r"[\\`$]")
_OPEN_LINE = re.compile(r"(?<!\\)(?:\\\\)*\\\n\Z")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value goes."""

    line: int
    #: The value is a whole word, so that a list may become several.
    is_word: bool
    #: Its neighbours could give a bare value another meaning (``%(n)s>file``): quotes always.
    is_glued: bool


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A heredoc whose body begins on the next line."""

    delimiter: str
    is_literal: bool
    strips_tabs: bool


class Scanner(Reader):
    """Reads shell text once, from left to right, as bash and POSIX shells do.

    It is stricter than they are: what two of them read differently is refused, so that a value can
    never be somewhere else than it seems to be.
    """

    def __init__(self, text: str, names: list[str], *, first_line: int = 1) -> None:
        super().__init__(text, names, first_line=first_line)
        self.found: list[Place] = []
        #: Heredocs whose bodies have not begun.
        self.heredocs: list[Heredoc] = []
        #: Where a word begins that bash expands twice.
        self.descriptor = -1
        self.steps = {
            "\n": self._newline,
            "\\": self._backslash,
            "'": self.single_quotes,
            '"': self.double_quotes,
            "`": self.backticks,
            "$": self._dollar,
            "<": self._redirection,
            ">": self._redirection,
            "(": self._opening,
            ")": self._closing,
            "#": self._hash,
            PLACE: self._place,
        }

    def places(self) -> list[Place]:
        """Return the places of all values in order; UnsafeTemplate when one is not safe."""
        while self.position < len(self.text):
            self.step()
        self.refuse_pending()
        return self.found

    def step(self) -> None:
        """Read the next piece of a command, outside of quotes."""
        self.steps.get(self.text[self.position], self._plain)()

    def refuse_pending(self) -> None:
        """Raise UnsafeTemplate when the body of a heredoc would have to begin here."""
        if self.heredocs:
            self.refuse(self.position, "a heredoc must begin on the next line, and end in this text")

    def check_command(self, text: str) -> None:
        """Raise UnsafeTemplate when a command is not whole."""
        Scanner(text, []).places()

    # Commands

    def _plain(self) -> None:
        run = _RUN.match(self.text, self.position)
        if run is None:
            self._separate(1)
            return
        if self.word == self.position:
            self._begin_word(run[0])
        self.position = run.end()

    def _separate(self, width: int) -> None:
        self.position += width
        self.word = self.position

    def _begin_word(self, run: str) -> None:
        if run == "case" and self.depth is not None:
            self.refuse(self.position, "'case' inside \"$( )\" cannot be followed")
        if subscript := _SUBSCRIPT.match(self.text, self.position):
            self.refuse_places(subscript.end(), "]", "in brackets, which bash may evaluate")
        if run == "[[":
            self._refuse_numeric_test()

    def _refuse_numeric_test(self) -> None:
        end = self.find("]]", self.position)
        if _NUMERIC_TEST.search(self.text, self.position, end):
            self.refuse_places(self.position, "]]", "in a numeric test of [[ ]], which evaluates it; use [ ]")

    def _place(self) -> None:
        if self.word == self.descriptor:
            self.refuse_place(self.position, "behind >& or <&, which bash expands twice; write >file 2>&1")
        if builtin := evaluator(self.text[: self.position]):
            self.refuse_place(
                self.position, f"an argument of {builtin}, which may run it; give Raw text if it is code"
            )
        before, behind = self.text[self.word : self.position], self.position + 1
        self.found.append(
            Place(
                line=self.line(self.position),
                is_word=not before and bool(_WORD_END.match(self.text, behind)),
                is_glued=not (_BARE_BEFORE.fullmatch(before) and _BARE_BEHIND.match(self.text, behind)),
            )
        )
        self.position = behind

    def _backslash(self) -> None:
        escaped = self.text[self.position + 1 : self.position + 2]
        if escaped == PLACE:
            self.refuse_place(self.position + 1, "behind a backslash")
        if not escaped:
            self.refuse(self.position, "the last line goes on, behind its backslash")
        if escaped == "\n":
            self._continue_line()
            return
        self.position += 2

    def _continue_line(self) -> None:
        """Step over a line's end that shells take out before they look for words."""
        if self.text[self.position - 1 : self.position] not in ("", " ", "\t", "\n"):
            self.refuse(self.position, "put a blank before the backslash at the end of the line")
        self._separate(2)

    def _hash(self) -> None:
        if self.word < self.position:
            self.position += 1
            return
        if self.text[self.position - 1 : self.position] == ")":
            self.refuse(self.position, "put a blank between ')' and '#'")
        end = self.refuse_places(self.position, "\n", "in a comment, which a value of two lines would leave")
        self._separate(end - self.position)

    def _opening(self) -> None:
        self.refuse_pending()
        if self.text.startswith("((", self.position):
            self.arithmetic(2)
            self._separate(0)
            return
        if _ARRAY.fullmatch(self.text, self.word, self.position):
            self._array()
            return
        self.depth = None if self.depth is None else self.depth + 1
        self._separate(1)

    def _array(self) -> None:
        """Read a=(words): after a mistake in it bash goes on with the next line, be it inside quotes."""
        start = self.position
        self._separate(1)
        while (char := self.text[self.position : self.position + 1]) != ")":
            if char in ("", *";&|<>("):
                self.refuse(start, "only words may stand in an array, and its end in this text")
            if self.text.startswith("$(", self.position):
                self.expansion(is_quoted=False)
            else:
                self.step()
        self._separate(1)

    def _closing(self) -> None:
        self.refuse_pending()
        self.depth = None if self.depth is None else self.depth - 1
        self._separate(1)

    def _dollar(self) -> None:
        follower = self.text[self.position + 1 : self.position + 2]
        if follower == PLACE:
            self.refuse_place(self.position + 1, "behind a $")
        elif follower == "'":
            self.ansi_quotes()
        elif follower == '"':
            self.position += 1
        elif follower == "[":
            self.refuse(self.position, "write $(( )) for $[ ]")
        elif follower == "(" and not self.text.startswith("$((", self.position):
            self.position += 1
            self._opening()
        else:
            self.expansion(is_quoted=False)

    # Heredocs

    def _redirection(self) -> None:
        if self.text.startswith("<<<", self.position):
            self._separate(3)
        elif self.text.startswith("<<", self.position):
            self._heredoc()
        elif match := _DUPLICATION.match(self.text, self.position):
            self._separate(len(match[0]))
            self.descriptor = self.position
            if match[0].endswith("-") and not _WORD_END.match(self.text, self.position):
                self.refuse(self.position, "put a blank behind >&-")
        else:
            self._separate(1)

    def _heredoc(self) -> None:
        start = self.position
        strips_tabs = self.text.startswith("<<-", start)
        match = _DELIMITER.match(self.text, start + (3 if strips_tabs else 2))
        behind = match.end() if match else start + 2
        if self.text[behind : behind + 1] == PLACE:
            self.refuse_place(behind, "in the delimiter of a heredoc")
        if match is None or self.text[behind : behind + 1] in ("$", "`", "\\", "'", '"'):
            self.refuse(start, "the delimiter of this heredoc cannot be followed")
        is_literal = any(char in match[1] for char in "'\"\\")
        self.heredocs.append(Heredoc(_unquoted(match[1]), is_literal, strips_tabs))
        self._separate(behind - start)

    def _newline(self) -> None:
        self._separate(1)
        for heredoc in self.heredocs:
            start = self.position
            end = self._skip_body(heredoc)
            self.refuse_places(start, end, "in a heredoc; write: printf '%s\\n' with the value as a word")
            if not heredoc.is_literal:
                self._check_body(start, end)
        self.heredocs = []
        self.word = self.position

    def _skip_body(self, heredoc: Heredoc) -> int:
        """Go behind the delimiter's line and return where it begins."""
        start = self.position
        while True:
            if self.position >= len(self.text):
                self.refuse(start, "a heredoc does not end in this text")
            begin, end = self.position, self.find("\n", self.position)
            line = self.text[begin:end]
            line = line.lstrip("\t") if heredoc.strips_tabs else line
            self.position = end + 1
            if line == heredoc.delimiter:
                return begin
            if line.startswith(heredoc.delimiter) and ")" in line:
                self.refuse(begin, "put the ')' on a line of its own")

    def _check_body(self, start: int, end: int) -> None:
        """Refuse a body that runs on behind its end, through an open line, quote or expansion."""
        body = self.text[start:end]
        if _OPEN_LINE.search(body):
            self.refuse(end, "the last line of this heredoc goes on, behind its backslash")
        Scanner(body, [], first_line=self.line(start)).expansions()

    def expansions(self) -> None:
        """Read text in which only expansions and backslashes are special."""
        while match := _EXPANSION.search(self.text, self.position):
            self.position = match.start()
            self.inside(match[0], "")


def _unquoted(word: str) -> str:
    return _QUOTED.sub(lambda match: "".join(filter(None, match.groups())), word)
