"""P7, P9, P10 without a network: scripts through the runner on this machine, against bash."""

from __future__ import annotations

import secrets
import subprocess
import tempfile
import time
import tracemalloc
from pathlib import Path

from .table import Row, interleaved

MB, MIB, GIB = 1e6, 1 << 20, 1 << 30
CAP, TAIL = MIB, 64 * 1024
#: A script of forty lines, as backends write them.
SCRIPT = "\n".join(
    ["set -e", "set -o pipefail", "exit_code=0"]
    + [f'name=site{n}; [[ -n "$name" ]] && echo "line {n} of $name" || exit_code=1' for n in range(36)]
    + ["exit $exit_code"]
)


def run() -> list[Row]:
    """Time scripts and output through a runner that is already there."""
    from orchestration.methods.local import Local  # after Django is set up

    method = Local()
    try:
        return [*small_scripts(method), *output(method)]
    finally:
        method.pool.close_idle(seconds=-1)


def small_scripts(method) -> list[Row]:
    """P7: one script, and three sections, against as many bashes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.sh"
        path.write_text(SCRIPT)
        seconds = interleaved(
            {
                "ours": lambda: through(method, SCRIPT),
                "bash": lambda: bash(path),
                "ours, 3": lambda: through(method, *[SCRIPT] * 3),
                "bash, 3": lambda: [bash(path) for _ in range(3)],
                "turn": lambda: through(method),
            },
            rounds=15,
            number=20,
        )
    ms = {name: value * 1e3 for name, value in seconds.items()}
    return [
        Row("P7", "round trip without a script", ms["turn"], unit="ms"),
        Row(
            "P7",
            "40 lines, this machine",
            ms["ours"],
            ms["bash"] + ms["turn"],
            "ms",
            1.1,
            "bash + round trip",
        ),
        Row("P7", "3 sections, this machine", ms["ours, 3"], ms["bash, 3"], "ms", 1.1, "3 bashes"),
        Row("P7", "client CPU of a script", cpu(lambda: through(method, SCRIPT)) * 1e3, unit="ms", limit=0.5),
    ]


def output(method) -> list[Row]:
    """P9 and P10: much output, of which little is kept."""
    fifty, seconds = through(method, "head -c 50000000 /dev/zero"), best(method, 50_000_000)
    tracemalloc.start()
    through(method, "head -c 50000000 /dev/zero")
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    gib = best(method, GIB, rounds=2)
    far = through(method, f"echo $PPID; head -c {GIB} /dev/zero")
    sent = sum(len(event.data) for event in far if hasattr(event, "data")) + len(far[-1].stdout_tail)
    assert fifty[-1].stdout_size == 50_000_000
    return [
        Row("P9", "50 MB of output", 50 / seconds, unit="MB/s", limit=200, at_least=True),
        Row("P9", "client memory meanwhile", memory / MIB, unit="MiB", limit=2),
        Row("P10", "1 GiB of output", GIB / MB / gib, unit="MB/s", limit=300, at_least=True),
        Row("P10", "runner's memory", peak(far) / MIB, unit="MiB", limit=20),
        Row("P10", "bytes sent / (cap + tail)", sent / (CAP + TAIL), unit="x", limit=2),
    ]


def through(method, *texts):
    """Run a script as one unit of as many sections; return its events."""
    from orchestration.scripts import Host, Job, Unit

    jobs = tuple(Job(secrets.token_hex(16), text=text.encode()) for text in texts)
    unit = Unit(secrets.token_hex(16), "ab" * 16, 1, jobs, cap=CAP, tail=TAIL)
    return list(method.run(Host("here"), unit))


def bash(path) -> None:
    subprocess.run(["/bin/bash", path], stdin=subprocess.DEVNULL, capture_output=True, check=True)


def best(method, size, rounds=5) -> float:
    """Return the seconds of the fastest of some rounds."""
    return min(timed(lambda: through(method, f"head -c {size} /dev/zero")) for _ in range(rounds))


def timed(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def cpu(call, number=200) -> float:
    """Return the CPU seconds of this process in one call."""
    start = time.process_time()
    for _ in range(number):
        call()
    return (time.process_time() - start) / number


def peak(events) -> int:
    """Return the most memory that the runner ever had; the script printed its pid first."""
    pid = next(event.data for event in events if hasattr(event, "data")).split(b"\n")[0]
    lines = Path(f"/proc/{int(pid)}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
