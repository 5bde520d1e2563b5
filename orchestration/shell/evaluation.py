"""Builtins of shells that run what they are given: quotes do not protect a value there."""

from __future__ import annotations

import re

#: Where a command begins; words such as "read" and "local" are harmless behind others.
_COMMAND = (
    r"(?:\A|[\n;&|(){}!`]|=\S*[ \t]"
    r"|(?<![\w./-])(?:if|then|elif|else|while|until|do|time|command|builtin)[ \t])[ \t]*"
)
#: Anything of the same command, redirections too.
_ARGUMENTS = r"[ \t](?:[^\n;&|]|[<>]&)*"
#: The beginning of a word, unless it is the file of a redirection.
_WORD = r"(?<![<> \t])[ \t]+[^ \t<>]*\Z"

# Found by running each builtin of bash 5.2 on a[$(command)], on ($(command)) and on a command.
_EVALUATIONS = tuple(
    map(
        re.compile,
        (
            rf"(?<![\w./-])(eval|let|unset){_ARGUMENTS}\Z",
            rf"{_COMMAND}(read|trap|mapfile|readarray|compgen|complete)(?:{_ARGUMENTS})?{_WORD}",
            # The name of a variable may have a subscript; the value is text, unless it is a number or array.
            rf"{_COMMAND}(declare|typeset|local)(?:{_ARGUMENTS})?(?<![<> \t])[ \t]+[^ \t<>=]*\Z",
            rf"{_COMMAND}(declare|typeset|local|readonly|export)"
            rf"(?:{_ARGUMENTS})?[ \t][-+][A-Za-z]*[aAin][A-Za-z]*{_ARGUMENTS}\Z",
            r"(?<![\w./-])(printf|test|\[)[ \t](?:[^\n;&|]*[ \t])?-v[ \t]*[^ \t]*\Z",
        ),
    )
)


def evaluator(text: str) -> str | None:
    """Return the builtin that would evaluate a value at the end of a text, if one would."""
    text = text.replace("\\\n", " ")
    return next((match[1] for found in _EVALUATIONS if (match := found.search(text))), None)
