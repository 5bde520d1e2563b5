"""The demo as a person meets it: start it, log in, save, stop a host, start it again, end it."""

import http.cookiejar
import os
import re
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from .waiting import until

ROOT = Path(__file__).parents[2]


class Demo:
    """A running demo, and a browser for it."""

    def __init__(self, folder):
        self.folder, self.printed = folder, folder / "printed"
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with self.printed.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, ROOT / "example_project/manage.py", "demo", "--port", "0"],
                env=environment | {"PANEL_VAR": str(self.folder), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,  # a pipe that closes, because these tests were killed, ends the demo
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log_in(self):
        """Wait until it says where and how, and do it."""
        words = r"(http://\S+)\s+Log in as (\S+) with the password (\S+)"
        self.url, user, self.password = until(lambda: re.search(words, self.output()), 60).groups()
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.browser = urllib.request.build_opener(cookies)
        self.post("login/", username=user, password=self.password, next="/admin/")

    def output(self):
        assert self.process.poll() is None, self.printed.read_text()
        return self.printed.read_text()

    def type(self, command, answer):
        """Type a command at the prompt, and wait for its answer."""
        before = self.output().count(answer)
        self.process.stdin.write(f"{command}\n".encode())
        self.process.stdin.flush()
        until(lambda: self.output().count(answer) > before)

    def end(self, number):
        """Send a signal; return the exit status, and what was printed."""
        self.process.send_signal(number)
        return self.process.wait(timeout=20), self.printed.read_text()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=20)

    def get(self, path):
        with self.browser.open(self.url + path, timeout=30) as answer:
            return answer.read().decode()

    def post(self, path, **fields):
        """Send a form of the admin; return the page that follows."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(path)).group(1)
        data = urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": token}).encode()
        with self.browser.open(self.url + path, data, timeout=30) as answer:
            return answer.read().decode()

    def file(self, host, path):
        return self.folder / "demo" / "hosts" / host / path

    def site(self, host, name):
        return self.file(host, f"etc/nginx/sites-enabled/{name}.conf")


@contextmanager
def running(folder):
    """Start the demo in a folder, log in, and end it whatever happens."""
    demo = Demo(folder)
    try:
        demo.log_in()
        yield demo
    finally:
        demo.kill()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with running(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


def website(name, **fields):
    """Return the form of a website with one domain."""
    domains = {"domains-TOTAL_FORMS": 1, "domains-INITIAL_FORMS": 0, "domains-0-name": f"{name}.example.com"}
    return {"name": name, "user": 1, "kind": "static", "is_active": "on"} | domains | fields


def test_a_save_in_the_admin_changes_the_right_host(demo):
    page = demo.post("panel/website/add/", **website("shop"))
    assert "was added successfully" in page
    key = int(re.search(r"panel/website/(\d+)/change/", page).group(1))
    right, other = ("web1", "web2") if key % 2 else ("web2", "web1")
    until(demo.site(right, "shop").exists)
    assert "server_name shop.example.com;" in demo.site(right, "shop").read_text()
    assert not demo.site(other, "shop").exists()
    demo.post(f"panel/website/{key}/delete/", post="yes")
    until(lambda: not demo.site(right, "shop").is_symlink())


def test_work_for_a_stopped_host_waits_and_is_applied_when_it_is_back(demo):
    sites = [demo.site(host, "blog") for host in ("web1", "web2")]
    for host in ("web1", "web2"):
        demo.type(f"stop {host}", f"{host} is stopped.")
    demo.post("panel/website/add/", **website("blog"))
    waiting = "orchestration/scriptlog/?state__exact=RECEIVED"
    until(lambda: "save blog" in demo.get(waiting), 30)  # not while it is being tried
    assert not any(site.exists() for site in sites)
    for host in ("web1", "web2"):
        demo.type(f"start {host}", f"{host} is running.")
    until(lambda: any(site.exists() for site in sites), 30)
    until(lambda: "save blog" not in demo.get(waiting), 30)


def test_a_mailbox_reaches_its_host_and_its_password_no_log(demo):
    inline = {"aliases-TOTAL_FORMS": 1, "aliases-INITIAL_FORMS": 0, "aliases-0-address": "sales@example.com"}
    mailbox = {"address": "info@example.com", "account": 1, "new_password": "correct horse", "quota": 10}
    demo.post("panel/mailbox/add/", **mailbox, **inline)
    users = demo.file("mail1", "etc/dovecot/users")
    until(users.exists)
    password = re.search(r"{SSHA512}[^:]+", users.read_text()).group()
    assert (
        "sales@example.com info@example.com" in demo.file("mail1", "etc/postfix/virtual_aliases").read_text()
    )
    logs = demo.get("orchestration/scriptlog/?backend=VirtualMailbox")
    page = demo.get(re.search(r"orchestration/scriptlog/\d+/change/", logs).group())
    assert "etc/dovecot/users.d/info@example.com" in page
    assert password not in page


def test_the_customer_of_the_demo_has_a_home_on_both_web_servers(demo):
    for host in ("web1", "web2"):
        until(demo.file(host, "home/alice").is_dir)
    demo.type("files web1", "demo> ")
    demo.type("status", "mail1: running")


def test_a_signal_ends_all_of_it_and_the_next_start_goes_on_with_what_is_there(tmp_path):
    with running(tmp_path) as first:
        first.post("panel/website/add/", **website("shop"))
        until(first.site("web1", "shop").exists)
        status, printed = first.end(signal.SIGINT)
        assert (status, "Traceback" in printed) == (0, False)
        assert printed.endswith("The demo has ended.\n")
    with running(tmp_path) as again:
        assert again.password == first.password
        again.post("panel/website/1/delete/", post="yes")
        until(lambda: not again.site("web1", "shop").is_symlink())
        status, printed = again.end(signal.SIGTERM)
        assert (status, "Traceback" in printed) == (0, False)
