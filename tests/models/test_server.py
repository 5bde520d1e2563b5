"""Servers: how they are reached, what may be typed, and when one may be deleted."""

import base64
import uuid

import pytest
from django.contrib.admin import site
from django.contrib.admin.utils import get_deleted_objects
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import ProtectedError
from django.urls import reverse

from orchestration.models import Lane, OperationLog, Route, ScriptLog, Server
from orchestration.models.validators import host_key_lines, validate_address, validate_host_keys
from orchestration.scripts import Host

pytestmark = pytest.mark.django_db


def key(kind="ssh-ed25519", body=b"\0\0\0\x20" + b"k" * 32):
    blob = len(kind).to_bytes(4, "big") + kind.encode() + body
    return f"{kind} {base64.b64encode(blob).decode()}"


def errors_of(server):
    with pytest.raises(ValidationError) as caught:
        server.full_clean()
    return caught.value.message_dict


# What is typed


def test_a_new_server_is_an_active_linux_on_port_22_reached_by_ssh():
    fresh = Server(name="web1")
    fresh.full_clean()

    assert (fresh.port, fresh.os, fresh.user, fresh.sudo, fresh.connection, fresh.is_active) == (
        22, "LINUX", "", False, "ssh", True,
    )  # fmt: skip


def test_names_and_addresses_are_unique(server):
    server("web1", address="10.0.0.1")

    assert "name" in errors_of(Server(name="web1"))
    assert "address" in errors_of(Server(name="web2", address="10.0.0.1"))
    with pytest.raises(IntegrityError):
        server("web2", address="10.0.0.1")


@pytest.mark.lesson(37)
@pytest.mark.parametrize("empty", [None, "", "  "])
@pytest.mark.parametrize("name", ["web1", "web1.example.org", "192.0.2.1", "2001:db8::1"])
def test_the_address_may_be_empty_when_the_name_says_where(name, empty):
    fresh = Server(name=name, address=empty)
    fresh.clean()

    assert (fresh.address, fresh.get_address()) == (None, name)


@pytest.mark.lesson(37)
def test_several_servers_may_have_no_address():
    for name in ("web1", "web2"):
        fresh = Server(name=name, address="")
        fresh.full_clean()
        fresh.save()

    assert Server.objects.filter(address=None).count() == 2


@pytest.mark.parametrize("name", ["the big one", "web_1/eth0", "1.2.3", "-web", "a..b", "ü.example", ""])
def test_a_name_that_is_no_address_needs_one(name):
    with pytest.raises(ValidationError, match="Give an address"):
        Server(name=name).clean()
    Server(name=name, address="192.0.2.1").clean()


@pytest.mark.parametrize(
    "address", ["192.0.2.1", "::1", "web1", "web1.example.org.", "a_b.example", "x" * 63]
)
def test_an_address_is_an_ip_or_a_host_name(address):
    validate_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "", "a b", "web1;id", "$(id)", "-oProxyCommand=x", "999.1.1.1", "1.2.3.4.5", "user@web1", "web1:22",
        "x" * 64, ".".join(["abcdefghi"] * 26), "web1\n", "http://web1", "[::1]",
    ],
)  # fmt: skip
def test_nothing_else_is_an_address(address):
    with pytest.raises(ValidationError, match="neither an IP address nor a host name"):
        validate_address(address)


@pytest.mark.parametrize("port", [0, 65536, -1])
def test_a_port_is_from_1_to_65535(port):
    assert "port" in errors_of(Server(name="web1", port=port))


def test_systems_are_those_of_the_settings(settings):
    settings.ORCHESTRATION_OS_CHOICES = [("PLAN9", "Plan 9")]
    settings.ORCHESTRATION_DEFAULT_OS = "PLAN9"

    fresh = Server(name="web1")
    fresh.full_clean()

    assert (fresh.os, fresh.get_os_display()) == ("PLAN9", "Plan 9")
    assert "os" in errors_of(Server(name="web1", os="LINUX"))


# Host keys


@pytest.mark.parametrize(
    "text",
    [
        "",
        key(),
        f"{key()}\n{key('ssh-rsa')}\n",
        f"# web1\n\n  {key()}  root@web1\n",
        f"@cert-authority {key()}",
        f"@cert-authority {key()} the CA",
        key("ecdsa-sha2-nistp256"),
    ],
)
def test_host_keys_are_lines_of_type_and_base64(text):
    validate_host_keys(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ssh-ed25519", "write 'type base64'"),
        ("@cert-authority", "write 'type base64'"),
        ("@cert-authority ssh-ed25519", "write 'type base64'"),
        (f"@revoked {key()}", "the only mark is @cert-authority"),
        ("ssh-ed25519 AAAA!", "not valid base64"),
        ("ssh-ed25519 AAA", "not valid base64"),
        ("ssh-rsa " + key().split()[1], "not of the type in front"),
        ("ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519").decode(), "not of the type in front"),
        (f"{key()}\nweb1 {key()}", "not valid base64"),
    ],
)
def test_other_host_keys_are_refused_with_the_line(text, problem):
    with pytest.raises(ValidationError, match=problem):
        validate_host_keys(text)


def test_methods_get_host_keys_without_comments():
    text = f"# old\n{key()} root@web1\n\n@cert-authority {key('ssh-rsa')} CA\n"

    assert host_key_lines(text) == [key(), f"@cert-authority {key('ssh-rsa')}"]


# How it is reached


@pytest.mark.lesson(37)
@pytest.mark.parametrize(
    ("name", "address", "ip"),
    [
        ("web1", "192.0.2.1", "192.0.2.1"),
        ("192.0.2.7", None, "192.0.2.7"),
        ("web1", "2001:DB8::1", "2001:db8::1"),
        ("web1", "localhost", "127.0.0.1"),
    ],
)
def test_the_ip_of_a_server(name, address, ip):
    found = Server(name=name, address=address).get_ip()

    assert found == ip or (address == "localhost" and found == "::1")


def test_methods_see_a_server_as_a_host(settings):
    settings.ORCHESTRATION_SSH_DEFAULT_USER = "deploy"
    fresh = Server(name="web1", address="192.0.2.1", port=2222, sudo=True, host_keys=key())

    assert fresh.as_host() == Host("web1", "192.0.2.1", 2222, "deploy", True, (key(),))
    assert Server(name="web1", user="root").as_host().user == "root"
    assert fresh.as_host().server is fresh


# Deleting


@pytest.fixture
def log(server):
    """Create logs: ``log(server, state)``."""

    def create(on, state, **fields):
        lane, _ = Lane.objects.get_or_create(server=on, name="")
        created = ScriptLog.objects.create(
            backend="Sites",
            server=on,
            server_name=on.name,
            lane=lane,
            state=state,
            unit=uuid.uuid4(),
            **fields,
        )
        OperationLog.objects.create(log=created, backend="Sites", action="save", instance_repr="example")
        return created

    return create


def deletions():
    return [
        pytest.param(lambda server: server.delete(), id="instance"),
        pytest.param(lambda server: Server.objects.filter(pk=server.pk).delete(), id="queryset"),
        pytest.param(lambda server: Server.objects.all().delete(), id="all"),
        pytest.param(lambda server: Server._base_manager.filter(pk=server.pk).delete(), id="plain queryset"),
    ]


@pytest.mark.databases
@pytest.mark.lesson(37)
@pytest.mark.parametrize("delete", deletions())
@pytest.mark.parametrize("state", ["RECEIVED", "STARTED"])
def test_a_server_is_not_deleted_while_work_waits_or_runs(state, delete, server, log):
    busy, idle = server("web1"), server("web2")
    Route.objects.create(backend="Sites", host=busy)
    unfinished = log(busy, state)
    log(idle, "SUCCESS")

    with pytest.raises(ProtectedError) as caught:
        delete(busy)

    assert unfinished in caught.value.protected_objects
    assert Server.objects.count() == 2
    assert ScriptLog.objects.get(pk=unfinished.pk).lane == busy.lanes.get()
    assert Route.objects.count() == 1


@pytest.mark.lesson(37)
def test_a_refused_deletion_says_what_waits_where(server, log):
    busy = server("web1")
    log(busy, "RECEIVED")
    log(busy, "STARTED")

    with pytest.raises(
        ProtectedError, match=r"Cannot delete web1: 2 scripts wait or run there \(Sites @ web1"
    ):
        busy.delete()


@pytest.mark.databases
@pytest.mark.lesson(37)
@pytest.mark.parametrize("delete", deletions()[:2])
def test_finished_logs_of_a_deleted_server_stay_and_name_it(delete, server, log):
    gone = server("web1")
    states = ["SUCCESS", "FAILURE", "TIMEOUT", "ERROR", "ABORTED", "REVOKED", "NOTHING"]
    for state in states:
        log(gone, state, stdout="done")

    delete(gone)

    assert not Server.objects.exists()
    assert not Lane.objects.exists()
    logs = ScriptLog.objects.order_by("pk")
    assert [log.state for log in logs] == states
    assert {(log.server_id, log.lane_id, log.server_name, log.stdout) for log in logs} == {
        (None, None, "web1", "done")
    }
    assert OperationLog.objects.count() == len(states)


def test_deleting_a_server_loads_none_of_its_finished_logs(server, log, django_assert_max_num_queries):
    gone = server("web1")
    for _ in range(20):
        log(gone, "SUCCESS")

    with django_assert_max_num_queries(15) as queries:
        gone.delete()

    read = [query["sql"] for query in queries.captured_queries if '"stdout"' in query["sql"]]
    assert all("RECEIVED" in sql for sql in read)


def test_the_admin_is_told_what_protects_a_server(server, log, rf, admin_user):
    busy = server("web1")
    unfinished = log(busy, "RECEIVED")
    log(busy, "SUCCESS")
    request = rf.get("/")
    request.user = admin_user

    _, _, _, protected = get_deleted_objects(Server.objects.all(), request, site)

    assert len(protected) == 1
    assert str(unfinished) in protected[0]


@pytest.mark.lesson(37)
def test_bulk_deletion_in_the_admin_refuses_servers_with_work(server, log, admin_client):
    busy, idle = server("web1"), server("web2")
    unfinished = log(busy, "RECEIVED")
    form = {"action": "delete_selected", "_selected_action": [busy.pk, idle.pk], "post": "yes"}

    answer = admin_client.post(reverse("admin:orchestration_server_changelist"), form)

    assert "Cannot delete servers" in answer.content.decode()
    assert str(unfinished) in answer.content.decode()
    assert Server.objects.count() == 2


def test_deletion_in_the_admin_refuses_a_server_with_work(server, log, admin_client):
    busy = server("web1")
    log(busy, "STARTED")

    answer = admin_client.post(reverse("admin:orchestration_server_delete", args=[busy.pk]), {"post": "yes"})

    assert "Cannot delete server" in answer.content.decode()
    assert Server.objects.filter(pk=busy.pk).exists()


def test_bulk_deletion_in_the_admin_deletes_servers_without_work(server, log, admin_client):
    idle = server("web1")
    log(idle, "SUCCESS")
    form = {"action": "delete_selected", "_selected_action": [idle.pk], "post": "yes"}

    admin_client.post(reverse("admin:orchestration_server_changelist"), form)

    assert not Server.objects.exists()
    assert ScriptLog.objects.get().server_name == "web1"
