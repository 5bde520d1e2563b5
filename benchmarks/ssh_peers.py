"""Ways to run one script on many hosts over SSH: ours, and the others."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko

from orchestration.methods.paramiko import Paramiko
from orchestration.scripts import Done, Host, Job, Unit

from .table import is_installed

THREADS = 50
#: As long as what a backend of a panel writes; no process but bash itself.
SCRIPT = "set -e\n" + "name=site\n[ -d /tmp ] || exit 1\nvalue=${name%e}\n" * 13 + "echo done\n"


class Ours:
    """The method Paramiko: a runner on each host."""

    name = "orchestration"

    def __init__(self) -> None:
        self.method = Paramiko()
        self.threads = ThreadPoolExecutor(THREADS)

    def run(self, hosts: list[Host]) -> None:
        """Run the script on all hosts at once."""
        assert all(self.threads.map(self.run_one, hosts))

    def run_one(self, host: Host, sections: int = 1) -> bool:
        jobs = tuple(Job(uuid.uuid4().hex, text=SCRIPT.encode()) for _ in range(sections))
        unit = Unit(uuid.uuid4().hex, "0" * 32, 1, jobs)
        ended = [event for event in self.method.run(host, unit) if isinstance(event, Done)]
        return len(ended) == sections and all(event.is_success for event in ended)

    def close(self) -> None:
        """Close all connections."""
        self.method.pool.close_idle(seconds=0)


class Threaded:
    """A peer that is driven by threads, a connection for each host."""

    name = ""

    def __init__(self) -> None:
        self.connections: dict[Host, object] = {}
        self.threads = ThreadPoolExecutor(THREADS)

    def run(self, hosts: list[Host]) -> None:
        """Run the script on all hosts at once."""
        assert all(self.threads.map(self.run_one, hosts))

    def close(self) -> None:
        """Close all connections."""
        for connection in self.connections.values():
            connection.close()  # type: ignore[attr-defined]
        self.connections.clear()


class Bash(Threaded):
    """No SSH at all: what the script itself costs."""

    name = "local bash"

    def run_one(self, host: Host) -> bool:
        done = subprocess.run(["/bin/bash"], input=SCRIPT.encode(), capture_output=True, check=True)
        return done.stdout == b"done\n"


class Exec(Threaded):
    """Paramiko as most use it: an exec for each script."""

    name = "paramiko exec"

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key

    def run_one(self, host: Host) -> bool:
        client = self.connections.get(host) or self.connect(host)
        _, out, _ = client.exec_command(command())  # type: ignore[attr-defined]
        return out.read() == b"done\n" and out.channel.recv_exit_status() == 0

    def connect(self, host: Host) -> paramiko.SSHClient:
        client = self.connections[host] = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        options = {"allow_agent": False, "look_for_keys": False, "key_filename": self.key}
        client.connect(host.address, host.port, host.user, **options)
        return client


class Mux(Threaded):
    """The ssh command with ControlMaster."""

    name = "ssh ControlMaster"

    def __init__(self, key: str, folder: Path) -> None:
        super().__init__()
        self.options = ["-F", "none", "-i", key, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]
        self.options += ["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        self.options += [
            "-o",
            "ControlMaster=auto",
            "-o",
            "ControlPersist=60",
            "-o",
            f"ControlPath={folder}/%p",
        ]

    def run_one(self, host: Host) -> bool:
        self.connections[host] = self
        words = ["ssh", *self.options, "-p", str(host.port), f"{host.user}@{host.address}", command()]
        return subprocess.run(words, capture_output=True, check=True).stdout == b"done\n"

    def close(self) -> None:
        """Stop the masters."""
        for host in self.connections:
            words = ["ssh", *self.options, "-O", "exit", "-p", str(host.port), host.address]
            subprocess.run(words, capture_output=True, check=False)
        self.connections.clear()


def command() -> str:
    """Return the script as one command."""
    return f"exec /bin/bash -c {shlex.quote(SCRIPT)}"


def fabric_peer(key: str) -> list[Threaded]:
    """Return Fabric, where it is installed."""
    if not is_installed("fabric"):
        return []
    import fabric

    class Fabric(Threaded):
        name = "Fabric"

        def run_one(self, host: Host) -> bool:
            connection = self.connections.get(host)
            if connection is None:
                options = {"key_filename": key, "allow_agent": False, "look_for_keys": False}
                connection = fabric.Connection(host.address, host.user, host.port, connect_kwargs=options)
                self.connections[host] = connection
            done = connection.run(command(), hide=True, in_stream=False)  # type: ignore[attr-defined]
            return done.stdout == "done\n"

    return [Fabric()]


def asyncssh_peer(key: str) -> list[object]:
    """Return asyncssh, where it is installed."""
    if not is_installed("asyncssh"):
        return []
    import asyncssh

    class Asyncssh:
        name = "asyncssh"

        def __init__(self) -> None:
            self.loop = asyncio.new_event_loop()
            self.connections: dict[Host, asyncssh.SSHClientConnection] = {}

        def run(self, hosts: list[Host]) -> None:
            self.loop.run_until_complete(self.gather(hosts))

        async def gather(self, hosts: list[Host]) -> None:
            assert all(await asyncio.gather(*map(self.run_one, hosts)))

        async def run_one(self, host: Host) -> bool:
            connection = self.connections.get(host)
            if connection is None:
                connection = self.connections[host] = await asyncssh.connect(
                    host.address,
                    host.port,
                    username=host.user,
                    client_keys=[key],
                    known_hosts=None,
                    config=None,
                )
            return (await connection.run(command())).stdout == "done\n"

        def close(self) -> None:
            for connection in self.connections.values():
                connection.close()
            waiting = [connection.wait_closed() for connection in self.connections.values()]
            self.loop.run_until_complete(asyncio.wait_for(_all(waiting), 30))
            self.connections.clear()

    return [Asyncssh()]


async def _all(waiting: list[object]) -> None:
    await asyncio.gather(*waiting)
