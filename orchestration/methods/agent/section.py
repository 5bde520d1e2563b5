"""A running section: its process group, its streams, its limits and its end."""

from __future__ import annotations

import os
import time

try:
    import _signal as signal  # type: ignore[import-not-found]  # the public one imports longer than all the rest
except ImportError:
    import signal

from .clip import Clip
from .frames import Job, Unit
from .processes import MARK, find_members

#: Seconds between TERM and KILL, again before giving up, and between looks whether all have ended.
GRACE, LOOK = 2.0, 0.05
#: The signals that a section starts with as if nobody had touched them.
SIGNALS = [number for number in range(1, 32) if number not in (signal.SIGKILL, signal.SIGSTOP)]


class Section:
    """The process of a job, and all that comes of it. Raises OSError when it cannot start."""

    def __init__(self, unit: Unit, job: Job) -> None:
        self.unit, self.job = unit, job
        self.script = Script(job.text)
        try:
            self.pid, sources = spawn(job, self.script.path)
        except OSError:
            self.script.close()
            raise
        self.streams = [Stream(number, source, unit) for number, source in enumerate(sources, 1)]
        self.started = self.heard = time.monotonic()
        self.status: int | None = None
        #: The limit it broke, the signal it was sent for that, and when to look and to lose patience.
        self.limit, self.killed, self.look, self.stop = b"-", 0, 0.0, 0.0
        self.notes: list[bytes] = []

    @property
    def deadline(self) -> float:
        """Return when to call ``enforce``."""
        if self.killed:
            return self.look
        return min(self.heard + self.job.idle, self.started + self.job.total)

    @property
    def is_success(self) -> bool:
        """Tell whether it ended by itself, with status 0."""
        return self.status == 0 and not self.killed

    def enforce(self, now: float) -> bool:
        """Kill it at a limit, first gently; tell whether it is over."""
        if not self.killed:
            self.terminate(b"total" if now >= self.started + self.job.total else b"idle")
            return False
        members = find_members(self.pid, self.job.id)
        if self.status is not None and not members:
            return True
        if self.killed == signal.SIGKILL and now >= self.stop:
            self.notes.append(b"could not be killed: pid " + b", ".join(b"%d" % pid for pid in members))
            return True
        if now >= self.stop:
            self.killed, self.stop = signal.SIGKILL, now + GRACE
        if self.killed == signal.SIGKILL:
            self.send(members)
        self.look = now + LOOK
        return False

    def terminate(self, limit: bytes) -> None:
        """Ask it to end, and set the time after which it is made to."""
        now = time.monotonic()
        self.limit, self.killed, self.look, self.stop = limit, signal.SIGTERM, now + LOOK, now + GRACE
        self.send(find_members(self.pid, self.job.id))

    def send(self, members: dict[int, int]) -> None:
        """Send the signal to each process once: to the group as one, as long as it is certainly its own."""
        group = self.pid if self.status is None else 0
        strays = [pid for pid in members if members[pid] != group]
        for pid in [-group, *strays] if group else strays:
            try:
                os.kill(pid, self.killed)
            except OSError:  # gone, or somebody else's: then it is named at the end
                continue

    def reap(self) -> bool:
        """Tell whether its own process has just ended."""
        if self.status is not None:
            return False
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.status, self.look = status, 0.0
        return bool(pid)

    def outcome(self) -> list[bytes | int]:
        """Return the words of its ``done`` frame: status, signal, limit, skipped, sizes."""
        status = self.status or 0
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else self.killed
        sizes = [stream.size for stream in self.streams]
        return [b"-" if number else os.WEXITSTATUS(status), number, self.limit, b"-", *sizes]


class Stream(Clip):
    """One output stream: 1 is stdout, 2 is stderr."""

    def __init__(self, number: int, source: int, unit: Unit) -> None:
        super().__init__(unit.cap, unit.tail)
        self.number, self.source, self.is_open = number, source, True
        os.set_blocking(source, False)

    @property
    def name(self) -> bytes:
        """Return the name that people know it by."""
        return (b"stdout", b"stderr")[self.number - 1]

    @property
    def link(self) -> str:
        """Return what the system shows for a descriptor of its other end."""
        return f"pipe:[{os.fstat(self.source).st_ino}]"

    def close(self) -> None:
        """Close the reading end."""
        self.is_open = False
        os.close(self.source)


class Script:
    """The text of a section, where its interpreter finds it and nobody else does."""

    def __init__(self, text: memoryview) -> None:
        self.is_file = False
        try:
            self.source, self.path = create_in_memory()
        except (
            AttributeError,
            FileNotFoundError,
            PermissionError,
        ):  # not on this system, or not allowed there
            self.is_file = True
            self.source, self.path = create_in_folder()
        try:
            while text:
                text = text[os.write(self.source, text) :]
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Remove the text."""
        os.close(self.source)
        if self.is_file:
            os.unlink(self.path)


def create_in_memory() -> tuple[int, bytes]:
    """Return a new file that is in no folder, and the path under which our children can open it."""
    os.stat("/proc/self/fd")
    source = os.memfd_create("script")
    return source, b"/proc/%d/fd/%d" % (os.getpid(), source)


def create_in_folder() -> tuple[int, bytes]:
    """Return a new file that only this user can read, and its path."""
    path = os.environb.get(b"TMPDIR", b"/tmp") + b"/orchestration-" + os.urandom(16).hex().encode()
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), path


def spawn(job: Job, path: bytes) -> tuple[int, list[int]]:
    """Start the process of a job; return its pid and the reading ends of its stdout and stderr."""
    pipes: list[int] = []
    try:
        pipes += os.pipe()
        pipes += os.pipe()
        pid = os.posix_spawnp(
            job.argv[0],
            [*job.argv, path],
            {**os.environb, MARK: job.id},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, pipes[1], 1),
                (os.POSIX_SPAWN_DUP2, pipes[3], 2),
            ],
            setpgroup=0,
            setsigmask=(),
            setsigdef=SIGNALS,
        )
    except OSError:
        close_all(pipes)
        raise
    close_all(pipes[1::2])
    return pid, pipes[::2]


def close_all(descriptors: list[int]) -> None:
    """Close descriptors."""
    for descriptor in descriptors:
        os.close(descriptor)
