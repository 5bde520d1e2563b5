"""The link to the client: frames in, frames out, never waiting for either."""

from __future__ import annotations

import os
import select
import time

from .frames import BadFrame, take_frame

#: Bytes read at once: what a pipe holds.
CHUNK = 65536
#: What waits for the link is sent when so many bytes wait, when nothing was added for GATHER seconds, or
#: when the first of it waits for LATEST seconds.
FLUSH, GATHER, LATEST = 32768, 0.002, 0.02
#: Bytes that may wait for the link before it counts as slow.
UNSENT = 1 << 20
#: Seconds without a byte from the client after which it counts as gone.
UNHEARD = 600.0


class Link:
    """Both directions, until the client is gone."""

    def __init__(self, poll: select.poll, source: int, sink: int) -> None:
        self.poll, self.source, self.sink = poll, source, sink
        self.received, self.unsent = bytearray(), bytearray()
        self.is_open, self.is_blocked = True, False
        self.heard = self.first = self.last = time.monotonic()
        os.set_blocking(sink, False)

    @property
    def is_slow(self) -> bool:
        """Tell whether sections should wait until more of what they printed is sent."""
        return len(self.unsent) > UNSENT

    @property
    def deadline(self) -> float:
        """Return when to call ``tend``."""
        if not self.unsent or self.is_blocked:
            return self.heard + UNHEARD
        return 0.0 if len(self.unsent) >= FLUSH else min(self.last + GATHER, self.first + LATEST)

    def tend(self, now: float) -> None:
        """Send what was gathered; close when the client was not heard for too long."""
        if now >= self.heard + UNHEARD:
            self.close()
        elif self.is_open and now >= self.deadline:
            self.flush()

    def emit(self, name: bytes, *words: bytes | int, body: bytes = b"") -> None:
        """Queue a frame."""
        if not self.is_open:
            return
        self.last = time.monotonic()
        if not self.unsent:
            self.first = self.last
        texts = [word if isinstance(word, bytes) else b"%d" % word for word in (name, len(body), *words)]
        self.unsent += b"%s\n%s" % (b" ".join(texts), body)

    def flush(self) -> None:
        """Send what the link takes now; the rest follows when it takes more."""
        try:
            while self.unsent:
                del self.unsent[: os.write(self.sink, self.unsent)]
        except BlockingIOError:
            self.poll.register(self.sink, select.POLLOUT)
            self.is_blocked = True
        except OSError:
            self.close()
        else:
            self.unblock()

    def unblock(self) -> None:
        """Wait no longer for the link to take more."""
        if self.is_blocked:
            self.poll.unregister(self.sink)
            self.is_blocked = False

    def close(self) -> None:
        """Let go of the client, and forget what is only half there."""
        if not self.is_open:
            return
        self.unblock()
        self.is_open = False
        self.received, self.unsent = bytearray(), bytearray()
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, self.source)
        os.dup2(null, self.sink)
        os.close(null)

    def read(self) -> list[tuple[list[bytes], bytes]]:
        """Return the frames that are now whole: words and body each. Closes at the end."""
        try:
            data = os.read(self.source, CHUNK)
        except OSError:
            data = b""
        self.heard = time.monotonic()
        self.received += data
        frames = []
        try:
            while data and (frame := take_frame(self.received)):
                frames.append(frame)
        except BadFrame:
            data = b""
        if not data:
            self.close()
        return frames
