"""What the system says about processes: who belongs to a section, who holds a stream open."""

from __future__ import annotations

import os

#: The variable that all processes of a section carry in their environment.
MARK = b"ORCHESTRATION_SECTION"
#: Processes named in a note, at most.
NAMED = 5


def list_processes() -> list[int]:
    """Return the pids of all other processes; none where the system does not show them as files."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
    except OSError:
        return []


def read_file(path: str) -> bytes:
    """Return the content of a file; nothing when it is gone or not ours to read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def find_members(group: int, section: bytes) -> list[int]:
    """Return the living processes of a section: those of its group, and those that carry its id."""
    mark = b"\0%s=%s\0" % (MARK, section)
    return [pid for pid in list_processes() if is_member(pid, group, mark)]


def is_member(pid: int, group: int, mark: bytes) -> bool:
    """Tell whether a process lives and is of a group, or has a mark in its environment."""
    state, _, member_of = (read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split() or [b"Z", b"", b"0"])[
        :3
    ]
    if state == b"Z":
        return False
    return int(member_of) == group or mark in b"\0" + read_file(f"/proc/{pid}/environ")


def describe_holders(names: dict[str, bytes]) -> list[bytes]:
    """Return a note for each process that holds one of these pipes open: link text to name of stream."""
    notes = []
    for pid in list_processes() if names else []:
        kept = sorted({names[link] for link in list_links(pid) if link in names}, reverse=True)
        if kept:
            name = read_file(f"/proc/{pid}/comm").strip()
            notes.append(b"%s (pid %d) kept %s open" % (name, pid, b" and ".join(kept)))
    return notes[:NAMED]


def list_links(pid: int) -> list[str]:
    """Return what the descriptors of a process point at."""
    folder = f"/proc/{pid}/fd/"
    try:
        return [os.readlink(folder + name) for name in os.listdir(folder)]
    except OSError:
        return []
