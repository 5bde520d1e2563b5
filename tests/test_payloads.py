"""What is stored encrypted comes back, whatever happened to keys and code meanwhile."""

import json
import zlib

import pytest
from cryptography.fernet import Fernet

from orchestration import payloads
from orchestration.exceptions import PayloadNewer, PayloadUnreadable
from orchestration.scripts import Call, Group, Section

SECTION = Section(
    backend="Site",
    operations=(),
    groups=(
        Group("SSH", "/bin/bash", "printf %s 'it''s\0 ü \r\n'"),
        Group("Python", calls=(Call("panel.calls.ping", '["a", 1]'), Call("panel.calls.pong", "[]"))),
    ),
    shown="printf ***",
    secrets=("hunter2",),
    needs=(0, 2),
    serialize=True,
    idle=3,
    total=4.5,
)


def test_a_section_comes_back_without_what_is_in_its_row():
    loaded = payloads.load(payloads.dump(SECTION), backend="Site")
    assert loaded.groups == SECTION.groups
    assert (loaded.secrets, loaded.needs) == (("hunter2",), (0, 2))
    assert (loaded.serialize, loaded.idle, loaded.total) == (True, 3, 4.5)
    assert (loaded.backend, loaded.operations, loaded.shown) == ("Site", (), "")


def test_it_cannot_be_read_without_the_key():
    assert b"hunter2" not in payloads.dump(SECTION)


def test_a_memoryview_is_as_good_as_bytes():
    assert payloads.load(memoryview(payloads.dump(SECTION))).groups == SECTION.groups


@pytest.mark.lesson(25)
def test_bytes_of_a_script_are_not_altered():
    text = "password='a\r\nb\tc \u2028 \udcff''\"\\'\n\n"
    section = Section("Site", (), (Group("SSH", "/bin/bash", text),), "")
    assert payloads.load(payloads.dump(section)).groups[0].text == text


def test_another_secret_key_cannot_read_it(settings):
    stored = payloads.dump(SECTION)
    settings.SECRET_KEY = "another"
    with pytest.raises(PayloadUnreadable, match="SECRET_KEY_FALLBACKS"):
        payloads.load(stored)


def test_an_earlier_secret_key_can(settings):
    stored = payloads.dump(SECTION)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"
    assert payloads.load(stored).groups == SECTION.groups


def test_configured_keys_come_first_and_older_ones_still_read(settings):
    before = payloads.dump(SECTION)
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.ORCHESTRATION_FERNET_KEYS = [old]
    stored = payloads.dump(SECTION)
    Fernet(old).decrypt(stored)
    settings.ORCHESTRATION_FERNET_KEYS = [new, old]
    assert payloads.load(stored).groups == payloads.load(before).groups == SECTION.groups
    Fernet(new).decrypt(payloads.dump(SECTION))
    settings.ORCHESTRATION_FERNET_KEYS = [new]
    with pytest.raises(PayloadUnreadable, match="ORCHESTRATION_FERNET_KEYS"):
        payloads.load(stored)


def encrypted(content):
    return payloads._cipher().encrypt(zlib.compress(json.dumps(content).encode()))


def test_fields_of_a_newer_version_are_no_trouble():
    section = payloads.load(encrypted({"version": 1, "groups": [], "colour": "blue"}))
    assert (section.groups, section.needs, section.total) == ((), (), 3600)


def test_big_scripts_are_stored_small():
    text = "".join(f"install -m 0644 /dev/null /srv/www/site{line}\n" for line in range(100_000))
    stored = payloads.dump(Section("Site", (), (Group("SSH", "/bin/bash", text),), ""))
    assert len(stored) < len(text) / 3
    assert payloads.load(stored).groups[0].text == text


def test_a_newer_format_is_left_to_newer_code():
    with pytest.raises(PayloadNewer, match="newer version"):
        payloads.load(encrypted({"version": 2, "steps": []}))


@pytest.mark.parametrize("stored", [b"", b"nonsense", memoryview(b"x")])
def test_nonsense_is_refused(stored):
    with pytest.raises(PayloadUnreadable):
        payloads.load(stored)


@pytest.mark.parametrize("content", [[], {}, {"version": 1}, {"version": 1, "groups": [{"method": "SSH"}]}])
def test_what_lacks_a_part_is_refused(content):
    with pytest.raises(PayloadUnreadable, match="damaged"):
        payloads.load(encrypted(content))
