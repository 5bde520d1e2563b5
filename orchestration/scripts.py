"""The values that travel from backends to servers and back: sections, scripts, units, events.

What runs is not in their ``repr()``: error pages show the variables of each frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .operations import Operation

# What backends write


@dataclass(frozen=True, slots=True)
class Call:
    """A Python function to be called with ``*args, server``; both as text that outlives the process."""

    #: Dotted path of the function; ``module:Backend.method`` for a method of a backend.
    function: str
    #: The positional arguments, encoded as JSON.
    args: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Group:
    """Consecutive commands of one method: one process with head and tail, or some Python calls."""

    method: str
    executable: str = ""
    text: str = field(default="", repr=False)
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """What one backend wants from one server in one unit of work."""

    backend: str
    operations: tuple[Operation, ...]
    groups: tuple[Group, ...]
    #: The text that people see: secrets masked.
    shown: str
    #: Values that must be masked in whatever the section prints.
    secrets: tuple[str, ...] = field(default=(), repr=False)
    #: Indexes of the sections of the same script that must have succeeded before.
    needs: tuple[int, ...] = ()
    route: int | None = None
    #: Nobody waits for it: each operation is on an asynchronous route or action.
    background: bool = False
    #: Start only when the same backend's section on the server before has ended.
    serialize: bool = False
    #: Seconds without output, and in all, after which the section is killed.
    idle: float = 900
    total: float = 3600


@dataclass(frozen=True, slots=True)
class Script:
    """The unit of work of one server and lane: sections in the order in which they run."""

    server: int
    server_name: str
    lane: str
    sections: tuple[Section, ...]


# What methods are given


@dataclass(frozen=True, slots=True)
class Host:
    """A server as methods see it."""

    name: str
    address: str = "127.0.0.1"
    port: int = 22
    user: str = "root"
    sudo: bool = False
    #: Pinned public keys, one ``type base64`` each; ``@cert-authority`` in front of an authority.
    host_keys: tuple[str, ...] = ()
    #: The row of the server, given to Python calls as their last argument.
    server: object | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Job:
    """One process (or some Python calls) that a method runs; a section has one for each group."""

    #: Random: 32 hexadecimal digits, and ``-2``, ``-3`` … for further groups of the section.
    id: str
    executable: str = "/bin/bash"
    text: bytes = field(default=b"", repr=False)
    calls: tuple[Call, ...] = ()
    #: Ids of jobs of this exchange that must have succeeded; else this one is skipped.
    needs: tuple[str, ...] = ()
    #: Limits in seconds.
    idle: float = 900
    total: float = 3600


@dataclass(frozen=True, slots=True)
class Unit:
    """Jobs that go to one server in one exchange, in order."""

    id: str
    #: UUID of the lane, 32 hexadecimal digits.
    lane: str
    epoch: int
    jobs: tuple[Job, ...]
    #: Bytes kept of the beginning and of the end of each stream.
    cap: int = 1024 * 1024
    tail: int = 64 * 1024


# What methods report


@dataclass(frozen=True, slots=True)
class Tick:
    """Nothing happened for a while: a chance to renew a lease."""


@dataclass(frozen=True, slots=True)
class Started:
    """A job has begun."""

    job: str


@dataclass(frozen=True, slots=True)
class Output:
    """A job printed something: its next bytes, in order and without gaps up to the cap."""

    job: str
    #: 1 is stdout, 2 is stderr.
    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """A job has ended, or certainly never started."""

    job: str
    #: Exit status; None when it was killed, skipped, or did not start.
    status: int | None = None
    #: The signal that killed it.
    signal: int | None = None
    #: It was killed at a limit: "idle" or "total".
    limit: str = ""
    #: A job in ``needs`` did not succeed: its id.
    skipped: str = ""
    #: Why it could not start, as a sentence; trying again would not help.
    error: str = ""
    #: The true sizes of both streams, in bytes.
    stdout_size: int = 0
    stderr_size: int = 0
    #: The last bytes of a stream that was longer than the cap.
    stdout_tail: bytes = b""
    stderr_tail: bytes = b""
    #: What people should know: "nginx (pid 7) kept stdout open".
    notes: tuple[str, ...] = ()
    traceback: str = ""
    results: dict[str, object] = field(default_factory=dict)

    @property
    def is_success(self) -> bool:
        """Tell whether it ran and its exit status is 0."""
        return self.status == 0


Event = Tick | Started | Output | Done
