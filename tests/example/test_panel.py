"""The panel: what its models accept, and what its backends write on a server."""

import os
import subprocess

import pytest
from django.core.exceptions import ValidationError

from example_project.panel import models, passwords
from tests.services.programs import require

from .conftest import SCRIPTS

pytestmark = pytest.mark.django_db

CASES = {
    "UnixUser": "alice",
    "NginxSite": "website",
    "Zone": "zone",
    "MariaDBUser": "database_user",
    "MariaDBDatabase": "database",
    "VirtualMailbox": "mailbox",
}


@pytest.fixture(params=CASES)
def case(request):
    """A backend, and an object of its model."""
    return request.param, request.getfixturevalue(CASES[request.param])


@pytest.mark.parametrize("action", ["save", "delete"])
def test_each_backend_writes_its_golden_script(case, script_of, action):
    """Set GOLDEN=write to accept what they write now, and read the difference."""
    backend, instance = case
    golden = SCRIPTS / f"{backend}.{action}.sh"
    script = script_of(backend, instance, action)
    if os.environ.get("GOLDEN") == "write":
        golden.write_text(script)
    assert script == golden.read_text()


@pytest.mark.lesson(27)
def test_a_script_that_runs_twice_changes_nothing_the_second_time(case, script_of, world):
    backend, instance = case
    script = script_of(backend, instance, "save")
    world.run(script)
    first = world.files()
    world.run(script)
    assert world.files() == first
    assert first
    assert not [path for path in first if path.endswith(".new")]


def test_a_delete_takes_away_what_the_save_wrote_and_may_run_twice(case, script_of, world):
    backend, instance = case
    world.run(script_of(backend, instance, "save"))
    for _ in range(2):
        world.run(script_of(backend, instance, "delete"))
    left = {path for path, (kind, *_) in world.files().items() if kind.startswith("0o10") or kind == "link"}
    maps = {"etc/bind/named.conf.zones", "etc/dovecot/users"}
    maps |= {"etc/postfix/virtual_mailboxes", "etc/postfix/virtual_aliases"}
    assert left <= maps
    assert not any(world.read(path) for path in left)


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.sh")), ids=lambda path: path.name)
def test_shellcheck_finds_nothing(path):
    # SC2164: "cd" without "|| exit" is what "set -e" is for.
    command = [require("shellcheck"), "--shell=bash", "--severity=warning", "--exclude=SC2164", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


# What appears on the server


def test_a_website_answers_under_its_domains(website, script_of, world):
    world.run(script_of("NginxSite", website, "save"))
    site = world.read("etc/nginx/sites-enabled/shop.conf")
    assert "server_name shop.example.com www.shop.example.com;" in site
    assert "root /home/alice/webs/shop;" in site


@pytest.mark.parametrize("change", [{"is_active": False}, {"domains": []}])
def test_a_website_that_is_off_or_has_no_domain_is_not_enabled(website, script_of, world, change):
    world.run(script_of("NginxSite", website, "save"))
    if "domains" in change:
        website.domains.all().delete()
    website.is_active = change.get("is_active", True)
    world.run(script_of("NginxSite", website, "save"))
    assert not world.has("etc/nginx/sites-enabled/shop.conf")
    assert world.has("etc/nginx/sites-available/shop.conf")


def test_the_files_of_a_deleted_user_are_kept_aside(alice, script_of, world):
    world.run(script_of("UnixUser", alice, "save"))
    (world.folder / "home/alice/thesis").write_text("years of work")
    world.run(script_of("UnixUser", alice, "delete"))
    (kept,) = world.folder.glob("home/.deleted/alice.*/thesis")
    assert kept.read_text() == "years of work"


def test_a_database_that_nobody_may_use_has_no_grants(database, script_of, world):
    world.run(script_of("MariaDBDatabase", database, "save"))
    assert r"GRANT ALL ON `shop\_live`.* TO `shop`@localhost;" in world.read(
        "var/lib/panel/mariadb/database-shop_live.sql"
    )
    database.users.clear()
    world.run(script_of("MariaDBDatabase", database, "save"))
    assert "GRANT" not in world.read("var/lib/panel/mariadb/database-shop_live.sql")


def test_maps_have_the_lines_of_all_mailboxes(account, mailbox, script_of, world):
    other = models.Mailbox.objects.create(account=account, address="zoe@example.com", password="x")
    world.run(script_of("VirtualMailbox", other, "save"))
    world.run(script_of("VirtualMailbox", mailbox, "save"))
    assert world.read("etc/postfix/virtual_mailboxes").split() == [
        *["info@example.com", "info@example.com/"],
        *["zoe@example.com", "zoe@example.com/"],
    ]
    assert "sales@example.com info@example.com\n" in world.read("etc/postfix/virtual_aliases")


@pytest.mark.lesson(28)
def test_passwords_are_not_in_the_text_that_people_see(mailbox, database_user):
    from orchestration import Operation, backends, manager
    from orchestration.router import Target

    target = Target(route=1, server=1, server_name="mail1")
    for name, instance in (("VirtualMailbox", mailbox), ("MariaDBUser", database_user)):
        operation = Operation(backends.find(name), instance, "save", targets=(target,))
        (section,) = manager.generate([operation])[0].sections
        assert instance.password in section.groups[0].text
        assert instance.password not in section.shown


def test_a_mailbox_password_is_a_salted_hash():
    first, second = passwords.for_mailbox("correct horse"), passwords.for_mailbox("correct horse")
    assert first.startswith("{SSHA512}")
    assert first != second


def test_a_database_password_is_the_hash_that_mariadb_makes():
    """SELECT PASSWORD('password') of MariaDB."""
    assert passwords.for_database("password") == "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"


# What the models accept


def refused(instance):
    """Return the names of the fields that are refused."""
    try:
        instance.full_clean()
    except ValidationError as error:
        return set(error.message_dict)
    return set()


@pytest.mark.parametrize("name", ["-rf", "root", "Alice", "a/b", "a b", "", "x" * 32, "alice\n", "1a", "é"])
def test_user_names_that_could_do_harm_are_refused(account, name):
    assert refused(models.SystemUser(account=account, name=name)) == {"name"}


@pytest.mark.parametrize("name", ["alice", "web-1", "a_b"])
def test_other_user_names_are_fine(account, name):
    assert refused(models.SystemUser(account=account, name=name)) == set()


@pytest.mark.parametrize(
    "name",
    [
        "-x.example",
        "example",
        "a..b",
        "UPPER.example",
        "a b.example",
        "x.-y",
        "10.0.0.1",
        "é.example",
        "a.b\n",
    ],
)
def test_what_is_no_host_name_is_refused(website, name):
    assert refused(models.Domain(website=website, name=name)) == {"name"}


@pytest.mark.parametrize("name", ["a.example", "xn--e1afmkfd.example", "1.2.example", "a-b.c-d.example"])
def test_other_host_names_are_fine(website, name):
    assert refused(models.Domain(website=website, name=name)) == set()


@pytest.mark.parametrize("name", ["mysql", "a-b", "a`b", "a;b", "1a", "select 1"])
def test_database_names_that_could_do_harm_are_refused(account, name):
    assert refused(models.Database(account=account, name=name)) == {"name"}


@pytest.mark.parametrize(
    "address", ["info", "@example.com", "a b@example.com", "a/../b@example.com", "-a@example.com"]
)
def test_what_is_no_address_is_refused(account, address):
    assert refused(models.Mailbox(account=account, address=address, password="x")) == {"address"}


def test_an_alias_is_not_also_a_mailbox(mailbox):
    assert refused(models.Alias(mailbox=mailbox, address="info@example.com")) == {"address"}


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("A", "192.0.2.1", "2001:db8::1"),
        ("AAAA", "2001:db8::1", "192.0.2.1"),
        ("CNAME", "example.com.", "example com"),
        ("MX", "10 mail.example.com", "mail.example.com"),
        ("MX", "0 mail.example.com", "70000 mail.example.com"),
        ("NS", "ns1.example.com", "-"),
        ("TXT", 'any "text"', "two\nlines"),
    ],
)
def test_the_value_of_a_record_fits_its_type(zone, kind, good, bad):
    assert refused(models.Record(zone=zone, name="test", type=kind, value=good)) == set()
    assert refused(models.Record(zone=zone, name="test", type=kind, value=bad)) == {"value"}


@pytest.mark.parametrize("name", ["a b", "-a", "$INCLUDE", "a\n", ";", "(", ""])
def test_names_that_could_change_a_zone_file_are_refused(zone, name):
    assert refused(models.Record(zone=zone, name=name, value="192.0.2.1")) == {"name"}


def test_long_text_is_cut_into_pieces():
    """RFC 1035, 3.3: a string of a TXT record has 255 characters at most."""
    from example_project.panel.records import as_zone_file

    pieces = as_zone_file("TXT", "x" * 600).split()
    assert [len(piece) - 2 for piece in pieces] == [255, 255, 90]


@pytest.mark.databases
def test_each_change_of_a_zone_or_its_records_raises_its_serial(zone):
    serials = [zone.serial]

    def has_risen():
        zone.refresh_from_db()
        serials.append(zone.serial)
        return serials[-1] > serials[-2]

    record = zone.records.first()
    record.save()
    assert has_risen()
    record.delete()
    assert has_risen()
    zone.save()
    assert has_risen()
