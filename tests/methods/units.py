"""Units of work for methods, what comes of them, and how to look at processes."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

from orchestration.scripts import Done, Job, Output, Started, Tick, Unit

PATIENCE = 20.0


def make_job(text="", **fields):
    data = text if isinstance(text, bytes) else text.encode()
    return Job(**{"id": secrets.token_hex(16), "text": data, **fields})


def make_unit(*texts, lane=None, cap=1 << 20, tail=1 << 16, **fields):
    """Return a unit with a job for each text; ``fields`` go to all jobs. A Job is taken as it is."""
    jobs = tuple(text if isinstance(text, Job) else make_job(text, **fields) for text in texts)
    return Unit(secrets.token_hex(16), lane or secrets.token_hex(16), 1, jobs, cap=cap, tail=tail)


@dataclass
class Result:
    """What came of one job."""

    done: Done | None = None
    is_started: bool = False
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)


@dataclass
class Results:
    """What came of a unit: a result for each job, in order."""

    jobs: dict[str, Result]
    ticks: int = 0
    order: list = field(default_factory=list)

    def __getitem__(self, number):
        return list(self.jobs.values())[number]


def collect(events, unit):
    """Read all events of a unit, checking that each job begins before it prints and ends once."""
    results = Results({job.id: Result() for job in unit.jobs})
    for event in events:
        note(results, event)
    return results


def note(results, event):
    results.order.append(event)
    if isinstance(event, Tick):
        results.ticks += 1
        return
    result = results.jobs[event.job]
    assert result.done is None
    if isinstance(event, Started):
        assert not result.is_started
        result.is_started = True
    elif isinstance(event, Output):
        assert result.is_started
        (result.stdout if event.stream == 1 else result.stderr).extend(event.data)
    else:
        result.done = event


def wait_until(condition, patience=PATIENCE):
    """Poll until something is true, and return it; fail after a deadline."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return value


def is_alive(pid):
    """Tell whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def has_stopped_writing(pid):
    """Tell whether a process has written much, and nothing more in a while: its pipe is full."""
    before = _written(pid)
    time.sleep(0.1)
    return before > 1 << 20 and before == _written(pid)


def _written(pid):
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


def peak_memory(pid):
    """Return the most bytes of memory that a process ever had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
