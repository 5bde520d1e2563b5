"""Servers in the admin: counts without N+1, readable keys, deletions that are refused in words."""

import socket

import pytest
from django.urls import reverse

from orchestration.models import Route, ScriptLog, Server

pytestmark = pytest.mark.django_db

# What "ssh-keygen -lf" prints of the key.
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC2BdWZcpyN8wp5GTSWu9nvZ13v6IKnVjI94SzNpV6YW"
FINGERPRINT = "SHA256:tax6QJg0Acx/iyZX6iCICyO/zji0AdNe1o251+qq0d4"


@pytest.mark.lesson(33)
def test_the_list_takes_the_same_queries_for_any_number_of_servers(page, make_log, count_queries):
    make_log()
    few = count_queries(lambda: page("server_changelist"))
    for number in range(10):
        make_log(server=Server.objects.create(name=f"host{number}"))
    assert len(count_queries(lambda: page("server_changelist"))) == len(few)


@pytest.mark.lesson(33)
def test_the_list_contacts_nobody(page, monkeypatch):
    Server.objects.create(name="nowhere.invalid")
    Server.objects.create(name="web", address="192.0.2.1")

    def refuse(*args, **kwargs):
        raise AssertionError("the page opens a connection")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert page("server_changelist").status_code == 200


@pytest.mark.databases
def test_the_list_counts_what_waits_and_what_failed(page, make_log, server):
    for state in ("RECEIVED", "STARTED", "FAILURE", "TIMEOUT", "ERROR", "SUCCESS"):
        make_log(state=state)
    make_log(server=Server.objects.create(name="web2"))
    counted = {row.name: row for row in page("server_changelist").context["cl"].result_list}
    assert (counted["web1"].waiting_count, counted["web1"].failed_count) == (2, 3)
    assert (counted["web2"].waiting_count, counted["web2"].failed_count) == (1, 0)


def test_the_counts_lead_to_the_logs(admin_client, page, make_log, server):
    failed = make_log(state="FAILURE")
    make_log(state="SUCCESS")
    link = f"/admin/orchestration/scriptlog/?server__id__exact={server.pk}&amp;state__in="
    content = page("server_changelist").content.decode()
    assert content.count(link) == 2
    url = content.split(link)[2].split('"')[0]
    answer = admin_client.get((link + url).replace("&amp;", "&").replace("%2C", ","))
    assert list(answer.context["cl"].result_list) == [failed]


def test_pinned_keys_are_shown_as_fingerprints(page, server, tmp_path):
    server.host_keys = f"{KEY}\n@cert-authority {KEY}"
    server.save()
    content = page("server_change", server.pk).content.decode()
    assert f"ssh-ed25519 {FINGERPRINT}<" in content
    assert f"@cert-authority ssh-ed25519 {FINGERPRINT}<" in content


def test_a_server_is_added_with_its_key(admin_client):
    form = {"name": "web9", "address": "192.0.2.9", "os": "LINUX", "connection": "ssh", "port": "22"}
    url = reverse("admin:orchestration_server_add")
    assert admin_client.post(url, form | {"host_keys": KEY}).status_code == 302
    assert Server.objects.get().host_keys == KEY
    assert b"Host key" in admin_client.post(url, form | {"name": "x", "host_keys": "nonsense"}).content


@pytest.mark.lesson(37)
def test_a_server_with_waiting_work_is_not_deleted(admin_client, make_log, server):
    log = make_log()
    url = reverse("admin:orchestration_server_delete", args=[server.pk])
    assert f"/scriptlog/{log.pk}/" in admin_client.get(url).content.decode()
    admin_client.post(url, {"post": "yes"})
    listing = reverse("admin:orchestration_server_changelist")
    chosen = {"action": "delete_selected", "_selected_action": [server.pk], "post": "yes"}
    assert admin_client.post(listing, chosen).status_code == 200
    assert Server.objects.exists()


@pytest.mark.databases
@pytest.mark.lesson(37)
def test_a_server_without_work_is_deleted_and_its_logs_stay(admin_client, make_log, server):
    log = make_log(state="SUCCESS")
    Route.objects.create(backend="Nginx", host=server)
    admin_client.post(reverse("admin:orchestration_server_delete", args=[server.pk]), {"post": "yes"})
    assert not Server.objects.exists()
    assert ScriptLog.objects.get() == log
