"""Links that are cut at random while scripts run: what is said of a script is true, and none runs twice."""

import os
import random
import threading
import time
import uuid
from collections import Counter

import pytest

from orchestration.exceptions import ConnectionFailed, ConnectionLost
from orchestration.methods.paramiko import Paramiko
from orchestration.scripts import Done, Job, Unit

SCRIPTS, THREADS = 20, 6


@pytest.fixture
def rng():
    seed = os.environ.get("CHAOS_SEED") or str(random.SystemRandom().randrange(10**6))
    print(f"CHAOS_SEED={seed}")
    return random.Random(seed)


def attempt(method, host, lane, number):
    """Run a script that leaves its number behind; return what is said about it."""
    job = Job(uuid.uuid4().hex, text=f"echo {number} >> ~/ran\n".encode())
    unit = Unit(uuid.uuid4().hex, lane, 1, (job,))
    try:
        events = list(method.run(host, unit))
    except ConnectionFailed:
        return "not run"
    except ConnectionLost:
        return "unknown"
    return "done" if isinstance(events[-1], Done) and events[-1].is_success else repr(events)


@pytest.mark.lesson(18)
@pytest.mark.lesson(23)
@pytest.mark.parametrize("has_python", [True, False])
def test_what_is_said_of_a_script_is_true_whatever_is_cut(
    sshd_factory, path_without, proxy_to, rng, has_python
):
    sshd = sshd_factory() if has_python else sshd_factory(path=path_without("python3"))
    method, proxy, said = Paramiko(), proxy_to(sshd.host), {}

    def work(worker):
        for number in range(worker * SCRIPTS, (worker + 1) * SCRIPTS):
            said[number] = attempt(method, proxy.host, f"{worker:032x}", number)

    workers = [threading.Thread(target=work, args=(worker,)) for worker in range(THREADS)]
    for worker in workers:
        worker.start()
    deadline = time.monotonic() + 60
    while any(worker.is_alive() for worker in workers) and time.monotonic() < deadline:
        threading.Event().wait(rng.uniform(0.01, 0.3))
        rng.choice([proxy.cut, sshd.cut])()
    for worker in workers:
        worker.join(30)
    method.pool.close_idle(seconds=0)

    ran = Counter(int(line) for line in (sshd.home / "ran").read_text().split())
    outcomes = Counter(said.values())
    assert set(outcomes) <= {"done", "not run", "unknown"}, outcomes
    assert len(said) == SCRIPTS * THREADS
    assert [number for number, count in ran.items() if count > 1] == []
    assert [number for number, word in said.items() if word == "done" and number not in ran] == []
    assert [number for number, word in said.items() if word == "not run" and number in ran] == []
    print(outcomes)
