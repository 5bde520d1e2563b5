"""What a backend appended: text and Python calls, grouped by the method that runs them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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

    def __bool__(self) -> bool:
        return bool(self._chunks or self._lines)

    def add(self, line: str) -> None:
        """Add one or several lines."""
        if isinstance(line, Shell) and line.secrets:
            self.secrets.update(dict.fromkeys(line.secrets))
            self._shown = self._shown or Text(self.chunks())
        if self._shown is not None:
            self._shown.add(line.shown if isinstance(line, Shell) else line)
        self._lines.append(line)
        if len(self._lines) >= _LOOSE:
            self._compact()

    def chunks(self) -> list[str]:
        """Return the text in few pieces, to be joined by newlines."""
        if self._lines:
            self._compact()
        return self._chunks

    def shown_chunks(self) -> list[str]:
        """Return the same with secrets masked."""
        return self.chunks() if self._shown is None else self._shown.chunks()

    def _compact(self) -> None:
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


class Part:
    """Head, content or tail of a script: commands by method, in the order of their first use."""

    __slots__ = ("_methods",)

    def __init__(self) -> None:
        self._methods: dict[str, Commands] = {}

    def __bool__(self) -> bool:
        return any(commands.is_explicit for commands in self._methods.values())

    def __iter__(self) -> Iterator[str]:
        return iter(self._methods)

    def __getitem__(self, method: str) -> Commands:
        try:
            return self._methods[method]
        except KeyError:
            return self._methods.setdefault(method, Commands())

    def get(self, method: str) -> Commands | None:
        """Return the commands of a method, None when there are none."""
        return self._methods.get(method)
