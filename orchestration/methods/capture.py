"""Capture what one thread prints, while the others print where they always did."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: Where this context prints, by the name of the stream it replaces.
_targets: ContextVar[dict[str, io.TextIOWrapper] | None] = ContextVar("orchestration_prints", default=None)


class Divided:
    """Stands for ``sys.stdout`` or ``sys.stderr``: each context reaches its own target, or the original."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.original = getattr(sys, name)

    def __getattr__(self, attribute: str) -> object:
        targets = _targets.get()
        return getattr(targets[self.name] if targets else self.original, attribute)


@contextmanager
def captured(stdout: io.RawIOBase, stderr: io.RawIOBase) -> Iterator[None]:
    """Send what this context prints to two raw streams, as UTF-8, line by line."""
    targets = {name: _text(raw) for name, raw in (("stdout", stdout), ("stderr", stderr))}
    token = _targets.set(targets)
    _replacements.enter()
    try:
        yield
    finally:
        for target in targets.values():
            target.flush()
        _replacements.leave()
        _targets.reset(token)


def _text(raw: io.RawIOBase) -> io.TextIOWrapper:
    buffer = io.BufferedWriter(raw)
    return io.TextIOWrapper(
        buffer, encoding="utf-8", errors="backslashreplace", newline="\n", line_buffering=True
    )


class Replacements:
    """The replaced streams of ``sys``, there as long as anybody captures."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._streams: list[Divided] = []

    def enter(self) -> None:
        """Replace the streams, if nobody did."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._streams = [Divided("stdout"), Divided("stderr")]
                for stream in self._streams:
                    setattr(sys, stream.name, stream)

    def leave(self) -> None:
        """Put the originals back after the last, unless somebody else has put something there since."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            for stream in self._streams:
                if getattr(sys, stream.name) is stream:
                    setattr(sys, stream.name, stream.original)


_replacements = Replacements()
