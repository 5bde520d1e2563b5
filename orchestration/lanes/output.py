"""The text of one output stream: decoded, masked, its head and tail kept, whatever is printed."""

from __future__ import annotations

import codecs

from orchestration.shell import mask

MARKER = "\n[… {:,} bytes left out …]\n"


class Stream:
    """Takes the bytes of a stream as they come; ``text`` is what people may read of them so far."""

    def __init__(self, secrets: tuple[str, ...] = (), *, cap: int, tail: int) -> None:
        #: True size in bytes.
        self.size = 0
        self._cap, self._tail_size = cap, tail
        self._head_size, self._tail = 0, b""
        self._secrets = secrets
        self._overlap = max(map(len, secrets), default=1) - 1
        self._parts: list[str] = []
        self._held = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    @property
    def text(self) -> str:
        """Return what can be read; what may be the beginning of a secret is held back until the end."""
        self._parts = ["".join(self._parts)]
        return self._parts[0]

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        room = self._cap - self._head_size
        head, rest = data[:room], data[room:]
        self.size += len(data)
        self._head_size += len(head)
        self._push(self._decoder.decode(head))
        if rest:
            self._tail = (self._tail + rest)[-self._tail_size :]

    def close(self, size: int = 0, tail: bytes = b"") -> None:
        """Complete the text, with what the far end says of the whole: its true size and its tail."""
        self.size = max(self.size, size)
        after_head = self.size - self._head_size
        tail = (tail or self._tail)[-after_head:] if after_head else b""
        if after_head == len(tail):
            self._push(self._decoder.decode(tail, final=True))
            self._parts.append(self._held)
        else:
            self._push(self._decoder.decode(b"", final=True))
            text = mask(storable(tail.decode(errors="replace")), self._secrets)
            marker = MARKER.format(after_head - len(tail))
            self._parts += [self._without_beginning(self._held), marker, self._without_end(text)]
        self._held = ""

    def _push(self, text: str) -> None:
        text = mask(self._held + storable(text), self._secrets)
        cut = max(len(text) - self._overlap, 0)
        self._parts.append(text[:cut])
        self._held = text[cut:]

    def _without_beginning(self, text: str) -> str:
        """Cut what is the beginning of a secret off the end of a text."""
        starts = (secret[:size] for secret in self._secrets for size in range(len(secret) - 1, 0, -1))
        return text[: len(text) - max((len(start) for start in starts if text.endswith(start)), default=0)]

    def _without_end(self, text: str) -> str:
        """Cut what is the end of a secret off the beginning of a text."""
        ends = (secret[size:] for secret in self._secrets for size in range(1, len(secret)))
        return text[max((len(end) for end in ends if text.startswith(end)), default=0) :]


def storable(text: str) -> str:
    """Return the text as every database takes it: without NUL and halves of characters."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()
