"""A real sshd on loopback for tests: own port, host keys and home, started and stopped by us."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from orchestration.scripts import Host

from .programs import require

PATIENCE = 10.0
USER = pwd.getpwuid(os.getuid()).pw_name
#: What a script may need; python3 and bash are left out on demand.
TOOLS = (
    "sh bash python3 cat dd echo env false head id kill ls mkdir mktemp ps rm seq setsid sleep tail true "
    "tee wc"
)
DEFAULTS = {
    "UsePAM": "no",
    "StrictModes": "no",
    "PermitRootLogin": "yes",
    "PasswordAuthentication": "no",
    "KbdInteractiveAuthentication": "no",
    "PidFile": "none",
    "PrintMotd": "no",
    "PrintLastLog": "no",
    "MaxStartups": "1000",
    "LogLevel": "VERBOSE",
    "Subsystem": "sftp internal-sftp",
}
_numbers = itertools.count(1)


def require_sshd():
    """Skip or fail without sshd."""
    require("sshd", "openssh-server")


def generate_key(path, kind="ed25519", passphrase=""):
    """Write a new key pair to ``path`` and ``path``.pub; return ``path``."""
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "", "-f", str(path)]
    subprocess.run(command, check=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    return path


def wait_until(condition, what, patience=PATIENCE):
    """Poll until ``condition()`` is true and return its value; fail after ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {patience} s for {what}")
        time.sleep(0.005)
    return value


def descendants(pid):
    """Return the pids of all children of a process, theirs included, nearest first."""
    try:
        tasks = [task.joinpath("children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []
    children = [int(child) for text in tasks for child in text.split()]
    return children + [deeper for child in children for deeper in descendants(child)]


def is_running(pid):
    """Tell whether a process has not ended (a zombie has: its files are closed)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def kill(pids):
    """Kill processes that we started, and wait for their end."""
    pids = list(pids)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in pids:
        wait_until(lambda pid=pid: not is_running(pid), f"the end of process {pid}")


class Sshd:
    """One host: ``host`` for methods, ``home`` and ``temporary`` as its world, ``key`` to log in."""

    def __init__(
        self,
        folder,
        key,
        *,
        host_key_types=("ed25519",),
        address=None,
        path=None,
        environment=None,
        **options,
    ):
        self.folder, self.key = Path(folder), Path(key)
        self.home, self.temporary = self.folder / "home", self.folder / "temporary"
        self.home.mkdir(parents=True)
        self.temporary.mkdir()
        self.number = next(_numbers)
        self.address = address or f"127.0.{self.number // 250 + 1}.{self.number % 250 + 1}"
        self.port = _free_port(self.address)
        self.user = USER
        self.environment = {"HOME": self.home, "TMPDIR": self.temporary, **(environment or {})}
        if path:
            self.environment["PATH"] = path
        self.options = options
        self.host_key_files = [generate_key(self.folder / f"host_{kind}", kind) for kind in host_key_types]
        self.authorized_keys = self.folder / "authorized_keys"
        self.authorized_keys.write_text(Path(f"{key}.pub").read_text())
        self.log = self.folder / "sshd.log"
        self.process = None

    @property
    def host_keys(self):
        """The public host keys: 'type base64', one each."""
        return tuple(Path(f"{path}.pub").read_text().strip() for path in self.host_key_files)

    @property
    def host(self):
        """This host as methods see it, with its keys pinned."""
        return Host(
            name=f"host{self.number}",
            address=self.address,
            port=self.port,
            user=self.user,
            host_keys=self.host_keys,
        )

    def start(self):
        """Start, on the same port and with the same keys as before; return when it listens."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        config = self.folder / "sshd_config"
        config.write_text("".join(f"{line}\n" for line in self._config()))
        self.log.write_text("")
        command = [require("sshd", "openssh-server"), "-D", "-f", str(config), "-E", str(self.log)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=True)
        wait_until(self._listens, f"sshd on {self.address}:{self.port}")
        return self

    def _config(self):
        yield f"Port {self.port}"
        yield f"ListenAddress {self.address}"
        yield from (f"HostKey {path}" for path in self.host_key_files)
        yield f"AuthorizedKeysFile {self.authorized_keys}"
        yield "SetEnv " + " ".join(f'{name}="{value}"' for name, value in self.environment.items())
        yield from (f"{name} {value}" for name, value in (DEFAULTS | self.options).items())

    def _listens(self):
        assert self.process.poll() is None, f"sshd did not start: {self.log.read_text()}"
        return "Server listening on" in self.log.read_text()

    def sessions(self):
        """Return the pids of the sshd processes that serve connections right now."""
        return descendants(self.process.pid) if self.process else []

    def cut(self):
        """Kill the sshd processes of all connections, as a crash of theirs would; others may connect."""
        kill(pid for pid in self.sessions() if _name(pid).startswith("sshd"))

    def stop(self):
        """Stop listening, and end every connection and what runs in it."""
        if self.process is None:
            return
        running = self.sessions()
        self.process.terminate()
        self.process.wait(PATIENCE)
        kill(running)
        self.process = None


def _free_port(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as probe:
        return probe.getsockname()[1]


def _name(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


@pytest.fixture(scope="session")
def ssh_key(tmp_path_factory):
    """Path of the private key that opens every sshd of the test run."""
    require_sshd()
    return generate_key(tmp_path_factory.mktemp("key") / "id_ed25519")


@pytest.fixture
def sshd_factory(tmp_path_factory, ssh_key, settings):
    """Start hosts: ``sshd_factory(MaxSessions=1, host_key_types=("rsa",), path=…, start=False)``.

    Keywords that are none of Sshd's are lines of its configuration. ORCHESTRATION_SSH_KEY_PATH is set.
    """
    settings.ORCHESTRATION_SSH_KEY_PATH = str(ssh_key)
    hosts = []

    def create(*, start=True, **options):
        host = Sshd(tmp_path_factory.mktemp("sshd"), ssh_key, **options)
        hosts.append(host)
        return host.start() if start else host

    yield create
    for host in hosts:
        host.stop()


@pytest.fixture
def sshd(sshd_factory):
    """One host with sshd."""
    return sshd_factory()


@pytest.fixture
def path_without(tmp_path):
    """Return a PATH that has the usual tools but those named: ``path_without("python3")``."""

    def create(*missing):
        folder = tmp_path / ("bin-without-" + "-".join(missing))
        folder.mkdir()
        for tool in set(TOOLS.split()) - set(missing):
            folder.joinpath(tool).symlink_to(shutil.which(tool, path="/usr/bin:/bin"))
        return str(folder)

    return create
