"""Where in a shell script a quoted value is safe: a scanner that refuses what it does not follow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from orchestration.exceptions import UnsafeTemplate

#: Stands for a value in the text that is scanned: no shell text can contain it.
PLACE = "\0"

_RUN = re.compile(r"""[^\s\\'"`$<>&|;()#\0]+""")
_GLUE_BEFORE = re.compile(r"[A-Za-z0-9_/.:@=+\0-]*")
_GLUE_BEHIND = re.compile(r"[A-Za-z0-9_/.:@+\0\s;)|-]|\Z")
_WORD_END = re.compile(r"[\s;)|&]|\Z")
_SUBSCRIPT = re.compile(r"[A-Za-z_]\w*\[|\[(?![\[\s])")
_DELIMITER = re.compile(r"""(?:'[^'\n]*'|"[^"\n\\`$]*"|\\[^\n\0]|[^\s\\'"`$<>&|;()\0])+""")
_COMPARISON = re.compile(r"\s-(?:eq|ne|lt|le|gt|ge|v)\s")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value goes."""

    line: int
    #: The value is a whole word, so that a list may become several.
    is_word: bool
    #: Its neighbours could give a bare value another meaning (``%(n)s>file``): quotes always.
    is_glued: bool


class Scanner:
    """Reads shell text once, from left to right, as bash and POSIX shells would.

    It is stricter than they are: whatever two shells, or two versions of one, read differently is
    refused, so that a value can never be somewhere else than it seems.
    """

    def __init__(self, text: str, names: list[str]) -> None:
        self.text, self.names, self.position = text, names, 0
        #: Heredocs whose bodies begin at the next line: delimiter, is literal, strips tabs.
        self.heredocs: list[tuple[str, bool, bool]] = []
        self.found: list[Place] = []
        self.word = 0

    def places(self) -> list[Place]:
        """Return the places of all values; UnsafeTemplate when one is not safe."""
        for match in re.finditer(PLACE, self.text):
            before = self.text[: match.start()]
            self.found.append(Place(before.count("\n") + 1, is_word=True, is_glued=False))
        return self.found
