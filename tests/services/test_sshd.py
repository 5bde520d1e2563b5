"""The sshd of the tests is a real one, and leaves nothing behind."""

import subprocess

import pytest

from .sshd import is_running


def run(sshd, command):
    options = ["-F", "none", "-i", str(sshd.key), "-p", str(sshd.port), "-o", "BatchMode=yes"]
    known = sshd.folder / "known_hosts"
    known.write_text("".join(f"[{sshd.address}]:{sshd.port} {key}\n" for key in sshd.host_keys))
    options += ["-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes"]
    return subprocess.run(
        ["ssh", *options, f"{sshd.user}@{sshd.address}", command], capture_output=True, text=True, timeout=20
    )


def test_a_command_runs_in_the_home_of_its_host(sshd):
    result = run(sshd, "pwd -L; echo $HOME")
    assert (result.returncode, result.stdout.split()[-1]) == (0, str(sshd.home)), result.stderr


def test_two_hosts_have_their_own_address_keys_and_world(sshd_factory):
    one, two = sshd_factory(), sshd_factory(host_key_types=("rsa", "ecdsa"))
    assert one.address != two.address
    assert [key.split()[0] for key in two.host_keys] == ["ssh-rsa", "ecdsa-sha2-nistp256"]
    assert not set(one.host_keys) & set(two.host_keys)


def test_a_stopped_host_refuses_and_a_started_one_answers_again(sshd):
    sshd.stop()
    assert "refused" in run(sshd, "true").stderr
    sshd.start()
    assert run(sshd, "true").returncode == 0


def test_stopping_ends_what_runs(sshd):
    options = ["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"]
    options += ["-i", str(sshd.key), "-p", str(sshd.port), "-o", "UserKnownHostsFile=/dev/null"]
    command = ["ssh", *options, f"{sshd.user}@{sshd.address}", "echo $$; exec sleep 60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        pid = int(client.stdout.readline())
        sshd.stop()
        assert client.wait(10) == 255
    assert not is_running(pid)


@pytest.mark.parametrize("tool", ["python3", "bash"])
def test_a_host_can_lack_a_tool(sshd_factory, path_without, tool):
    sshd = sshd_factory(path=path_without(tool))
    assert run(sshd, f"command -v {tool}; command -v cat").stdout.split("\n")[0].endswith("/cat")
