"""P7, P8, P9: scripts over real SSH, on one host and on a hundred, against the best of the others."""

from __future__ import annotations

import os
import resource
import statistics
import tempfile
import time
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from django.test import override_settings

from orchestration.methods.paramiko import Paramiko
from orchestration.methods.paramiko.channel import WINDOW
from orchestration.scripts import Host, Job, Output, Unit
from tests.services.sshd import Sshd, generate_key

from .ssh_peers import Bash, Exec, Mux, Ours, asyncssh_peer, fabric_peer
from .table import Row, absent, interleaved, is_installed

HOSTS = int(os.environ.get("BENCH_HOSTS", "100"))
#: The peers whose best P8 names, as far as they are measured here; the others only inform.
NAMED = ("asyncssh", "Fabric", "ssh ControlMaster")
#: The peers whose connections wake up ten times a second, whether there is anything to do or not.
POLLING = ("paramiko exec", "Fabric")
PRINTED = 50_000_000
MIB = 1024 * 1024


def run() -> list[Row]:
    """Measure on as many sshd processes as HOSTS says (BENCH_HOSTS in the environment)."""
    if HOSTS < 100:
        print(f"only {HOSTS} hosts: the numbers of P8 are for that many")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-ssh-")))
        hosts = stack.enter_context(serving(folder))
        key = str(folder / "key")
        stack.enter_context(override_settings(ORCHESTRATION_SSH_KEY_PATH=key, ORCHESTRATION_POOL_SIZE=500))
        peers = [Ours(), Bash(), Mux(key, folder), Exec(key), *asyncssh_peer(key), *fabric_peer(key)]
        for peer in peers:
            stack.callback(peer.close)
        return [
            *one_host(peers, hosts[:1]),
            *sections(peers, hosts[0]),
            *many_hosts(peers, hosts),
            *output(hosts[0]),
        ]


@contextmanager
def serving(folder: Path) -> Iterator[list[Host]]:
    """Start the hosts, each an sshd of its own."""
    key = generate_key(folder / "key")
    servers = [Sshd(folder / f"host{number}", key) for number in range(HOSTS)]
    try:
        yield [server.start().host for server in servers]
    finally:
        for server in servers:
            server.stop()


def compare(peers: list, hosts: list[Host], rounds: int, number: int = 1) -> dict[str, tuple[float, float]]:
    """Return for each peer the seconds of ours and of the peer, both warm.

    Those whose idle connections poll would slow all others down: they are measured after them.
    """
    ours, *rest = peers
    pairs = {}
    for polls in (False, True):
        group = [peer for peer in rest if (peer.name in POLLING) == polls]
        calls = {peer.name: lambda peer=peer: peer.run(hosts) for peer in [ours, *group]}
        times = interleaved(calls, rounds, number=number)
        pairs |= {peer.name: (times[ours.name], times[peer.name]) for peer in group}
    for peer in rest:
        if peer.name in POLLING:
            peer.close()
    return pairs


def one_host(peers: list, hosts: list[Host]) -> list[Row]:
    """P7: one warm script on one host."""
    pairs = compare(peers, hosts, 15, number=5)
    ours, bash = pairs["local bash"]
    allowed = bash + round_trip(peers[0].method, hosts[0])
    what = "warm script, one host"
    first = Row("P7", what, ours * 1e3, allowed * 1e3, "ms", 1.1, "bash + round trip")
    return [first, *others("P7", what, pairs)]


def round_trip(method: Paramiko, host: Host) -> float:
    """Return the seconds that a byte takes to the far end of an SSH channel and back."""
    entered = method.pool.enter(host, patience=5)
    assert entered
    entry, connection = entered
    channel = connection._link.open("cat")
    trip = statistics.median(echo(channel) for _ in range(500))
    channel.close()
    method.pool.leave(host, entry)
    return trip


def echo(channel) -> float:
    started = time.perf_counter()
    channel.send(b"x")
    assert channel.receive(5) == b"x"
    return time.perf_counter() - started


def others(budget: str, what: str, pairs: dict[str, tuple[float, float]]) -> list[Row]:
    """Return a row without limit for each peer: how far ours is from it."""
    rows = [
        Row(budget, what, ours * 1e3, peer * 1e3, "ms", None, name) for name, (ours, peer) in pairs.items()
    ]
    return rows + [absent(budget, name) for name in ("asyncssh", "fabric") if not is_installed(name)]


def sections(peers: list, host: Host) -> list[Row]:
    """P7: three sections in one exchange, against three local processes."""
    ours, bash = peers[0], peers[1]
    times = interleaved(
        {
            "three sections": lambda: ours.run_one(host, 3),
            "bash": lambda: [bash.run_one(host) for _ in range(3)],
        },
        15,
        number=5,
    )
    return [
        Row(
            "P7",
            "three sections, one host",
            times["three sections"] * 1e3,
            times["bash"] * 1e3,
            "ms",
            1.1,
            "3 x bash",
        )
    ]


def many_hosts(peers: list, hosts: list[Host]) -> list[Row]:
    """P8: all hosts at once, warm and cold, and what that costs the client."""
    pairs = compare(peers, hosts, 9)
    used = cpu(lambda: peers[0].run(hosts), 5) / len(hosts) * 1e3
    what = f"warm script, {len(hosts)} hosts"
    best = min((name for name in pairs if name in NAMED), key=lambda name: pairs[name][1])
    (ours, peer), (beside, bash) = pairs[best], pairs["local bash"]
    rows = [
        Row("P8", what, ours * 1e3, peer * 1e3, "ms", 0.55, f"{best}, the best"),
        Row("P8", what, beside * 1e3, bash * 1e3, "ms", 1.2, "local bash"),
        Row("P8", "client CPU a warm script", used, unit="ms", limit=0.5),
    ]
    return rows + others("P8", what, pairs) + cold(peers, hosts)


def cold(peers: list, hosts: list[Host]) -> list[Row]:
    """P8: connecting included."""
    ours = peers[0]
    chosen = [peer for peer in peers if peer.name in ("orchestration", "asyncssh", "paramiko exec")]
    for peer in chosen:
        peer.close()
    times = {}
    calls = {peer.name: lambda peer=peer: anew(peer, hosts, times) for peer in chosen}
    for _ in range(3):
        for call in calls.values():
            call()
    middle = {name: sorted(values)[1] for name, values in times.items()}
    ours.close()
    used = cpu(lambda: ours.run(hosts), 1) / len(hosts) * 1e3
    what = f"cold script, {len(hosts)} hosts"
    rows = [Row("P8", "client CPU a cold host", used, unit="ms", limit=5)]
    for name, value in middle.items():
        if name != "orchestration":
            limit = 1.3 if name == "asyncssh" else None
            rows.append(Row("P8", what, middle["orchestration"] * 1e3, value * 1e3, "ms", limit, name))
    return rows


def anew(peer, hosts: list[Host], times: dict[str, list[float]]) -> None:
    started = time.perf_counter()
    peer.run(hosts)
    times.setdefault(peer.name, []).append(time.perf_counter() - started)
    peer.close()


def cpu(call: Callable[[], object], rounds: int) -> float:
    """Return the seconds of processor time that one call takes in this process."""
    call_before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(rounds):
        call()
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - call_before.ru_utime - call_before.ru_stime
    return used / rounds


def output(host: Host) -> list[Row]:
    """P9: fifty megabytes printed, of which the cap and the tail come over."""
    method = Paramiko()
    speed = PRINTED / interleaved({"ours": lambda: printed(method, host)}, 7)["ours"] / 1e6
    tracemalloc.start()
    printed(method, host)
    peak = tracemalloc.get_traced_memory()[1] / MIB
    tracemalloc.stop()
    method.pool.close_idle(seconds=0)
    return [
        Row("P9", "50 MB printed, capped", speed, unit="MB/s", limit=200, at_least=True),
        Row("P9", "memory for it", peak, unit="MiB", limit=WINDOW / MIB + 2),
    ]


def printed(method: Paramiko, host: Host) -> None:
    job = Job(uuid.uuid4().hex, text=b"head -c %d /dev/zero" % PRINTED)
    size = 0
    for event in method.run(host, Unit(uuid.uuid4().hex, "0" * 32, 1, (job,))):
        size += len(event.data) if isinstance(event, Output) else 0
    assert (size, event.stdout_size) == (MIB, PRINTED)
