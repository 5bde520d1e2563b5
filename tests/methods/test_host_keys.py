"""Only a server that proves to own a pinned key, or one that a pinned authority vouches for, is spoken to."""

import base64
import dataclasses
import subprocess

import paramiko
import pytest

from orchestration.exceptions import ConnectionFailed, HostKeyChanged, HostKeyUnknown
from orchestration.methods.paramiko import keys
from orchestration.methods.paramiko.link import ParamikoTransport, scan_host_keys
from tests.services.sshd import generate_key


def connect(host, **changes):
    link = ParamikoTransport().connect(dataclasses.replace(host, **changes))
    kind = link.session.host_key_type
    link.close()
    return kind


def fingerprint_of(path):
    output = subprocess.run(["ssh-keygen", "-lf", path], capture_output=True, text=True, check=True).stdout
    return output.split()[1]


@pytest.mark.lesson(28)
def test_a_host_without_pinned_keys_is_refused_with_its_fingerprint(sshd):
    with pytest.raises(HostKeyUnknown) as caught:
        connect(sshd.host, host_keys=())
    assert fingerprint_of(sshd.host_key_files[0]) in str(caught.value)


@pytest.mark.lesson(28)
def test_a_changed_host_key_is_refused_and_both_fingerprints_are_shown(sshd, tmp_path):
    other = generate_key(tmp_path / "other")
    pinned = (other.with_suffix(".pub").read_text().strip(),)
    with pytest.raises(HostKeyChanged) as caught:
        connect(sshd.host, host_keys=pinned)
    assert fingerprint_of(other) in str(caught.value)
    assert fingerprint_of(sshd.host_key_files[0]) in str(caught.value)


@pytest.mark.lesson(28)
def test_nobody_logs_in_where_the_key_is_wrong(sshd, tmp_path):
    other = generate_key(tmp_path / "other").with_suffix(".pub").read_text()
    with pytest.raises(HostKeyChanged):
        connect(sshd.host, host_keys=(other,))
    sshd.stop()
    assert "publickey" not in sshd.log.read_text()


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_host_with_several_keys_shows_the_pinned_one(sshd_factory, kind):
    sshd = sshd_factory(host_key_types=("rsa", "ecdsa", "ed25519"))
    (line,) = [key for key in sshd.host_keys if kind in key.split()[0]]
    assert kind in connect(sshd.host, host_keys=(line,))


def test_a_pinned_type_that_the_host_no_longer_has_counts_as_changed(sshd_factory, tmp_path):
    sshd = sshd_factory(host_key_types=("ecdsa",))
    gone = generate_key(tmp_path / "gone").with_suffix(".pub").read_text()
    with pytest.raises(HostKeyChanged, match="ecdsa-sha2-nistp256 SHA256:"):
        connect(sshd.host, host_keys=(gone,))


def test_any_of_several_pinned_keys_will_do(sshd, tmp_path):
    other = generate_key(tmp_path / "next").with_suffix(".pub").read_text()
    assert connect(sshd.host, host_keys=(other, *sshd.host_keys))


def test_a_scan_finds_all_keys_and_needs_no_login(sshd_factory, settings):
    sshd = sshd_factory(host_key_types=("rsa", "ecdsa", "ed25519"))
    settings.ORCHESTRATION_SSH_KEY_PATH = "/nowhere"
    assert sorted(scan_host_keys(sshd.address, sshd.port)) == sorted(sshd.host_keys)


def test_a_scan_says_why_it_finds_nothing(sshd):
    sshd.stop()
    with pytest.raises(ConnectionFailed, match="refuses connections"):
        scan_host_keys(sshd.address, sshd.port)


def test_a_scan_takes_no_key_that_is_used_with_sha1_only(sshd_factory):
    sshd = sshd_factory(host_key_types=("rsa",), HostKeyAlgorithms="ssh-rsa")
    with pytest.raises(ConnectionFailed, match="no host key of a type that is accepted"):
        scan_host_keys(sshd.address, sshd.port)


def test_a_line_with_an_unknown_mark_is_no_pinned_key(sshd):
    with pytest.raises(HostKeyUnknown):
        connect(sshd.host, host_keys=tuple(f"@revoked {key}" for key in sshd.host_keys))


def test_fingerprints_are_those_of_ssh_keygen(tmp_path):
    key = generate_key(tmp_path / "key", "rsa")
    blob = key.with_suffix(".pub").read_text().split()[1]
    assert keys.fingerprint(blob) == fingerprint_of(key)


class TestCertificates:
    """The host shows a certificate, and only its authority is pinned."""

    @pytest.fixture
    def authority(self, tmp_path):
        return generate_key(tmp_path / "authority")

    @pytest.fixture
    def certified(self, sshd_factory, authority):
        """Start a host whose certificate was made with these options of ssh-keygen."""

        def create(*options, name=None, signer=authority, kind="ed25519"):
            sshd = sshd_factory(start=False, host_key_types=(kind,))
            names = ["-n", name or sshd.address] if name != "" else []
            sign = ["ssh-keygen", "-q", "-s", signer, "-I", "host", "-h", *names, *options]
            subprocess.run([*sign, f"{sshd.host_key_files[0]}.pub"], check=True, timeout=10)
            sshd.options["HostCertificate"] = f"{sshd.host_key_files[0]}-cert.pub"
            return sshd.start()

        return create

    @pytest.fixture
    def pinned(self, authority):
        return (f"@cert-authority {authority.with_suffix('.pub').read_text().strip()}",)

    @pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
    def test_one_of_the_pinned_authority_is_accepted(self, certified, pinned, kind):
        assert connect(certified(kind=kind).host, host_keys=pinned).endswith("-cert-v01@openssh.com")

    @pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
    def test_authorities_may_have_keys_of_any_type(self, certified, tmp_path, kind):
        signer = generate_key(tmp_path / kind, kind)
        line = f"@cert-authority {signer.with_suffix('.pub').read_text()}"
        assert connect(certified(signer=signer).host, host_keys=(line,))

    def test_one_for_a_pattern_of_names_is_accepted(self, certified, pinned):
        assert connect(certified(name="127.0.*").host, host_keys=pinned)

    def test_one_for_the_name_of_the_server_is_accepted(self, certified, pinned):
        assert connect(certified(name="web1").host, host_keys=pinned, name="web1")

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"name": "other.example.org"}, "it is for other.example.org"),
            ({"name": ""}, "it is for no host"),
            ({"options": ["-V", "20200101:20200102"]}, "not valid now"),
            ({"options": ["-V", "20990101:20990102"]}, "not valid now"),
            ({"options": ["-O", "critical:unheard=of"]}, "critical options"),
        ],
    )
    def test_one_that_does_not_hold_for_this_host_and_time_is_refused(
        self, certified, pinned, options, reason
    ):
        sshd = certified(*options.get("options", ()), name=options.get("name"))
        with pytest.raises(HostKeyChanged, match=reason):
            connect(sshd.host, host_keys=pinned)

    def test_one_of_another_authority_is_refused(self, certified, pinned, tmp_path):
        sshd = certified(signer=generate_key(tmp_path / "impostor"))
        with pytest.raises(HostKeyChanged, match="its authority is not the pinned one"):
            connect(sshd.host, host_keys=pinned)

    def test_one_signed_with_sha1_is_refused(self, certified, tmp_path):
        signer = generate_key(tmp_path / "rsa", "rsa")
        sshd = certified("-t", "ssh-rsa", signer=signer)
        line = f"@cert-authority {signer.with_suffix('.pub').read_text()}"
        with pytest.raises(HostKeyChanged, match="SHA-1"):
            connect(sshd.host, host_keys=(line,))

    def test_a_plain_key_does_not_do_where_an_authority_is_pinned(self, sshd, pinned):
        with pytest.raises(HostKeyChanged, match="it shows no certificate"):
            connect(sshd.host, host_keys=pinned)

    def test_the_key_of_the_authority_itself_is_no_host_key(self, sshd, authority):
        line = f"@cert-authority {sshd.host_keys[0]}"
        with pytest.raises(HostKeyChanged):
            connect(sshd.host, host_keys=(line,))

    def test_a_pinned_key_counts_even_with_a_certificate_that_does_not(self, certified, pinned, tmp_path):
        sshd = certified(signer=generate_key(tmp_path / "impostor"))
        assert connect(sshd.host, host_keys=(*pinned, *sshd.host_keys))

    @pytest.mark.parametrize(("options", "reason"), [(["-h"], None), ([], "it is not a host certificate")])
    def test_one_for_a_user_is_no_host_certificate(self, authority, tmp_path, options, reason):
        blob = self.certify(authority, tmp_path, *options)
        assert keys.problem_of(blob, names=["web1"], authorities=self.trusted(authority)) == reason

    def test_a_bare_key_is_no_certificate(self, authority):
        blob = base64.b64decode(self.trusted(authority)[0][1])
        assert "damaged" in keys.problem_of(blob, names=["web1"], authorities=self.trusted(authority))

    def trusted(self, authority):
        return [tuple(authority.with_suffix(".pub").read_text().split())]

    def certify(self, authority, tmp_path, *options):
        key = generate_key(tmp_path / "host")
        sign = ["ssh-keygen", "-q", "-s", authority, "-I", "host", *options, "-n", "web1", f"{key}.pub"]
        subprocess.run(sign, check=True, timeout=10)
        return paramiko.pkey.PublicBlob.from_file(f"{key}-cert.pub").key_blob

    @pytest.mark.parametrize("position", range(-150, 0, 7))
    def test_a_changed_byte_is_noticed(self, authority, tmp_path, position):
        blob, trusted = bytearray(self.certify(authority, tmp_path, "-h")), self.trusted(authority)
        assert keys.problem_of(bytes(blob), names=["web1"], authorities=trusted) is None
        blob[position] ^= 1
        assert keys.problem_of(bytes(blob), names=["web1"], authorities=trusted)
