"""One save through everything: an admin form, routes, backends, SSH, a file on a server, a log."""

import socket
import time

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import path

from orchestration import ServiceController, executors
from orchestration.models import Route, ScriptLog, Server

from .services.concurrency import in_threads
from .services.sshd import wait_until
from .webapps.models import WebApp

site = admin.AdminSite(name="story")
site.register(WebApp)
urlpatterns = [path("story/", site.urls), path("admin/", admin.site.urls)]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]


class StoryAccount(ServiceController):
    """The folder of a customer's site."""

    abstract = True
    model = "webapps.WebApp"
    verbose_name = "story account"

    def save(self, webapp):
        self.append("mkdir -p -- ~/%(name)s", {"name": webapp.name})

    def delete(self, webapp):
        self.append("rm -rf -- ~/%(name)s", {"name": webapp.name})


class StorySite(ServiceController):
    """A file in that folder: for static sites only."""

    abstract = True
    model = "webapps.WebApp"
    verbose_name = "story site"
    after = ["StoryAccount"]
    default_route_match = "webapp.type == 'static'"

    def save(self, webapp):
        context = {"name": webapp.name, "comment": webapp.comment}
        self.append("printf %%s %(comment)s > ~/%(name)s/index.html", context)
        self.append("changed=1")

    def delete(self, webapp):
        self.append("echo deleted %(name)s", {"name": webapp.name})

    def commit(self):
        self.append("echo reload once")
        super().commit()


@pytest.fixture
def story(settings, backend, sshd_factory, client):
    """Two hosts, routes, and somebody who is logged in."""
    settings.ROOT_URLCONF = __name__
    settings.ORCHESTRATION_DISABLE_EXECUTION = False
    settings.ORCHESTRATION_EXECUTOR = "threads"
    for cls in (StoryAccount, StorySite):
        backend(cls)
    hosts = [sshd_factory(), sshd_factory()]
    for host, match in zip(hosts, ["True", "webapp.name.startswith('both')"], strict=True):
        server = Server.objects.create(
            name=host.host.name,
            address=host.host.address,
            port=host.host.port,
            user=host.host.user,
            host_keys="\n".join(host.host_keys),
        )
        Route.objects.create(backend="StoryAccount", host=server, match=match)
        Route.objects.create(backend="StorySite", host=server, match=f"({match}) and webapp.type == 'static'")
    client.force_login(get_user_model().objects.create_superuser("ada", password="x"))
    yield hosts
    executors.stop()


def form(**changes):
    owner = get_user_model().objects.get().pk
    values = {"name": "shop", "type": "static", "size_mb": 1, "data": "{}", "comment": "", "owner": owner}
    return values | changes


def test_one_save_changes_a_real_server_and_the_log_says_so(story, client):
    web, other = story
    answer = client.post("/story/webapps/webapp/add/", form(comment="it's $HOME; `id`"), follow=True)
    assert answer.status_code == 200
    assert (web.home / "shop/index.html").read_text() == "it's $HOME; `id`"
    assert not (other.home / "shop").exists()
    account, page = ScriptLog.objects.order_by("number", "position")
    assert [account.backend, page.backend] == ["StoryAccount", "StorySite"]
    assert {account.state, page.state} == {ScriptLog.SUCCESS}
    assert (account.number, page.number, page.position) == (1, 1, 1)
    assert account.unit == page.unit
    assert page.user.username == "ada"
    assert page.origin == "/story/webapps/webapp/add/"
    assert page.stdout == "reload once\n"
    assert page.exit_code == 0
    assert page.payload is None
    operation = page.operations.get()
    assert (operation.action, operation.instance_repr) == ("save", "shop")
    assert operation.instance == WebApp.objects.get()
    assert any("2 scripts" in str(message) for message in answer.context["messages"])


def test_a_delete_is_written_in_the_reverse_order_and_outlives_its_object(story, client):
    web, _ = story
    client.post("/story/webapps/webapp/add/", form())
    pk = WebApp.objects.get().pk
    client.post(f"/story/webapps/webapp/{pk}/delete/", {"post": "yes"})
    assert not (web.home / "shop").exists()
    deletes = ScriptLog.objects.filter(number=2).order_by("position")
    assert [log.backend for log in deletes] == ["StorySite", "StoryAccount"]
    assert {log.state for log in deletes} == {ScriptLog.SUCCESS}
    assert deletes[0].operations.get().instance is None
    assert deletes[0].operations.get().object_id == str(pk)


def test_an_object_on_two_servers_changes_both_and_one_failure_is_told(story, client):
    web, other = story
    (other.home / "both").write_text("a file where the folder should be")
    answer = client.post("/story/webapps/webapp/add/", form(name="both"), follow=True)
    assert (web.home / "both/index.html").exists()
    states = {(log.server_name, log.backend): log for log in ScriptLog.objects.all()}
    failed = states[other.host.name, "StoryAccount"]
    assert failed.state == ScriptLog.FAILURE
    assert "File exists" in failed.stderr
    assert failed.payload is not None
    dependent = states[other.host.name, "StorySite"]
    assert dependent.state == ScriptLog.REVOKED
    assert "StoryAccount" in dependent.reason
    assert any("failed" in str(message) for message in answer.context["messages"])


def test_a_server_that_is_down_keeps_the_work_and_gets_it_later(story, client, settings):
    settings.ORCHESTRATION_RETRY_PAUSE = 0.2
    settings.ORCHESTRATION_POLL = 0.2
    settings.ORCHESTRATION_REQUEST_WAIT = 1
    web, _ = story
    web.stop()
    answer = client.post("/story/webapps/webapp/add/", form(), follow=True)
    assert answer.status_code == 200
    between_tries = ScriptLog.objects.filter(state=ScriptLog.RECEIVED, attempt__gte=1)
    waiting = wait_until(between_tries.first, "a try that failed")
    assert web.host.address in waiting.reason
    web.start()
    wait_until(lambda: not ScriptLog.objects.unfinished().exists(), "the kept work")
    assert set(ScriptLog.objects.values_list("state", flat=True)) == {ScriptLog.SUCCESS}
    assert (web.home / "shop/index.html").exists()


def test_a_silent_server_holds_up_neither_the_request_nor_the_others(story, client, settings):
    settings.ORCHESTRATION_REQUEST_WAIT = 1
    web, other = story
    with socket.create_server((other.address, 0)) as silent:
        Server.objects.filter(name=other.host.name).update(port=silent.getsockname()[1])
        started = time.monotonic()
        answer = client.post("/story/webapps/webapp/add/", form(name="both"), follow=True)
        assert time.monotonic() - started < settings.ORCHESTRATION_REQUEST_WAIT + 3
        assert answer.status_code == 200
        assert (web.home / "both/index.html").exists()
        states = ScriptLog.objects.values_list("server_name", "state").distinct()
        assert dict(states) == {web.host.name: ScriptLog.SUCCESS, other.host.name: ScriptLog.STARTED}
        assert any("in the background" in str(message) for message in answer.context["messages"])
    told = wait_until(ScriptLog.objects.waiting().first, "the end of the try")
    assert told.server_name == other.host.name


@pytest.mark.lesson(10)
def test_two_people_at_once_have_one_effect_each_in_order(story, client):
    web, _ = story
    client.post("/story/webapps/webapp/add/", form())
    change = f"/story/webapps/webapp/{WebApp.objects.get().pk}/change/"
    ada = get_user_model().objects.get()

    def edit(person):
        browser = Client()
        browser.force_login(ada)
        return [browser.post(change, form(comment=f"{person} {turn}")).status_code for turn in range(5)]

    assert in_threads(lambda: edit("ada"), lambda: edit("bob")) == [[302] * 5] * 2
    wait_until(lambda: not ScriptLog.objects.unfinished().exists(), "all scripts")
    logs = ScriptLog.objects.filter(backend="StorySite").order_by("number")
    assert [(log.number, log.state) for log in logs] == [(n, ScriptLog.SUCCESS) for n in range(1, 12)]
    starts = [log.started_at for log in logs]
    assert starts == sorted(starts)
    assert (web.home / "shop/index.html").read_text() == WebApp.objects.get().comment
