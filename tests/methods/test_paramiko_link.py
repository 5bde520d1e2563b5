"""Connecting to real sshd: every trouble has a sentence, in its time; and channels lose nothing."""

import dataclasses
import os
import socket
import threading
import time
import warnings

import pytest

from orchestration.exceptions import (
    ConnectionFailed,
    ConnectionLost,
    ConnectionRefused,
    ConnectTimeout,
    HostUnreachable,
    LoginFailed,
)
from orchestration.methods.paramiko import channel as channels
from orchestration.methods.paramiko import link as links
from orchestration.methods.paramiko import login, wire
from orchestration.methods.paramiko.channel import WINDOW
from orchestration.methods.paramiko.link import ParamikoTransport
from tests.services.sshd import generate_key, wait_until

MIB = 1024 * 1024


@pytest.fixture
def connect():
    """Connect to a host; the link is closed after the test."""
    opened = []

    def create(host, **changes):
        opened.append(ParamikoTransport().connect(dataclasses.replace(host, **changes)))
        return opened[-1]

    yield create
    for link in opened:
        link.close()


@pytest.fixture
def serve(sshd):
    """Put a server of one's own in the place of sshd: ``serve(lambda connection: …)``."""
    listeners = []

    def create(talk):
        listener = socket.create_server((sshd.address, 0))
        listeners.append(listener)
        threading.Thread(target=answer, args=(listener, talk), daemon=True).start()
        return dataclasses.replace(sshd.host, port=listener.getsockname()[1])

    def answer(listener, talk):
        try:
            with listener.accept()[0] as connection:
                talk(connection)
        except OSError:  # the client or the test has left
            pass

    yield create
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def read_all(channel, timeout=10.0):
    data = b""
    while chunk := channel.receive(timeout):
        data += chunk
    assert chunk is not None, f"nothing came within {timeout} s after {data[-200:]!r}"
    return data


# Connecting


def test_the_quick_and_modern_algorithms_come_first(sshd, connect):
    session = connect(sshd.host).session
    assert session.local_cipher == session.remote_cipher == "aes128-gcm@openssh.com"
    assert session.host_key_type == "ssh-ed25519"
    assert "kex: algorithm: curve25519-sha256@libssh.org" in read_debug_log(sshd)


def read_debug_log(sshd):
    sshd.stop()
    sshd.options["LogLevel"] = "DEBUG"
    sshd.start()
    ParamikoTransport().connect(sshd.host).close()
    return sshd.log.read_text()


@pytest.mark.parametrize(
    "weak", [{"Ciphers": "aes128-cbc,3des-cbc"}, {"KexAlgorithms": "diffie-hellman-group14-sha1"}]
)
def test_weak_algorithms_are_not_used(sshd_factory, connect, weak):
    with pytest.raises(ConnectionFailed, match="offers no algorithm that is safe"):
        connect(sshd_factory(**weak).host)


def test_small_packets_are_sent_at_once(sshd, connect):
    connection = connect(sshd.host).wire._socket
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_keys_of_any_type_log_in(sshd, connect, settings, tmp_path, kind):
    key = generate_key(tmp_path / kind, kind)
    sshd.authorized_keys.write_text(key.with_suffix(".pub").read_text())
    settings.ORCHESTRATION_SSH_KEY_PATH = str(key)
    assert read_all(connect(sshd.host).open("echo in")) == b"in\n"


def test_every_ecdsa_key_can_be_read(tmp_path):
    for number in range(12):
        key = generate_key(tmp_path / f"key{number}", "ecdsa")
        loaded = login.load_key(str(key))
        assert loaded.get_base64() in key.with_suffix(".pub").read_text()


def test_a_key_that_was_replaced_is_read_again(sshd, connect, settings, tmp_path):
    path = generate_key(tmp_path / "key")
    settings.ORCHESTRATION_SSH_KEY_PATH = str(path)
    with pytest.raises(LoginFailed):
        connect(sshd.host)
    path.write_text(sshd.key.read_text())
    assert connect(sshd.host)


def test_hosts_are_reached_over_ipv6(sshd_factory, connect):
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    assert read_all(connect(sshd_factory(address="::1").host).open("echo six")) == b"six\n"


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_a_name_is_looked_up_and_all_its_addresses_are_tried(sshd_factory, connect):
    sshd = sshd_factory(address="127.0.0.1")
    assert read_all(connect(sshd.host, address="localhost").open("echo named")) == b"named\n"


# Trouble


def test_a_name_that_does_not_exist_is_said_to_be_unknown(sshd, connect):
    with pytest.raises(HostUnreachable, match=r"The address 'no such name' of host.* is unknown"):
        connect(sshd.host, address="no such name")


def test_a_host_that_never_answers_is_unreachable(sshd, connect, settings):
    settings.ORCHESTRATION_CONNECT_TIMEOUT = 0.5
    with socket.create_server((sshd.address, 0), backlog=0) as deaf:
        port = deaf.getsockname()[1]
        with socket.create_connection((sshd.address, port)), pytest.raises(HostUnreachable, match="in time"):
            connect(sshd.host, port=port)


def test_a_socket_closed_by_another_thread_has_hung_up():
    ours, theirs = socket.socketpair()
    with theirs:
        closing = wire.Wire(ours, time.monotonic() + 1)
        assert not closing.has_hung_up
        ours.close()
        assert closing.has_hung_up


def test_a_closed_port_is_refused(sshd, connect):
    sshd.stop()
    with pytest.raises(ConnectionRefused, match="is sshd running"):
        connect(sshd.host)


def say_nothing(connection):
    connection.recv(1024), connection.recv(1024)


def say_only_the_version(connection):
    connection.sendall(b"SSH-2.0-Sphinx\r\n")
    while connection.recv(1024):
        pass


def talk_slowly_for_ever(connection):
    while connection.send(b"x\r\n"):
        threading.Event().wait(0.02)


@pytest.mark.parametrize("talk", [say_nothing, say_only_the_version, talk_slowly_for_ever])
def test_a_server_that_gets_nowhere_is_left_in_time(serve, connect, settings, talk):
    settings.ORCHESTRATION_CONNECT_TIMEOUT = 0.5
    started = time.monotonic()
    with pytest.raises(ConnectionFailed):
        connect(serve(talk))
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("talk", [say_nothing, say_only_the_version])
def test_a_silent_server_is_said_to_be_silent(serve, connect, settings, talk):
    settings.ORCHESTRATION_CONNECT_TIMEOUT = 0.5
    with pytest.raises(ConnectTimeout, match=r"said nothing for 0\.5 s"):
        connect(serve(talk))


def test_a_server_frozen_during_the_login_is_left_in_time(sshd, proxy_to, connect, settings):
    settings.ORCHESTRATION_CONNECT_TIMEOUT = 1
    proxy = proxy_to(sshd.host)
    proxy.freeze_after = 1000  # its version and the first round of the key exchange are through
    with pytest.raises(ConnectTimeout):
        connect(proxy.host)


@pytest.mark.parametrize(
    "greeting", [b"220 mail ESMTP\r\n" * 200, b"", b"SSH-1.5-old\r\n", b"\x00\xff" * 5000]
)
def test_what_is_no_ssh_server_is_left_with_a_sentence(serve, connect, greeting):
    with pytest.raises(ConnectionFailed, match="host"):
        connect(serve(lambda connection: connection.sendall(greeting)))


def test_a_login_that_is_refused_names_user_and_key(sshd, connect):
    sshd.authorized_keys.write_text("")
    with pytest.raises(LoginFailed, match=f"{sshd.user}@.*{sshd.key}.*authorized_keys"):
        connect(sshd.host)


def test_a_login_without_a_key_names_the_setting(sshd, connect, settings):
    settings.ORCHESTRATION_SSH_KEY_PATH = ""
    with pytest.raises(LoginFailed, match="ORCHESTRATION_SSH_KEY_PATH"):
        connect(sshd.host)


def test_a_key_with_a_passphrase_is_said_to_have_one(sshd, connect, settings, tmp_path):
    settings.ORCHESTRATION_SSH_KEY_PATH = str(generate_key(tmp_path / "locked", passphrase="hush, hush"))
    with pytest.raises(LoginFailed, match="protected by a passphrase"):
        connect(sshd.host)


@pytest.mark.parametrize("text", [None, "", "no key at all", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_a_key_that_cannot_be_used_is_named(sshd, connect, settings, tmp_path, text):
    path = tmp_path / "key"
    if text is not None:
        path.write_text(text)
    settings.ORCHESTRATION_SSH_KEY_PATH = str(path)
    with pytest.raises(LoginFailed, match=str(path)):
        connect(sshd.host)


def test_a_host_that_grants_no_session_is_said_to_be_full(sshd_factory, connect):
    link = connect(sshd_factory(MaxSessions=1).host)
    first = link.open("sleep 20")
    with pytest.raises(ConnectionFailed, match="MaxSessions"):
        link.open("true")
    first.close()


def test_a_link_that_freezes_before_a_command_is_left_in_time(sshd, proxy_to, connect, settings):
    proxy = proxy_to(sshd.host)
    link = connect(proxy.host)
    link.open("true").close()
    settings.ORCHESTRATION_CONNECT_TIMEOUT = 0.5
    proxy.freeze()
    with pytest.raises(ConnectTimeout):
        link.open("true")
    assert link.is_closed


def test_a_link_whose_sshd_died_opens_nothing(sshd, connect):
    link = connect(sshd.host)
    sshd.cut()
    wait_until(lambda: not link.session.is_active(), "the end of the session")
    with pytest.raises(ConnectionFailed):
        link.open("true")


# Channels


def test_output_and_status_come_back(sshd, connect):
    channel = connect(sshd.host).open("echo out; echo oops >&2; exit 255")
    assert read_all(channel) == b"out\n"
    assert (channel.exit_status(), channel.stderr_text()) == (255, "oops\n")


def test_a_hundred_mebibytes_arrive_without_being_kept(sshd, connect):
    channel = connect(sshd.host).open(f"head -c {100 * MIB} /dev/zero")
    size = 0
    while chunk := channel.receive(10):
        size += len(chunk)
        assert len(chunk) <= WINDOW
    assert (size, channel.exit_status()) == (100 * MIB, 0)


def test_new_session_keys_on_the_way_lose_nothing(sshd_factory, connect):
    channel = connect(sshd_factory(RekeyLimit="1M").host).open(
        f"head -c {20 * MIB} /dev/zero | tee /dev/stderr"
    )
    assert len(read_all(channel)) == 20 * MIB
    assert channel.exit_status() == 0


@pytest.mark.lesson(20)
def test_mebibytes_of_stderr_do_not_block_a_silent_stdout(sshd, connect):
    channel = connect(sshd.host).open(f"head -c {8 * MIB} /dev/zero >&2; echo done")
    data = b""
    deadline = time.monotonic() + 20
    while (chunk := channel.receive(0.05)) != b"" and time.monotonic() < deadline:
        data += chunk or b""
    assert data == b"done\n"
    assert len(channel.stderr_text()) == 64 * 1024


@pytest.mark.lesson(20)
def test_mebibytes_go_both_ways_at_once(sshd, connect):
    channel = connect(sshd.host).open("cat")
    sent = bytes(range(256)) * (8 * MIB // 256)
    sender = threading.Thread(target=channel.send, args=(sent,))
    sender.start()
    received = bytearray()
    while len(received) < len(sent):
        received += channel.receive(10)
    sender.join(10)
    assert received == sent
    channel.close()


def test_nothing_within_the_timeout_is_none(sshd, connect):
    channel = connect(sshd.host).open("read line; echo $line")
    assert channel.receive(0) is None
    assert channel.receive(0.02) is None
    channel.send(b"late\n")
    assert read_all(channel) == b"late\n"


@pytest.mark.lesson(23)
def test_a_lost_link_has_no_exit_status(sshd, connect):
    channel = connect(sshd.host).open("sleep 30; exit 255")
    sshd.cut()
    assert channel.receive(10) == b""
    assert channel.exit_status() is None
    with pytest.raises(ConnectionLost):
        channel.send(b"x")


def test_a_far_end_that_takes_nothing_is_given_up(sshd, connect, monkeypatch):
    monkeypatch.setattr(channels, "STALL", 0.3)
    channel = connect(sshd.host).open("sleep 30")
    with pytest.raises(ConnectionLost, match="takes no more data"):
        channel.send(bytes(16 * MIB))


def test_a_link_that_freezes_while_data_is_sent_is_given_up(sshd, proxy_to, connect, monkeypatch):
    monkeypatch.setattr(wire, "UNANSWERED", 1)
    proxy = proxy_to(sshd.host)
    channel = connect(proxy.host).open("cat > /dev/null")
    proxy.freeze()
    started = time.monotonic()
    with pytest.raises(ConnectionLost):
        channel.send(bytes(64 * MIB))
    assert time.monotonic() - started < 20


def test_a_frozen_link_is_noticed_while_somebody_waits(sshd, proxy_to, connect, monkeypatch):
    monkeypatch.setattr(links, "SILENCE", 0.2)
    proxy = proxy_to(sshd.host)
    channel = connect(proxy.host).open("sleep 30")
    proxy.freeze()
    started = time.monotonic()
    while channel.receive(0.05) is None:
        assert time.monotonic() - started < 5
    assert channel.exit_status() is None


def test_a_silent_command_on_a_live_link_is_waited_for(sshd, connect, monkeypatch):
    monkeypatch.setattr(links, "SILENCE", 0.1)
    channel = connect(sshd.host).open("sleep 1; echo there")
    answers = []
    while (answer := channel.receive(0.05)) != b"":
        answers.append(answer)
    assert (answers.count(None) > 10, answers[-1]) == (True, b"there\n")


def test_closing_a_link_wakes_whoever_waits(sshd, connect):
    link = connect(sshd.host)
    channel = link.open("sleep 30")
    threading.Timer(0.1, link.close).start()
    assert channel.receive(10) == b""


def test_a_link_outlives_the_time_of_connecting(sshd, connect, settings):
    settings.ORCHESTRATION_CONNECT_TIMEOUT = 0.5
    link = connect(sshd.host)
    threading.Event().wait(0.8)
    assert read_all(link.open("echo alive")) == b"alive\n"


def test_an_idle_link_needs_no_processor(sshd, connect):
    connect(sshd.host)
    before = time.process_time()
    threading.Event().wait(0.5)
    assert time.process_time() - before < 0.02


def test_a_forked_child_lets_go_without_ending_the_link(sshd, connect):
    link = connect(sshd.host)
    child = fork()
    if child == 0:  # as a worker does that was forked with the link open
        link.abandon()
        link.session.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert read_all(link.open("echo still here")) == b"still here\n"


def fork():
    with warnings.catch_warnings():  # from 3.12 on Python warns of forks beside threads
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()
