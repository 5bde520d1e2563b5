"""The demo's embedded SSH hosts: real processes, binary streams, stop and start."""

import hashlib
import os
import select
import socket

import paramiko
import pytest

from example_project.hosts import EmbeddedHost
from tests.example.waiting import until


@pytest.fixture(scope="module")
def keys():
    return paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()


@pytest.fixture
def host(tmp_path, keys):
    host = EmbeddedHost(tmp_path / "web1", host_key=keys[0], client_key=keys[1])
    host.start()
    yield host
    host.stop()


@pytest.fixture
def connect(host, keys):
    opened = []

    def connect(key=keys[1]):
        transport = paramiko.Transport((host.address, host.port))
        opened.append(transport)
        transport.connect(username="demo", pkey=key)
        return transport

    yield connect
    for transport in opened:
        transport.close()


def run(transport, command, stdin=b""):
    channel = transport.open_session(timeout=10)
    channel.settimeout(20)
    channel.exec_command(command)
    channel.sendall(stdin)
    channel.shutdown_write()
    stdout = b"".join(iter(lambda: channel.recv(65536), b""))
    stderr = b"".join(iter(lambda: channel.recv_stderr(65536), b""))
    return channel.recv_exit_status(), stdout, stderr


def test_a_command_runs_in_the_folder_of_its_host(host, connect):
    status, stdout, stderr = run(connect(), 'echo "$HOME"; pwd; echo oops >&2; exit 3')
    assert (status, stderr) == (3, b"oops\n")
    assert stdout.decode().split() == [str(host.folder)] * 2


def test_megabytes_of_any_bytes_go_both_ways(connect):
    data = os.urandom(4 * 1024 * 1024)
    status, stdout, _ = run(connect(), "cat", data)
    assert (status, hashlib.sha256(stdout).digest()) == (0, hashlib.sha256(data).digest())


def test_channels_of_one_connection_run_at_the_same_time(connect):
    transport = connect()
    first = transport.open_session(timeout=10)
    first.settimeout(20)
    first.exec_command("read line; echo $line")
    assert run(transport, "echo second")[1] == b"second\n"
    first.sendall(b"first\n")
    assert first.recv(100) == b"first\n"
    first.close()


def test_a_process_killed_by_a_signal_ends_like_in_a_shell(connect):
    assert run(connect(), "kill -9 $$")[0] == 137


def test_another_key_is_refused(connect):
    with pytest.raises(paramiko.AuthenticationException):
        connect(paramiko.ECDSAKey.generate())


def test_a_stopped_host_ends_its_processes_and_comes_back_on_its_port(host, connect):
    channel = connect().open_session(timeout=10)
    channel.settimeout(20)
    channel.exec_command("echo $$; exec sleep 60")
    pid = int(channel.recv(100))
    host.stop()
    assert channel.recv(100) == b""
    until(lambda: not has_process(pid))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host.address, host.port), timeout=5)
    host.start()
    assert run(connect(), "echo back")[1] == b"back\n"


def test_a_stopped_host_has_said_so_on_every_connection_when_it_stops(host, connect):
    transport = connect()
    poll = select.poll()
    poll.register(transport.sock, select.POLLRDHUP)
    assert poll.poll(0) == []
    host.stop()
    assert poll.poll(0) or not transport.is_active()


def has_process(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
