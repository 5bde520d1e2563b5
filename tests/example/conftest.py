"""A panel with a customer, and a folder that is the world of its scripts."""

import os
import subprocess
from pathlib import Path

import pytest

from example_project.panel import models
from orchestration import Operation, backends, manager
from orchestration.router import Target

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def account(db):
    return models.Account.objects.create(name="Example Ltd")


@pytest.fixture
def alice(account):
    return models.SystemUser.objects.create(account=account, name="alice")


@pytest.fixture
def website(alice):
    website = models.Website.objects.create(name="shop", user=alice)
    for name in ("shop.example.com", "www.shop.example.com"):
        website.domains.create(name=name)
    return website


@pytest.fixture
def zone(account):
    zone = models.Zone.objects.create(account=account, name="example.com", serial=2026010100)
    for name, kind, value in (
        ("@", "A", "192.0.2.1"),
        ("@", "MX", "10 mail.example.com"),
        ("@", "TXT", 'v=spf1 "quoted" -all; it\'s 100%'),
        ("www", "CNAME", "example.com"),
    ):
        models.Record.objects.create(zone=zone, name=name, type=kind, value=value)
    models.Zone.objects.update(serial=2026010100)
    zone.refresh_from_db()
    return zone


@pytest.fixture
def database_user(account):
    password = "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"
    return models.DatabaseUser.objects.create(account=account, name="shop", password=password)


@pytest.fixture
def database(account, database_user):
    database = models.Database.objects.create(account=account, name="shop_live")
    database.users.add(database_user)
    return database


@pytest.fixture
def mailbox(account):
    mailbox = models.Mailbox.objects.create(
        account=account, address="info@example.com", password="{SSHA512}abc"
    )
    for name in ("sales@example.com", "help@example.com"):
        mailbox.aliases.create(address=name)
    return mailbox


@pytest.fixture
def script_of():
    """Return a function that gives the script of one backend for an action on an object."""
    target = Target(route=1, server=1, server_name="web1")

    def script_of(backend, instance, action):
        operation = Operation(backends.find(backend), instance, action, targets=(target,))
        (script,) = manager.generate([operation])
        (section,) = script.sections
        (group,) = section.groups
        return group.text

    return script_of


class World:
    """A folder in which scripts run as if it were a server's login."""

    def __init__(self, folder):
        self.folder = folder

    def run(self, script):
        """Run a script, which must succeed without a complaint."""
        done = subprocess.run(
            ["/bin/bash"],
            input=script.encode(),
            env={"HOME": str(self.folder), "PATH": os.environ["PATH"]},
            cwd="/",
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")

    def files(self):
        """Return everything below the folder: what it is, its mode, its content and its time of change."""
        return {str(path.relative_to(self.folder)): describe(path) for path in sorted(self.folder.rglob("*"))}

    def read(self, path):
        return (self.folder / path).read_text()

    def has(self, path):
        return (self.folder / path).exists()


def describe(path):
    status = path.lstat()
    if path.is_symlink():
        return "link", os.readlink(path)
    content = path.read_bytes() if path.is_file() else None
    return oct(status.st_mode), content, status.st_mtime_ns if path.is_file() else None


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)
