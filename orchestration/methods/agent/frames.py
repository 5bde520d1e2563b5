"""Frames, as both ends read them: a line ``name size word …`` and then ``size`` bytes.

To the runner: ``unit``, ``cancel``, ``alive``. From it: ``hello``, ``started``, ``output``, ``tail``,
``done``, ``refused``, ``end``, ``alive``. There are no end marks, so that what a section prints cannot
imitate a frame.
"""

from __future__ import annotations

#: Longest line and longest body that are accepted, in bytes.
LINE, BODY = 4096, 1 << 28
ID = frozenset(b"0123456789abcdef-")


class BadFrame(Exception):
    """The other end sent what is no frame, so nothing behind it can be trusted."""


def take_frame(received: bytearray) -> tuple[list[bytes], bytes] | None:
    """Remove the first frame from what was received; return its words and body, or None until it is whole."""
    end = received.find(b"\n", 0, LINE)
    if end < 0:
        if len(received) >= LINE:
            raise BadFrame
        return None
    words = bytes(received[:end]).split(b" ")
    if len(words) < 2 or not words[1].isdigit() or int(words[1]) > BODY:
        raise BadFrame
    stop = end + 1 + int(words[1])
    if len(received) < stop:
        return None
    body = bytes(received[end + 1 : stop])
    del received[:stop]
    return words, body


def is_id(text: bytes) -> bool:
    """Tell whether a text is an id, and so harmless in an environment and as the name of a file."""
    return 0 < len(text) <= 64 and ID.issuperset(text)


class Job:
    """One process to be run: ``id size idle total needs executable``, the last in words with tabs."""

    def __init__(self, line: bytes) -> None:
        self.id, size, idle, total, needs, argv = line.split(b" ", 5)
        self.size, self.idle, self.total = int(size), float(idle), float(total)
        self.needs = [id for id in needs.split(b",") if id != b"-"]
        self.argv = argv.split(b"\t")
        self.text = memoryview(b"")
        if not is_id(self.id) or self.size < 0:
            raise BadFrame


class Unit:
    """Jobs of one lane, in order: a line each, an empty line, and then their texts. Raises ValueError too."""

    def __init__(self, words: list[bytes], body: bytes) -> None:
        self.id, self.lane, epoch, cap, tail = words
        self.epoch, self.cap, self.tail = int(epoch), int(cap), int(tail)
        position = body.index(b"\n\n") + 2
        self.jobs = [Job(line) for line in body[: position - 2].split(b"\n") if line]
        for job in self.jobs:
            job.text = memoryview(body)[position : position + job.size]
            position += job.size
        if not is_id(self.id) or not is_id(self.lane) or position != len(body):
            raise BadFrame
        #: Ids of jobs that succeeded; whether one runs now, and whether one ever began.
        self.succeeded: set[bytes] = set()
        self.is_running = self.has_begun = False
