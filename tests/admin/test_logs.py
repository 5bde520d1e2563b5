"""The log list and the page of a log: read-only, escaped, quick with any number of rows."""

import re
import uuid
from datetime import timedelta

import pytest
from django.contrib.contenttypes.models import ContentType
from django.urls import reverse
from django.utils import timezone

from orchestration.models import OperationLog, ScriptLog, Server
from tests.webapps.models import Domain, Mailbox

pytestmark = pytest.mark.django_db


def bulk(server, number, **fields):
    fields = {"backend": "Nginx", "server": server, "server_name": server.name, "unit": uuid.uuid4()} | fields
    ScriptLog.objects.bulk_create(ScriptLog(**fields) for _ in range(number))


def shown(answer):
    return answer.context["cl"].result_list


def test_the_list_says_state_server_and_objects(page, make_log):
    make_log(Domain.objects.create(name="example.com"), state="FAILURE")
    content = page("scriptlog_changelist").content.decode()
    assert '<span class="orchestration-state orchestration-failure">failure</span>' in content
    assert "save example.com" in content
    assert "web1" in content


@pytest.mark.databases
def test_the_list_names_the_first_operations_only(page, make_log):
    log = make_log(*[Domain.objects.create(name=f"{number}.example") for number in range(5)])
    assert page("scriptlog_changelist").context["cl"].result_list[0] == log
    content = page("scriptlog_changelist").content.decode()
    assert "save 0.example, save 1.example, save 2.example, …" in content


@pytest.mark.lesson(34)
def test_the_list_takes_the_same_queries_for_one_log_and_for_many(page, make_log, server, count_queries):
    domain = Domain.objects.create(name="example.com")
    make_log(domain)
    few = count_queries(lambda: page("scriptlog_changelist"))
    for _ in range(20):
        make_log(domain)
    bulk(server, 300)
    many = count_queries(lambda: page("scriptlog_changelist"))
    assert len(few) == len(many) == 6  # session, user, page, logs, operations, servers of the filter
    assert not [sql for sql in many if "COUNT(" in sql.upper()]


@pytest.mark.lesson(34)
def test_the_list_leaves_big_columns_alone(page, make_log, count_queries):
    make_log()
    queries = count_queries(lambda: page("scriptlog_changelist"))
    assert [sql for sql in queries if re.search(r"\Wscriptlog|_scriptlog", sql)]
    big = re.compile(r"\.\W(script|payload|stdout|stderr|traceback|results)\W")
    assert not [sql for sql in queries if big.search(sql)]


@pytest.mark.databases
def test_pages_are_offered_as_far_as_the_list_looked(page, server):
    bulk(server, 400)
    answer = page("scriptlog_changelist")
    assert len(shown(answer)) == 50
    assert answer.context["cl"].paginator.has_more
    assert "?p=6" in answer.content.decode()
    last = page("scriptlog_changelist", p=8)
    assert len(shown(last)) == 50
    assert not last.context["cl"].paginator.has_more


@pytest.mark.parametrize("number", ["99", "-1", "0", "x", "9" * 40, "9" * 5000])
def test_a_page_that_is_not_there_is_no_error(page, make_log, number):
    make_log()
    assert page("scriptlog_changelist", p=number).status_code in (200, 302)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state__exact": "FAILURE"}, {"red"}),
        ({"state__in": "FAILURE,SUCCESS"}, {"red", "green"}),
        ({"backend": "Nginx"}, {"red", "green", "waiting"}),
        ({"backend": "Bind"}, {"other"}),
    ],
)
def test_the_list_is_filtered(page, make_log, install, query, expected):
    install("Nginx")
    install("Bind")
    logs = {
        "red": make_log(state="FAILURE"),
        "green": make_log(state="SUCCESS"),
        "waiting": make_log(),
        "other": make_log(backend="Bind"),
    }
    assert set(shown(page("scriptlog_changelist", **query))) == {logs[name] for name in expected}


def test_the_list_is_filtered_by_server_and_by_unit(page, make_log):
    other = Server.objects.create(name="web2")
    log, there = make_log(), make_log(server=other)
    assert list(shown(page("scriptlog_changelist", server__id__exact=other.pk))) == [there]
    assert list(shown(page("scriptlog_changelist", unit=log.unit))) == [log]


def test_a_page_shows_script_output_and_duration(page, make_log):
    now = timezone.now()
    log = make_log(
        script="echo hello",
        stdout="hello\n",
        stderr="oops",
        started_at=now,
        finished_at=now + timedelta(seconds=2),
    )
    content = page("scriptlog_change", log.pk).content.decode()
    assert '<pre class="orchestration-text">echo hello</pre>' in content
    assert "hello\n</pre>" in content
    assert "oops" in content
    assert "2.00 s" in content


def test_what_runs_is_not_even_read(page, make_log, count_queries):
    log = make_log(payload=b"encrypted")
    assert not [sql for sql in count_queries(lambda: page("scriptlog_change", log.pk)) if "payload" in sql]


def test_whatever_a_script_printed_is_escaped(page, make_log):
    attack = "<script>alert(1)</script>"
    log = make_log(
        Domain.objects.create(name=attack),
        **dict.fromkeys(["script", "stdout", "stderr", "traceback", "reason", "origin", "backend"], attack),
        results={"x": attack},
    )
    for answer in (page("scriptlog_change", log.pk), page("scriptlog_changelist")):
        assert attack not in answer.content.decode()


def test_output_that_is_not_all_there_says_so(page, make_log):
    log = make_log(stdout="beginning … end", stdout_size=5_000_000)
    assert "5000000 bytes were printed" in page("scriptlog_change", log.pk).content.decode()


def test_a_masked_secret_is_nothing_that_is_not_kept(page, make_log):
    log = make_log(stdout="•••", stdout_size=40)
    assert "were printed" not in page("scriptlog_change", log.pk).content.decode()


def test_nothing_on_the_page_can_be_changed(admin_client, page, make_log):
    log = make_log()
    url = reverse("admin:orchestration_scriptlog_change", args=[log.pk])
    assert 'name="_save"' not in page("scriptlog_change", log.pk).content.decode()
    assert admin_client.post(url, {"state": "SUCCESS"}).status_code == 403
    assert admin_client.get(reverse("admin:orchestration_scriptlog_add")).status_code == 403
    assert admin_client.post(url.replace("change", "delete"), {"post": "yes"}).status_code == 403


def test_operations_link_to_their_objects_or_say_that_they_are_gone(page, make_log, admin_user):
    gone = Domain.objects.create(name="gone.example")
    log = make_log(admin_user, gone)
    gone.delete()
    content = page("scriptlog_change", log.pk).content.decode()
    assert f'<a href="/admin/auth/user/{admin_user.pk}/change/">' in content
    assert "gone.example (deleted)" in content


@pytest.mark.databases
def test_objects_with_any_kind_of_key_are_found(page, make_log):
    """Text keys, objects never saved, keys that do not fit, models that were removed."""
    log = make_log(Mailbox.objects.create(address="info@example.com"), Domain(name="unsaved.example"))
    domains = ContentType.objects.get_for_model(Domain)
    lost = ContentType.objects.create(app_label="removed", model="thing")
    for kind, key in ((domains, "no number"), (domains, "9" * 30), (lost, "1"), (None, "1")):
        OperationLog.objects.create(
            log=log, action="save", content_type=kind, object_id=key, instance_repr="odd"
        )
    content = page("scriptlog_change", log.pk).content.decode()
    assert "info@example.com (deleted)" not in content
    assert "unsaved.example (deleted)" in content
    assert content.count("odd (deleted)") == 4


def test_the_page_takes_the_same_queries_for_any_number_of_operations(page, make_log, count_queries):
    domains = [Domain.objects.create(name=f"{number}.example") for number in range(30)]
    one, many = make_log(domains[0]), make_log(*domains)
    ContentType.objects.clear_cache()
    page("scriptlog_change", one.pk)
    few = count_queries(lambda: page("scriptlog_change", one.pk))
    assert len(count_queries(lambda: page("scriptlog_change", many.pk))) == len(few)


def test_a_log_with_very_many_operations_shows_the_first(page, make_log):
    log = make_log()
    OperationLog.objects.bulk_create(
        OperationLog(log=log, action="save", instance_repr=f"object {number}") for number in range(300)
    )
    content = page("scriptlog_change", log.pk).content.decode()
    assert "object 199 (deleted)" in content
    assert "object 200" not in content
    assert "300; the first 200 are below" in content


def test_the_log_of_a_deleted_server_keeps_its_name(page, make_log, server):
    log = make_log(state="SUCCESS")
    server.delete()
    assert "web1 (deleted)" in page("scriptlog_change", log.pk).content.decode()


def test_looking_needs_the_permission_to_view(client, django_user_model, make_log):
    from django.contrib.auth.models import Permission

    log = make_log(Domain.objects.create(name="example.com"))
    person = django_user_model.objects.create_user("staff", is_staff=True)
    client.force_login(person)
    url = reverse("admin:orchestration_scriptlog_change", args=[log.pk])
    assert client.get(url).status_code == 403
    person.user_permissions.add(Permission.objects.get(codename="view_scriptlog"))
    assert "example.com" in client.get(url).content.decode()
