"""What is kept of an output stream, whatever its size: its head and its end."""

from __future__ import annotations

#: Bytes by which the end may grow before its beginning is cut off.
SLACK = 1 << 18


class Clip:
    """The first ``cap`` bytes are passed on at once; of what follows, the last ``tail`` bytes are kept."""

    def __init__(self, cap: int, tail: int) -> None:
        self.room, self.tail = cap, tail
        self.size, self.end = 0, bytearray()

    def take(self, data: bytes) -> bytes:
        """Count what was printed, and return the part of it that belongs to the head."""
        self.size += len(data)
        head = data[: self.room]
        self.room -= len(head)
        if len(head) < len(data):
            self.end += data[len(head) :]
        if len(self.end) > self.tail + SLACK:
            self.end = bytearray(self.last())
        return head

    def last(self) -> bytes:
        """Return the last bytes of what came after the head."""
        return bytes(self.end[-self.tail :]) if self.tail else b""
