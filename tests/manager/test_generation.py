"""generate(): operations become one script per server and lane, with sections in order."""

import os
import traceback
from contextlib import contextmanager

import pytest
from django.views.debug import ExceptionReporter

from orchestration import Operation, Secret, ServiceController, manager, signals
from orchestration.backends import forget
from orchestration.exceptions import BackendFailed, BackendUnknown, InstanceGone, NotStorable, UnsafeTemplate
from orchestration.models import OperationLog, Route, ScriptLog
from orchestration.router import Router, Target
from tests.webapps.models import Domain, Mailbox, WebApp

WEB1 = Target(route=1, server=1, server_name="web1")
WEB2 = Target(route=2, server=2, server_name="web2")
LATER = Target(route=3, server=1, server_name="web1", run_async=True)


def app(name="blog", **fields):
    return WebApp(name=name, **fields)


def define(name, **attributes):
    """Install a controller that prints what it is asked for."""
    actions = {
        "save": lambda self, obj: self.append("save %(name)s", {"name": obj.name}),
        "delete": lambda self, obj: self.append("delete %(name)s", {"name": obj.name}),
    }
    return type(name, (ServiceController,), {"model": "webapps.WebApp", **actions, **attributes})


@pytest.fixture
def make(backend):
    return lambda name, **attributes: backend(define(name, **attributes))


def generate(*operations, **options):
    return manager.generate(operations, router=Router(), **options)


def operation(backend, instance, action="save", *targets):
    return Operation(backend, instance, action, targets=targets or (WEB1,))


def section(*operations, **options):
    """Return the only section of the only script."""
    (script,) = generate(*operations, **options)
    (only,) = script.sections
    return only


def order(*operations):
    (script,) = generate(*operations)
    return [section.backend for section in script.sections]


# Scripts and sections


def test_each_backend_writes_once_per_server(make):
    site, user = make("Site"), make("User")
    scripts = generate(
        operation(site, app("a"), "save", WEB2, WEB1),
        operation(user, app("b"), "save", WEB1),
        operation(site, app("c"), "delete", WEB1),
    )
    assert [(script.server, script.server_name, script.lane) for script in scripts] == [
        (1, "web1", ""),
        (2, "web2", ""),
    ]
    site1, user1 = scripts[0].sections
    assert site1.groups[0].text.splitlines()[3:] == ["save a", "delete c", "exit $exit_code"]
    assert [str(operation) for operation in site1.operations] == ["Site.save(a)", "Site.delete(c)"]
    assert user1.groups[0].text.splitlines()[3:] == ["save b", "exit $exit_code"]
    assert scripts[1].sections[0].groups[0].text.splitlines()[3:] == ["save a", "exit $exit_code"]


def test_a_backend_may_name_a_lane_of_its_own(make):
    slow, fast = make("Slow", lane="backup"), make("Fast")
    scripts = generate(operation(slow, app()), operation(fast, app()))
    assert [(script.lane, script.sections[0].backend) for script in scripts] == [
        ("", "Fast"),
        ("backup", "Slow"),
    ]


def test_a_section_knows_its_route_and_limits(make, settings):
    settings.ORCHESTRATION_IDLE_TIMEOUT = 7
    only = section(operation(make("Site", total=9), app(), "save", WEB2))
    assert (only.route, only.idle, only.total) == (2, 7, 9)


def test_custom_actions_and_unsaved_objects_work(make):
    site = make(
        "Site", actions=["monitor"], monitor=lambda self, obj: self.append("du %(n)s", {"n": obj.name})
    )
    assert "\ndu blog\n" in section(operation(site, app(), "monitor")).groups[0].text


def test_commands_of_another_method_are_a_group_of_their_own(make):
    def save(self, obj):
        self.append(os.path.exists, obj.name)
        self.append("true")

    only = section(operation(make("Site", save=save), app()))
    assert [group.method for group in only.groups] == ["Python", "SSH"]
    assert only.shown.startswith("genericpath.exists('blog', server)\nset -e\n")


@pytest.mark.lesson(14)
def test_a_section_without_content_is_nothing_unless_it_is_forced(make):
    quiet = make("Quiet", save=lambda self, obj: None)
    forced = make("Forced", save=lambda self, obj: None, force_empty_action_execution=True)
    nothing, something = generate(operation(quiet, app()), operation(forced, app()))[0].sections
    assert (nothing.groups, nothing.shown, len(nothing.operations)) == ((), "", 1)
    assert something.groups[0].text.endswith("exit_code=0\nexit $exit_code\n")


def test_secrets_are_known_and_masked(make):
    def save(self, obj):
        self.append("login %(password)s", {"password": Secret("hunter2")})

    only = section(operation(make("Site", save=save), app()))
    assert "login hunter2" in only.groups[0].text
    assert "login ********" in only.shown
    assert only.secrets == ("hunter2",)


def test_a_text_without_secrets_is_kept_once(make):
    only = section(operation(make("Site"), app()))
    assert only.shown is only.groups[0].text


# Order


def test_sections_stand_in_order_of_first_collection(make):
    one, two = make("One"), make("Two")
    assert order(operation(two, app()), operation(one, app()), operation(two, app())) == ["Two", "One"]


def test_after_puts_a_section_behind_others_and_makes_it_need_them(make):
    site, user = make("Site", after=["User", "Absent"]), make("User")
    (script,) = generate(operation(site, app()), operation(user, app()))
    assert [(section.backend, section.needs) for section in script.sections] == [("User", ()), ("Site", (0,))]


def test_after_reaches_through_backends_that_have_no_section(make):
    site, _, user = make("Site", after=["Pool"]), make("Pool", after=["User"]), make("User")
    (script,) = generate(operation(site, app()), operation(user, app()))
    assert [(section.backend, section.needs) for section in script.sections] == [("User", ()), ("Site", ())]


def test_what_stands_in_no_relation_keeps_its_place(make):
    last, site, other, user = make("Last"), make("Site", after=["User"]), make("Other"), make("User")
    operations = [operation(cls, app()) for cls in (last, site, other, user)]
    assert order(*operations) == ["Last", "Other", "User", "Site"]


def test_deletes_go_the_other_way_round_and_need_nothing(make):
    site, pool, user = make("Site", after=["Pool"]), make("Pool", after=["User"]), make("User")
    operations = [operation(cls, app(), "delete") for cls in (user, pool, site)]
    (script,) = generate(*operations)
    assert [(section.backend, section.needs) for section in script.sections] == [
        ("Site", ()),
        ("Pool", ()),
        ("User", ()),
    ]


def test_a_user_is_deleted_behind_a_section_that_deletes_and_saves(make):
    site, user = make("Site", after=["User"]), make("User")
    assert order(
        operation(user, app("a"), "delete"), operation(site, app("a"), "delete"), operation(site, app("b"))
    ) == ["Site", "User"]


def test_a_site_is_deleted_before_a_section_that_deletes_and_saves_users(make):
    site, user = make("Site", after=["User"]), make("User")
    assert order(
        operation(user, app("a"), "delete"), operation(user, app("b")), operation(site, app("a"), "delete")
    ) == ["Site", "User"]


def test_contrary_wishes_of_deletes_still_give_an_order(make):
    site, pool, user = make("Site", after=["Pool"]), make("Pool", after=["User"]), make("User")
    assert order(operation(user, app()), operation(pool, app(), "delete"), operation(site, app())) == [
        "User",
        "Site",
        "Pool",
    ]


# Who waits


@pytest.mark.parametrize(
    ("targets", "attributes", "options", "expected"),
    [
        ([WEB1, WEB1], {}, {}, False),
        ([LATER, LATER], {}, {}, True),
        ([LATER, WEB1], {}, {}, False),
        ([WEB1, WEB1], {"async_actions": ["save"]}, {}, True),
        ([WEB1, WEB1], {}, {"run_async": True}, True),
        ([LATER, LATER], {"async_actions": ["save"]}, {"run_async": False}, False),
    ],
)
@pytest.mark.lesson(13)
def test_a_section_is_in_the_background_when_nobody_waits_for_any_operation(
    make, targets, attributes, options, expected
):
    site = make("Site", **attributes)
    operations = [operation(site, app(str(n)), "save", target) for n, target in enumerate(targets)]
    assert section(*operations, **options).background is expected


def test_an_asynchronous_action_of_the_route_is_in_the_background(make):
    target = Target(route=1, server=1, server_name="web1", async_actions=("delete",))
    site = make("Site")
    assert section(operation(site, app(), "delete", target)).background
    assert not section(
        operation(site, app(), "delete", target), operation(site, app(), "save", target)
    ).background


@pytest.mark.lesson(13)
def test_serialize_is_of_one_backend_and_leaves_others_alone(make):
    slow, fast = make("Slow", serialize=True), make("Fast")
    both = operation(slow, app(), "save", WEB1, WEB2), operation(fast, app(), "save", WEB1, WEB2)
    sections = [section for script in generate(*both) for section in script.sections]
    assert [(s.backend, s.serialize) for s in sections] == [("Slow", True), ("Fast", False)] * 2
    assert all(s.serialize for script in generate(*both, serialize=True) for s in script.sections)


# Signals


@contextmanager
def listening(names, sender):
    heard = []
    receivers = [(getattr(signals, name), _receiver(name, heard)) for name in names]
    for signal, receiver in receivers:
        signal.connect(receiver, sender=sender)
    try:
        yield heard
    finally:
        for signal, receiver in receivers:
            signal.disconnect(receiver, sender=sender)


def _receiver(name, heard):
    return lambda signal, sender, backend, **extra: heard.append(
        (name, type(backend) is sender, extra.get("action"), str(extra.get("instance")))
    )


def test_signals_tell_before_and_after_each_method(make):
    site = make("Site")
    names = ["pre_prepare", "post_prepare", "pre_action", "post_action", "pre_commit", "post_commit"]
    with listening(names, site) as heard:
        generate(operation(site, app()))
    assert heard == [
        ("pre_prepare", True, None, "None"),
        ("post_prepare", True, None, "None"),
        ("pre_action", True, "save", "blog"),
        ("post_action", True, "save", "blog"),
        ("pre_commit", True, None, "None"),
        ("post_commit", True, None, "None"),
    ]


def test_a_receiver_may_append(make):
    site = make("Site")

    def receiver(backend, **extra):
        backend.append("echo from a receiver")

    signals.pre_commit.connect(receiver, sender=site)
    try:
        assert "save blog\necho from a receiver\n" in section(operation(site, app())).groups[0].text
    finally:
        signals.pre_commit.disconnect(receiver, sender=site)


# Errors


def failing(self, *args):
    raise ValueError("no such thing")


@pytest.mark.parametrize("action", ["prepare", "save", "commit"])
def test_an_error_names_backend_action_and_object(make, action):
    site = make("Site", **{action: failing})
    with pytest.raises(
        BackendFailed, match=rf"^Site\.{action} failed for blog: ValueError: no such thing$"
    ) as caught:
        generate(operation(site, app()))
    error = caught.value
    assert (error.backend, error.action, error.instance) == ("Site", action, "blog")
    assert isinstance(error.__cause__, ValueError)


def test_an_action_that_a_backend_does_not_have_is_named(make):
    with pytest.raises(BackendFailed, match=r"Site\.explode failed for blog: AttributeError"):
        generate(operation(make("Site"), app(), "explode"))


@pytest.mark.parametrize(
    ("save", "cause"),
    [
        (lambda self, obj: self.append(lambda server: None), NotStorable),
        (lambda self, obj: self.append("echo '%(x)s'", {"x": 1}), UnsafeTemplate),
        (lambda self, obj: self.append("echo %(x)s", {"x": obj.target}), UnsafeTemplate),
    ],
)
def test_what_cannot_be_appended_is_told_like_any_error(make, save, cause):
    with pytest.raises(BackendFailed, match=r"Site\.save failed for blog") as caught:
        generate(operation(make("Site", save=save), app()))
    assert isinstance(caught.value.__cause__, cause)


def test_an_error_tells_no_secret(make):
    def save(self, obj):
        self.append("login %(password)s", {"password": Secret("hunter2")})
        raise ValueError("cannot log in with hunter2")

    with pytest.raises(BackendFailed) as caught:
        generate(operation(make("Site", save=save), app()))
    assert "cannot log in with ********" in str(caught.value)


def fill(backend, password):
    backend.append("login %(password)s %(site)s", {"password": password, "site": None})


def call(backend, password):
    backend.append(print_later, password)


async def print_later(password, server):
    """No coroutine can be stored."""


#: Not in one piece: error pages show lines of the source, too.
PASSWORD = "hunter" + str(22)


@pytest.mark.parametrize("write", [fill, call])
def test_no_error_page_finds_a_secret_in_the_variables(make, write):
    def save(self, obj):
        write(self, Secret(PASSWORD))

    with pytest.raises(BackendFailed) as caught:
        generate(operation(make("Site", save=save), app()))
    page = ExceptionReporter(None, caught.type, caught.value, caught.tb).get_traceback_html()
    assert "BackendFailed" in page
    assert PASSWORD not in page


def test_no_error_page_finds_a_secret_in_a_script(make):
    site = make("Site", save=lambda self, obj: fill_in(self))
    [script] = generate(operation(site, app()))
    assert "hunter2" in script.sections[0].groups[0].text
    assert "hunter2" not in repr(script)


def fill_in(backend):
    backend.append("login %(password)s", {"password": Secret("hunter2")})
    backend.append(os.path.join, Secret("hunter2"))


def test_the_cause_of_an_error_tells_no_secret_to_those_who_log_it(make):
    def save(self, obj):
        self.append("login %(password)s", {"password": Secret("hunter2")})
        raise ValueError("failed") from LookupError("no hunter" + str(2))

    with pytest.raises(BackendFailed) as caught:
        generate(operation(make("Site", save=save), app()))
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_an_object_that_has_no_text_is_named_by_its_key(make, monkeypatch):
    monkeypatch.setattr(WebApp, "__str__", failing)
    with pytest.raises(
        BackendFailed, match=r"Site\.save failed for webapps\.WebApp 5: ValueError: no such thing"
    ):
        generate(operation(make("Site", save=failing), app(pk=5)))


# With routes of the database


@pytest.mark.django_db
def test_routes_decide_when_an_operation_has_no_targets(make, server):
    site = make("Site")
    web2, web1 = server("web2"), server("web1")
    Route.objects.create(backend="Site", host=web1, match="obj.name == 'blog'")
    Route.objects.create(backend="Site", host=web2, run_async=True)
    scripts = manager.generate([Operation(site, app(), "save"), Operation(site, app("other"), "save")])
    assert [(script.server_name, len(script.sections[0].operations)) for script in scripts] == [
        ("web2", 2),
        ("web1", 1),
    ]
    assert [script.sections[0].background for script in scripts] == [True, False]


@pytest.mark.django_db
def test_no_route_means_no_script(make):
    assert manager.generate([Operation(make("Site"), app(), "save")]) == []


# Operations and their rows


def test_operations_for_an_action_are_those_of_all_backends_without_duplicates(make):
    site, pool = make("Site"), make("Pool", actions=["save"])
    blog = app(pk=5)
    mine = [op for op in Operation.create_for_action([blog, app(pk=5)], "save") if op.backend in (site, pool)]
    assert [(op.backend, op.instance, op.action) for op in mine] == [
        (site, blog, "save"),
        (pool, blog, "save"),
    ]
    assert [
        op.backend for op in Operation.create_for_action(blog, "delete") if op.backend in (site, pool)
    ] == [site]


@pytest.fixture
def log(server):
    return lambda: ScriptLog.objects.create(
        server=server(), server_name="web1", backend="Site", unit="0" * 32, route=None
    )


@pytest.mark.django_db
def test_an_operation_is_stored_and_loaded_with_the_server_of_its_log(make, log):
    site, blog, log = make("Site"), WebApp.objects.create(name="blog"), log()
    row = Operation(site, blog, "save").store(log)
    assert (row.instance, row.instance_repr, row.identity, str(row)) == (
        blog,
        "blog",
        "blog",
        "Site.save(blog)",
    )
    loaded = Operation.load(OperationLog.objects.get(), log)
    assert loaded == Operation(site, blog, "save")
    assert [target.server for target in loaded.targets] == [log.server.pk]
    assert Operation.load(row).targets is None


@pytest.mark.django_db
def test_rows_hold_any_key_and_none(make, log):
    site = make("Site", identity=classmethod(lambda cls, obj: f"it is {obj}"))
    operations = [operation(site, Mailbox(address="a@b.org")), operation(site, Domain(name="x" * 300))]
    make_section = type("Section", (), {"operations": operations})
    rows = list(manager.operation_rows(make_section, log()))
    OperationLog.objects.bulk_create(rows)
    assert [row.object_id for row in rows] == ["a@b.org", ""]
    assert (rows[0].identity, len(rows[1].instance_repr), len(rows[1].identity)) == (
        "it is a@b.org",
        255,
        255,
    )


@pytest.mark.django_db
def test_what_is_gone_is_named_when_an_operation_is_loaded(make, log):
    site, blog = make("Site"), WebApp.objects.create(name="blog")
    row = Operation(site, blog, "delete").store(log())
    WebApp.objects.all().delete()
    with pytest.raises(InstanceGone, match="blog is gone"):
        Operation.load(OperationLog.objects.get())
    forget(site)
    with pytest.raises(BackendUnknown, match="Site"):
        Operation.load(row)
