"""What a backend appended: text and Python calls, grouped by the method that runs them."""

from __future__ import annotations

from collections.abc import Sequence

from orchestration.scripts import Call
from orchestration.shell import Shell

#: Lines that are kept one by one before they are joined: short strings cost more than they hold.
_LOOSE = 256


class Text:
    """Shell text that grows line by line, and what people see of it when there are secrets in it."""

    __slots__ = ("_chunks", "_lines", "_shown", "secrets")

    def __init__(self, chunks: Sequence[str] = ()) -> None:
        self._chunks, self._lines = list(chunks), list[str]()
        self._shown: Text | None = None
        self.secrets: dict[str, None] = {}

    def add(self, line: str) -> None:
        """Add one or several lines."""
        if isinstance(line, Shell) and line.secrets:
            self.secrets.update(dict.fromkeys(line.secrets))
            self._shown = self._shown or self._copy()
        if self._shown is not None:
            self._shown.add(line.shown if isinstance(line, Shell) else line)
        self._lines.append(line)
        if len(self._lines) >= _LOOSE:
            self._compact()

    def take(self) -> list[str]:
        """Return the text in few pieces, to be joined by newlines, and forget it."""
        self._compact()
        chunks, self._chunks = self._chunks, []
        return chunks

    def shown(self) -> list[str]:
        """Return the same with secrets masked, and keep it."""
        self._compact()
        return list(self._chunks) if self._shown is None else self._shown.shown()

    def _copy(self) -> Text:
        self._compact()
        return Text(self._chunks)

    def _compact(self) -> None:
        if self._lines:
            self._chunks.append("\n".join(self._lines))
            self._lines.clear()


class Commands:
    """The commands of one method in one part of a script."""

    __slots__ = ("calls", "has_frame", "is_explicit", "shown_calls", "text")

    def __init__(self) -> None:
        self.text = Text()
        self.calls: list[Call] = []
        self.shown_calls: list[str] = []
        #: ``super().prepare()`` or ``super().commit()`` wrote its lines.
        self.has_frame = False
        #: There is more than that.
        self.is_explicit = False


class Part(dict[str, Commands]):
    """Head, content or tail of a script: commands by method, in the order of their first use."""

    def __missing__(self, method: str) -> Commands:
        commands = self[method] = Commands()
        return commands

    def __bool__(self) -> bool:
        return any(commands.is_explicit for commands in self.values())
