"""The demo as a person meets it: start it, log in, save, stop a host, start it again, end it."""

import http.cookiejar
import os
import re
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from .waiting import until

ROOT = Path(__file__).parents[2]


class Demo:
    """A running demo, with a browser that is logged in."""

    def __init__(self, folder):
        self.folder, self.printed = folder, folder / "printed"
        self.process = self.start()
        words = r"(http://\S+)\s+Log in as (\S+) with the password (\S+)"
        self.url, user, password = until(lambda: re.search(words, self.output()), 60).groups()
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.browser = urllib.request.build_opener(cookies)
        self.post("login/", username=user, password=password, next="/admin/")

    def start(self):
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with self.printed.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, ROOT / "example_project/manage.py", "demo", "--port", "0"],
                env=environment | {"PANEL_VAR": str(self.folder), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

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


@pytest.fixture
def demo(tmp_path):
    demo = Demo(tmp_path)
    yield demo
    if demo.process.poll() is None:
        demo.process.kill()
    demo.process.communicate(timeout=20)


def website(name, **fields):
    """Return the form of a website with one domain."""
    domains = {"domains-TOTAL_FORMS": 1, "domains-INITIAL_FORMS": 0, "domains-0-name": f"{name}.example.com"}
    return {"name": name, "user": 1, "kind": "static", "is_active": "on"} | domains | fields


def test_a_save_in_the_admin_changes_the_right_host(demo):
    site = demo.file("web1", "etc/nginx/sites-enabled/shop.conf")
    other = demo.file("web2", "etc/nginx/sites-enabled/shop.conf")
    page = demo.post("panel/website/add/", **website("shop"))
    assert "was added successfully" in page
    until(site.exists)
    assert "server_name shop.example.com;" in site.read_text()
    assert not other.exists()
    demo.post("panel/website/1/delete/", post="yes")
    until(lambda: not site.is_symlink())


def test_work_for_a_stopped_host_waits_and_is_applied_when_it_is_back(demo):
    site = demo.file("web1", "etc/nginx/sites-enabled/shop.conf")
    demo.type("stop web1", "web1 is stopped.")
    assert "web1" in demo.post("panel/website/add/", **website("shop"))
    assert not site.exists()
    waiting = demo.get("orchestration/scriptlog/?state__exact=RECEIVED")
    assert "save shop" in waiting
    demo.type("start web1", "web1 is running.")
    until(site.exists, 30)
    until(lambda: "save shop" not in demo.get("orchestration/scriptlog/?state__exact=RECEIVED"), 30)


def test_the_customer_of_the_demo_has_a_home_on_both_web_servers(demo):
    for host in ("web1", "web2"):
        until(demo.file(host, "home/alice").is_dir)
    demo.type("files web1", "demo> ")
    demo.type("status", "mail1: running")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_it_cleanly(demo, number):
    status, printed = demo.end(number)
    assert status == 0
    assert "The demo has ended." in printed
    assert "Traceback" not in printed


def test_a_second_start_goes_on_with_what_is_there(demo):
    demo.post("panel/website/add/", **website("shop"))
    _status, printed = demo.end(signal.SIGINT)
    demo.process.communicate(timeout=20)
    password = re.search(r"password (\S+)", printed).group(1)
    demo.printed.unlink()
    again = Demo(demo.folder)
    try:
        assert password in again.output()
        assert "shop" in again.get("panel/website/")
        again.post("panel/website/1/delete/", post="yes")
        until(lambda: not again.file("web1", "etc/nginx/sites-enabled/shop.conf").is_symlink())
    finally:
        again.process.kill()
        again.process.communicate(timeout=20)
