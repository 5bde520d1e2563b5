"""The quick start, to the letter: fresh environment, fresh project, and at the end a file on a host."""

import contextlib
import os
import re
import signal
import socket
import subprocess
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from tests.services.sshd import wait_until

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "quickstart.md"
BLOCK = re.compile(
    r"^```(?:bash|\{code-block\} python\n:caption: (?P<path>\S+)(?P<at_end>[^\n]*)\n)\n(?P<text>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
#: Variables of the test run that a person at a terminal does not have.
FOREIGN = re.compile(r"DJANGO_|PYTHON|PYTEST_|COV|VIRTUAL_ENV")
PATIENCE = 60


class Terminal:
    """A shell in an empty folder: variables that one block sets are there in the next."""

    def __init__(self, folder, variables):
        self.folder = folder
        self.state = folder.parent / "variables.sh"
        self.state.write_text("".join(f"export {name}='{value}'\n" for name, value in variables.items()))
        self.environment = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}

    def start(self, block):
        """Start what a block says, in a process group of its own."""
        command = f". {self.state}\n{block}\nexport -p > {self.state}"
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, block):
        """Run a block to its end and return what it printed."""
        process = self.start(block)
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output.decode()
        return output.decode()


class Browser:
    """Somebody who uses the admin."""

    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"
        self.open = build_opener(HTTPCookieProcessor(CookieJar())).open

    def get(self, path):
        with self.open(self.base + path, timeout=30) as answer:
            return answer.read().decode()

    def submit(self, path, **fields):
        """Fill in the form of a page and return the page that follows."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(path)).group(1)
        data = urlencode({"csrfmiddlewaretoken": token, **fields}).encode()
        with self.open(self.base + path, data, timeout=60) as answer:
            return answer.read().decode()

    def is_up(self):
        with contextlib.suppress(URLError):
            return self.get("/admin/login/")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def terminal(tmp_path, sshd):
    """A terminal in which the first block of the page has been run, with other values."""
    values = {"SOURCE": ROOT, "SSH_HOST": sshd.address, "SSH_PORT": sshd.port, "SSH_USER": sshd.user}
    folder = tmp_path / "project"
    folder.mkdir()
    return Terminal(folder, {**values, "SSH_KEY": sshd.key, "PORT": free_port()})


@pytest.fixture
def serve(terminal):
    """Start the block that ends with runserver, and return a browser once it answers."""
    processes = []

    def start(block):
        processes.append(terminal.start(block))
        browser = Browser(re.search(r" PORT=['\"]?(\d+)", terminal.state.read_text()).group(1))
        wait_until(browser.is_up, "runserver", PATIENCE)
        return browser

    yield start
    for process in processes:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=PATIENCE)


def write(folder, block):
    """Put a block of Python where its caption says."""
    path = folder / block["path"]
    before = path.read_text() if block["at_end"] else ""
    path.write_text(before + block["text"])


@pytest.mark.timeout(400)
def test_quick_start_ends_with_a_file_that_changes_on_a_host(terminal, serve, sshd):
    blocks = list(BLOCK.finditer(PAGE.read_text()))
    values, *steps = blocks
    assert values["text"].count("export") == 5
    *steps, server, look, logs = steps
    for block in steps:
        if block["path"]:
            write(terminal.folder, block)
        else:
            printed = terminal.run(block["text"])
    assert "no issues" in printed

    browser = serve(server["text"])
    page = sshd.home / "websites" / "example" / "index.html"
    browser.submit("/admin/login/?next=/admin/", username="admin", password="admin")
    browser.submit("/admin/hosting/website/add/", name="example", title="Hello")
    assert terminal.run(look["text"]) == "Hello\n"

    browser.submit("/admin/hosting/website/1/change/", name="example", title="It's $HOME")
    assert page.read_text() == "It's $HOME\n"

    browser.submit("/admin/hosting/website/1/delete/", post="yes")
    assert not page.parent.exists()

    sshd.stop()
    answer = browser.submit("/admin/hosting/website/add/", name="later", title="Later")
    assert "Scripts wait for web1" in answer
    sshd.start()
    wait_until((sshd.home / "websites" / "later" / "index.html").exists, "the work that waited", PATIENCE)
    assert "WebsiteFolder @ web1 SUCCESS 0" in terminal.run(logs["text"])
