"""The loop: takes frames, starts sections, reads what they print, and reports their end."""

from __future__ import annotations

import errno
import os
import select
import sys
import time

try:
    import _signal as signal  # type: ignore[import-not-found]  # the public one imports longer than all the rest
except ImportError:
    import signal

from .frames import BadFrame, Job, Unit
from .link import CHUNK, Link
from .processes import describe_holders
from .section import Section, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = 1
#: After a read of fewer than FEW bytes a stream rests for REST seconds: a line at a time costs too much.
FEW, REST = 2048, 0.001
#: Bytes read when a section has ended: the most that a pipe holds.
LAST = 1 << 20
#: Streams of ended sections that are still read, because a background process prints there.
HELD = 64
#: No memory, processes or space: that may be better later.
FULL = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT)


class Runner:
    """All that runs for one client: a queue of units for each lane, one section at a time in each."""

    def __init__(self, nonce: bytes, source: int = 0, sink: int = 1) -> None:
        self.poll = select.poll()
        self.link = Link(self.poll, source, sink)
        self.handlers: dict[int, Callable[[], object]] = {}
        self.lanes: dict[bytes, list[Unit]] = {}
        self.sections: list[Section] = []
        self.held: list[int] = []
        self.resting: list[Stream] = []
        self.wake = 0.0
        self.is_paused = False
        self.catch_signals()
        self.watch(source, self.hear)
        self.link.emit(b"hello", nonce, VERSION)
        self.link.flush()

    def run(self) -> None:
        """Serve until both the link and the last section are gone."""
        while self.link.is_open or self.sections:
            for source, _ in self.poll.poll(self.pause()):
                self.handlers.get(source, self.link.flush)()
            self.tend()

    def catch_signals(self) -> None:
        """Wake up when a section ends; let nobody but the client end the runner."""
        awake, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        self.watch(awake, lambda: self.reap(awake))

    def watch(self, source: int, handler: Callable[[], object]) -> None:
        """Call a handler whenever there is something to read."""
        self.handlers[source] = handler
        self.poll.register(source, select.POLLIN)

    def forget(self, source: int) -> None:
        """Watch a descriptor no longer."""
        del self.handlers[source]
        self.poll.unregister(source)

    def pause(self) -> float:
        """Return how long to wait for the next event, in milliseconds."""
        deadlines = [section.deadline for section in self.sections]
        if self.link.is_open:
            deadlines.append(self.link.deadline)
        if self.resting:
            deadlines.append(self.wake)
        return max(0.0, min(deadlines, default=0.0) - time.monotonic()) * 1000

    def tend(self) -> None:
        """Do what is due: sending, limits, back-pressure, leaving."""
        now = time.monotonic()
        self.link.tend(now)
        if self.resting and now >= self.wake:
            self.turn_pipes(self.resting)
            self.resting = []
        for section in self.sections[:]:
            section.heard = now if self.is_paused else section.heard
            if now >= section.deadline and section.enforce(now):
                self.finish(section)
        if self.is_paused != self.link.is_slow:
            self.is_paused = not self.is_paused
            self.turn_pipes([stream for section in self.sections for stream in section.streams])
        if not self.link.is_open and self.link.source in self.handlers:
            self.leave()

    def turn_pipes(self, streams: list[Stream]) -> None:
        """Read streams again; but not while the link is slower than they are."""
        for stream in streams:
            if stream.is_open and stream.source in self.handlers:
                self.poll.modify(stream.source, 0 if self.is_paused else select.POLLIN)

    def rest(self, stream: Stream) -> None:
        """Let a stream fill up a little, while its end is still seen at once."""
        self.poll.modify(stream.source, 0)
        self.wake = self.wake if self.resting else time.monotonic() + REST
        self.resting.append(stream)

    def leave(self) -> None:
        """Begin nothing any more: the client is gone."""
        self.forget(self.link.source)
        for lane, units in list(self.lanes.items()):
            self.lanes[lane] = [unit for unit in units if unit.is_running]
            for unit in units:
                unit.jobs.clear()

    # What the client wants

    def hear(self) -> None:
        """Take the frames that have arrived."""
        for (name, _, *words), body in self.link.read():
            try:
                self.obey(name, words, body)
            except (BadFrame, ValueError):
                self.link.close()
                return

    def obey(self, name: bytes, words: list[bytes], body: bytes) -> None:
        """Do what a frame says; frames of later versions are left alone."""
        if name == b"unit":
            self.accept(Unit(words, body))
        elif name == b"cancel":
            for id in words:
                self.cancel(id)
        elif name == b"alive":
            self.link.emit(b"alive")
            self.link.flush()

    def accept(self, unit: Unit) -> None:
        """Put a unit at the end of its lane."""
        units = self.lanes.setdefault(unit.lane, [])
        units.append(unit)
        if len(units) == 1:
            self.advance(unit.lane)

    def cancel(self, id: bytes) -> None:
        """Drop what has not begun of a unit, and kill what runs of it."""
        for units in self.lanes.values():
            for unit in units:
                if unit.id == id:
                    unit.jobs.clear()
        for section in self.sections:
            if section.unit.id == id and not section.killed:
                section.terminate(b"-")

    # Sections

    def advance(self, lane: bytes) -> None:
        """Start the next section of a lane in which none is running."""
        units = self.lanes[lane]
        while units:
            unit = units[0]
            while unit.jobs:
                if self.start(unit, unit.jobs.pop(0)):
                    return
            self.link.emit(b"end", unit.id)
            self.link.flush()
            units.pop(0)
        del self.lanes[lane]

    def start(self, unit: Unit, job: Job) -> bool:
        """Start a job and tell whether it runs; if not, the client is told why."""
        missing = [id for id in job.needs if id not in unit.succeeded]
        if missing:
            self.link.emit(b"done", job.id, b"-", 0, b"-", missing[0], 0, 0)
            return False
        try:
            section = Section(unit, job)
        except OSError as error:
            self.refuse(unit, job, error)
            return False
        unit.is_running = unit.has_begun = True
        self.sections.append(section)
        self.link.emit(b"started", job.id)
        for stream in section.streams:
            self.watch(stream.source, lambda stream=stream: self.read(section, stream))  # type: ignore[misc]
        self.turn_pipes(section.streams)
        return True

    def refuse(self, unit: Unit, job: Job, error: OSError) -> None:
        """Say why a job did not start; a unit of which nothing ran may be tried again later."""
        reason = os.strerror(error.errno or 0).encode()
        if error.errno in FULL and not unit.has_begun:
            unit.jobs.clear()
            self.link.emit(b"refused", unit.id, body=reason)
        else:
            self.link.emit(b"done", job.id, b"-", 0, b"-", b"-", 0, 0, body=reason)

    def read(self, section: Section, stream: Stream, size: int = CHUNK) -> bool:
        """Pass on what a section printed; false when it printed nothing."""
        try:
            data = os.read(stream.source, size)
        except BlockingIOError:
            return False
        if not data:
            self.forget(stream.source)
            stream.close()
            return False
        section.heard = time.monotonic()
        head = stream.take(data)
        if head:
            self.link.emit(b"output", section.job.id, stream.number, body=head)
        if len(data) < FEW:
            self.rest(stream)
        return True

    def reap(self, awake: int) -> None:
        """Collect the sections whose own process has ended."""
        os.read(awake, CHUNK)
        for section in self.sections[:]:
            if section.reap() and not section.killed:
                self.finish(section)

    def finish(self, section: Section) -> None:
        """Report a section that is over, and start the next of its lane."""
        unit, job = section.unit, section.job
        for stream in section.streams:  # what it printed is in the pipe, so one read has it, one sees the end
            if stream.is_open and self.read(section, stream, LAST):
                self.read(section, stream)
        held = [stream for stream in section.streams if stream.is_open]
        notes = section.notes + describe_holders({stream.link: stream.name for stream in held})
        for stream in section.streams:
            if last := stream.last():
                self.link.emit(b"tail", job.id, stream.number, body=last)
        self.link.emit(b"done", job.id, *section.outcome(), body=b"\n".join([b"", *notes]))
        for stream in held:
            self.hold(stream.source)
        section.script.close()
        self.sections.remove(section)
        unit.is_running = False
        if section.is_success:
            unit.succeeded.add(job.id)
        self.advance(unit.lane)

    # Background processes

    def hold(self, source: int) -> None:
        """Read and drop what a background process prints, so that it does not die of printing."""
        self.forget(source)
        self.watch(source, lambda: self.drop(source))
        self.held.append(source)
        if len(self.held) > HELD:
            self.release(self.held[0])

    def drop(self, source: int) -> None:
        """Read what a background process printed; close the stream after the last of them."""
        try:
            if not os.read(source, CHUNK):
                self.release(source)
        except BlockingIOError:
            return

    def release(self, source: int) -> None:
        """Close the stream of a background process."""
        self.forget(source)
        self.held.remove(source)
        os.close(source)


def main() -> None:
    """Serve the client on stdin and stdout."""
    Runner(sys.argv[1].encode()).run()


if __name__ == "__main__":
    main()
