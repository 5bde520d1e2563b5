"""What the demo needs besides the panel: keys, hosts, their rows and routes, and somebody to log in."""

import secrets
from pathlib import Path

import paramiko
from django.contrib.auth import get_user_model

from example_project.hosts import EmbeddedHost
from example_project.panel.models import Account, SystemUser
from orchestration import orchestrate
from orchestration.models import Route, Server

#: Each has an address of its own: all of 127.0.0.0/8 is this machine.
ADDRESSES = {"web1": "127.0.0.1", "web2": "127.0.0.2", "mail1": "127.0.0.3"}

ROUTES = [
    ("UnixUser", "web1", "True"),
    ("UnixUser", "web2", "True"),
    ("NginxSite", "web1", "website.pk % 2 == 1"),
    ("NginxSite", "web2", "website.pk % 2 == 0"),
    ("MariaDBUser", "web2", "True"),
    ("MariaDBDatabase", "web2", "True"),
    ("Zone", "web1", "not zone.name.endswith('.test')"),
    ("VirtualMailbox", "mail1", "mailbox.account.is_active"),
]


def make_key(path):
    """Return the private key of a file, which is made the first time."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        paramiko.ECDSAKey.generate().write_private_key_file(str(path))
    return paramiko.ECDSAKey.from_private_key_file(str(path))


def make_hosts(folder, client_key):
    """Return the hosts of the demo by name; none is started."""
    return {
        name: EmbeddedHost(
            folder / "hosts" / name,
            host_key=make_key(folder / "keys" / name),
            client_key=client_key,
            address=address,
        )
        for name, address in ADDRESSES.items()
    }


def register(hosts):
    """Store where the hosts listen and which keys to trust; the first time, add routes and a customer."""
    with orchestrate():
        is_first = not Server.objects.exists()
        for host in hosts.values():
            key = f"{host.host_key.get_name()} {host.host_key.get_base64()}"
            where = {"address": host.address, "port": host.port, "host_keys": key}
            Server.objects.update_or_create(name=host.name, defaults=where)
        if is_first:
            add_routes()
            add_customer()


def add_routes():
    servers = {server.name: server for server in Server.objects.all()}
    for backend, name, match in ROUTES:
        Route.objects.create(backend=backend, host=servers[name], match=match)


def add_customer():
    """Add a customer with a login: its home appears on both web servers."""
    account = Account.objects.create(name="Example Ltd", email="info@example.com")
    SystemUser.objects.create(account=account, name="alice")


def make_admin(folder):
    """Return name and password of the administrator; the password stays the same."""
    file = folder / "password"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(9))
    password = file.read_text()
    admin, _is_new = get_user_model().objects.get_or_create(
        username="admin", defaults={"is_staff": True, "is_superuser": True}
    )
    if not admin.check_password(password):
        admin.set_password(password)
        admin.save()
    return admin.username, password
