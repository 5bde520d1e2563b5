"""A real database server for the test run: started in a temporary folder, reached by a socket, stopped."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from .sshd import wait_until

KINDS = ("sqlite", "postgresql", "mariadb")
PACKAGES = {"postgresql": "postgresql", "mariadb": "mariadb-server"}
PATIENCE = 60
NAME = "orchestration"
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF",
}


@contextlib.contextmanager
def started(kind):
    """Start a database of this kind; yield what belongs into DATABASES["default"]."""
    folder = Path(tempfile.mkdtemp(prefix="orchestration-db-"))
    folder.chmod(0o755)
    try:
        with STARTERS[kind](folder) as configuration:
            yield configuration
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _sqlite(folder):
    # A file: an in-memory database is another one for each thread, and cannot be locked.
    yield {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(folder / "db.sqlite3"),
        "OPTIONS": SQLITE_OPTIONS,
        "TEST": {"NAME": str(folder / "test.sqlite3")},
    }


@contextlib.contextmanager
def _postgresql(folder):
    binaries = _binaries("postgresql", "initdb", "/usr/lib/postgresql/*/bin")
    data, user = folder / "data", "postgres"
    shutil.chown(folder, user) if os.getuid() == 0 else None
    initdb = [binaries / "initdb", "-D", data, "-U", user, "-A", "trust", "-E", "UTF8", "--no-sync"]
    _run(_as(user, initdb))
    options = {"listen_addresses": "", "unix_socket_directories": folder, "fsync": "off"}
    options |= {"synchronous_commit": "off", "full_page_writes": "off", "max_connections": 200}
    settings = [f"--{name}={value}" for name, value in options.items()]
    command = _as(user, [binaries / "postgres", "-D", data, *settings])
    with _serving(command, folder, stop=signal.SIGINT):  # TERM would wait for every open connection
        wait_until(lambda: _succeeds([binaries / "pg_isready", "-q", "-h", folder]), "PostgreSQL", PATIENCE)
        yield {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": user,
            "HOST": str(folder),
        }


@contextlib.contextmanager
def _mariadb(folder):
    binaries = _binaries("mariadb", "mariadbd", "/usr/sbin")
    data, socket, user = folder / "data", folder / "socket", "mysql"
    as_user = [f"--user={user}"] if os.getuid() == 0 else []
    install = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db", *as_user]
    _run([*install, "--auth-root-authentication-method=normal"])
    shutil.chown(folder, user) if as_user else None
    options = ["--no-defaults", f"--datadir={data}", f"--socket={socket}", "--skip-networking", *as_user]
    options += ["--innodb-flush-log-at-trx-commit=0", "--skip-log-bin", "--max-connections=200"]
    options += ["--character-set-server=utf8mb4", f"--pid-file={folder / 'pid'}"]
    with _serving(_as("", [binaries / "mariadbd", *options]), folder):
        wait_until(lambda: _succeeds(["mariadb-admin", f"--socket={socket}", "ping"]), "MariaDB", PATIENCE)
        yield {
            "ENGINE": "django.db.backends.mysql",
            "NAME": NAME,
            "USER": "root",
            "HOST": str(socket),
            "OPTIONS": {"charset": "utf8mb4"},
            "TEST": {"CHARSET": "utf8mb4"},
        }


STARTERS = {"sqlite": _sqlite, "postgresql": _postgresql, "mariadb": _mariadb}


def _binaries(kind, program, pattern):
    """Return the folder of a server's programs; skip on a laptop without them, fail in CI."""
    folders = [*sorted(glob.glob(pattern), reverse=True), os.path.dirname(shutil.which(program) or "")]
    for folder in filter(None, folders):
        if Path(folder, program).exists():
            return Path(folder)
    problem = f"{kind} is not installed: apt-get install {PACKAGES[kind]}"
    if os.environ.get("CI") == "true":
        pytest.exit(problem, returncode=1)
    pytest.skip(problem)


def _as(user, command):
    """Let the command run as ``user`` when we are root, and die with us whatever kills us."""
    if os.getuid() != 0:
        return command
    rights = [f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
    return ["setpriv", "--pdeathsig", "KILL", *rights, *command]


def _run(command):
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE, cwd="/")


def _succeeds(command):
    result = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False, cwd="/")
    return result.returncode == 0


@contextlib.contextmanager
def _serving(command, folder, stop=signal.SIGTERM):
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
    try:
        yield
    finally:
        process.send_signal(stop)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE)
