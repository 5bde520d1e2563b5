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


def find_members(group: int, section: bytes) -> dict[int, int]:
    """Return the living processes of a section with their groups: those of its group, those with its id."""
    mark = b"\0%s=%s\0" % (MARK, section)
    groups = {pid: find_group(pid) for pid in list_processes()}
    return {
        pid: found
        for pid, found in groups.items()
        if found == group or (found and mark in b"\0" + read_file(f"/proc/{pid}/environ"))
    }


def find_group(pid: int) -> int:
    """Return the process group of a process; 0 when it is dead or gone."""
    words = read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return int(words[2]) if words and words[0] != b"Z" else 0


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
