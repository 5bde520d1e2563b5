"""Backends: the classic interface by name, steps with options, and the registry."""

import os
import subprocess
import sys
import textwrap

import pytest
from django.contrib.auth import get_user_model

from orchestration import Raw, Secret, ServiceBackend, ServiceController, backends, methods, sh
from orchestration.backends import registry
from orchestration.exceptions import (
    BackendConflict,
    BackendInvalid,
    BackendUnknown,
    NotShell,
    NotStorable,
    UnsafeTemplate,
)

from .webapps.models import Domain, MailingList, Membership, Page, StaticApp, WebApp, WordPress


class Bare(ServiceBackend):
    """A base, so that tests write into an instance without registering anything."""

    abstract = True
    model = "webapps.WebApp"


class BareDash(Bare):
    abstract = True
    script_executable = "/bin/dash"


class BarePython(Bare):
    abstract = True
    script_executable = "/usr/bin/env python3"


def written(backend):
    """Return the text of the only group of a backend, with head and tail as they are when it is generated."""
    backend.part = backend.head
    backend.prepare()
    backend.part = backend.tail
    backend.commit()
    (group,) = backends.take(backend).groups
    return group


def run(group, **options):
    return subprocess.run(
        [*group.executable.split(), "-s"] if "python" not in group.executable else group.executable.split(),
        input=group.text,
        capture_output=True,
        text=True,
        timeout=20,
        **options,
    )


def example(**fields):
    """Return what is asked of backends in most of these tests."""
    return WebApp(name="blog", **fields)


def ours(found):
    """Return those that a test of this module has defined."""
    return [cls for cls in found if cls.__module__ == __name__]


# The classic interface


def test_append_takes_text_as_it_is():
    backend = Bare()
    backend.append("echo '100%' %(x)s \"$HOME\"")
    assert "\necho '100%' %(x)s \"$HOME\"\n" in written(backend).text


def test_append_takes_dedented_and_filled_text_as_old_backends_write_it():
    backend = Bare()
    context = {"name": "blog"}
    backend.append(
        textwrap.dedent(
            """\
            if [[ ! -e %(name)s ]]; then
                echo '%(name)s'
            fi"""
        )
        % context
    )
    assert "if [[ ! -e blog ]]; then\n    echo 'blog'\nfi\n" in written(backend).text


def test_append_fills_a_template_with_quoted_values():
    backend = Bare()
    backend.append("echo %(name)s", {"name": "it's"})
    backend.append("echo %(name)s", context={"name": "$x"})
    assert run(written(backend)).stdout == "it's\n$x\n"


@pytest.mark.parametrize("args", [("x",), ({}, {}), (["x"],)])
def test_append_takes_one_context_that_is_a_mapping(args):
    with pytest.raises(UnsafeTemplate, match="one mapping"):
        Bare().append("echo", *args)


def test_append_takes_a_function_with_arguments():
    backend = Bare()
    backend.append(os.path.exists, "/tmp")
    written = backends.take(backend)
    (group,) = written.groups
    assert (group.method, group.executable, group.text) == (methods.Python, "", "")
    assert [call.args for call in group.calls] == ['["/tmp"]']
    assert written.shown == "genericpath.exists('/tmp', server)"


def test_append_refuses_at_once_what_cannot_be_stored():
    with pytest.raises(NotStorable, match="lambda"):
        Bare().append(lambda server: None)


def test_prepare_and_commit_make_bash_stop_at_failures():
    backend = Bare()
    backend.append("true\nfalse | true\necho unreached")
    group = written(backend)
    assert group.text.startswith("set -e\nset -o pipefail\nexit_code=0\n")
    assert group.text.endswith("\nexit $exit_code\n")
    assert (run(group).returncode, run(group).stdout) == (1, "")


def test_prepare_and_commit_work_in_a_shell_without_pipefail():
    backend = BareDash()
    backend.append("echo reached\nfalse\necho unreached")
    assert (run(written(backend)).returncode, run(written_again(BareDash)).stdout) == (1, "reached\n")


def written_again(cls):
    backend = cls()
    backend.append("echo reached\nfalse\necho unreached")
    return written(backend)


def test_prepare_and_commit_write_no_shell_for_other_programs():
    backend = BarePython()
    backend.append("print('hello')")
    group = written(backend)
    assert group.text == "print('hello')\n"
    assert run(group).stdout == "hello\n"


@pytest.mark.lesson(27)
@pytest.mark.parametrize("executable", ["/bin/bash", "/bin/dash"])
def test_a_remembered_failure_is_not_forgotten_when_commit_forgets_super(executable):
    class Forgetful(Bare):
        abstract = True
        script_executable = executable

        def commit(self):
            self.append("echo committed")

    backend = Forgetful()
    backend.append("false || exit_code=3")
    done = run(written(backend))
    assert (done.returncode, done.stdout) == (3, "committed\n")


@pytest.mark.lesson(27)
def test_a_backend_that_forgets_both_ends_fails_with_its_last_command():
    class Forgetful(Bare):
        abstract = True

        def prepare(self):
            pass

        def commit(self):
            pass

    backend = Forgetful()
    backend.append("false")
    assert run(written(backend)).returncode == 1
    backend = Forgetful()
    backend.append("exit 7", allow_fail=True)
    backend.append("true")
    assert run(written(backend)).returncode == 7


def test_get_context_is_empty_until_it_is_written():
    assert Bare().get_context(example()) == {}


def test_get_banner_says_who_wrote_a_file():
    assert Bare().get_banner().startswith("Generated by django-orchestration at ")


def test_is_main_takes_the_model_its_proxies_and_children():
    assert all(map(Bare.is_main, (WebApp(), StaticApp(), WordPress())))
    assert not Bare.is_main(Page())


@pytest.mark.django_db
def test_get_related_follows_one_many_and_null():
    class Related(Bare):
        abstract = True
        related_models = [
            ("webapps.Page", "webapp"),
            ("webapps.Domain", "webapps"),
            ("auth.User", "webapps"),
            ("webapps.Membership", "domain__webapps"),
        ]

    owner = get_user_model().objects.create(username="ann")
    app = WebApp.objects.create(name="blog", owner=owner)
    other = WebApp.objects.create(name="shop", owner=owner)
    domain = Domain.objects.create(name="example.org")
    domain.webapps.add(app)
    member = Membership.objects.create(mailinglist=MailingList.objects.create(name="all"), domain=domain)
    assert Related.get_related(Page(webapp=app)) == [app]
    assert Related.get_related(Page()) == []
    assert Related.get_related(domain) == [app]
    assert Related.get_related(owner) == [app, other]
    assert Related.get_related(member) == [app]
    assert Related.get_related(app) == []
    assert backends.follow(app, "wordpress") == []


def test_get_backends_filters_by_kind_object_and_action(backend):
    @backend
    class Plain(ServiceBackend):
        model = "webapps.WebApp"
        actions = ["monitor"]

        def monitor(self, obj):
            pass

    @backend
    class Controller(ServiceController):
        model = "webapps.Domain"

        def save(self, obj):
            pass

    assert ours(ServiceBackend.get_backends()) == [Plain, Controller]
    assert ours(ServiceController.get_backends()) == [Controller]
    assert ours(ServiceBackend.get_backends(instance=example())) == [Plain]
    assert ours(ServiceBackend.get_backends(action="save")) == [Controller]
    assert ours(ServiceBackend.get_backends(Domain(), "monitor")) == []


def test_get_backend_finds_by_name(backend):
    @backend
    class Found(ServiceController):
        model = "webapps.WebApp"

    assert ServiceBackend.get_backend("Found") is Found
    with pytest.raises(BackendUnknown, match="Lost"):
        ServiceBackend.get_backend("Lost")


def test_names_and_models():
    class Named(Bare):
        abstract = True
        verbose_name = "a title"

    assert (Bare.get_name(), str(Bare()), Bare.get_verbose_name()) == ("Bare", "Bare", "Bare")
    assert Named.get_verbose_name() == "a title"
    assert Bare.model_class() is WebApp


def test_get_actions_are_those_that_are_implemented():
    class Half(ServiceController):
        abstract = True

        def save(self, obj):
            pass

    assert Half.get_actions() == ["save"]


def test_methods_are_known_by_constants_of_their_names():
    assert (Bare.script_method, Bare.function_method) == (methods.SSH, methods.Python)


def test_classic_attributes_have_defaults():
    assert (Bare.script_executable, Bare.default_route_match) == ("/bin/bash", "True")
    assert (Bare.ignore_fields, Bare.serialize, Bare.doc_settings) == ((), False, None)
    assert Bare.force_empty_action_execution is False
    assert Bare.identity(example()) == "blog"


# Groups


def test_commands_are_grouped_by_method_in_order_of_first_use():
    backend = Bare()
    backend.append(os.path.exists, "/tmp")
    backend.append("echo 1")
    backend.append(os.path.isdir, "/tmp")
    backend.append("echo 2")
    backend.part = backend.head
    backend.prepare()
    backend.part = backend.tail
    backend.commit()
    python, shell = backends.take(backend).groups
    assert [call.function for call in python.calls] == ["genericpath.exists", "genericpath.isdir"]
    assert "exit_code=0\necho 1\necho 2\nexit $exit_code\n" in shell.text


def test_a_backend_of_functions_alone_starts_no_shell():
    backend = Bare()
    backend.append(os.path.exists, "/tmp")
    assert written(backend).method == methods.Python


def test_what_only_prepare_or_commit_appended_runs_before_and_behind():
    backend = Bare()
    backend.append("echo content")
    backend.part = backend.head
    backend.append(os.path.exists, "/head")
    backend.part = backend.tail
    backend.function_method = "Other"
    backend.append(os.path.exists, "/tail")
    assert [group.method for group in backends.take(backend).groups] == ["Python", "SSH", "Other"]


@pytest.mark.lesson(14)
def test_without_content_there_are_no_groups_unless_they_are_forced():
    class Reload(Bare):
        abstract = True

        def commit(self):
            self.append("service nginx reload")
            super().commit()

    class Forced(Reload):
        abstract = True
        force_empty_action_execution = True

    for text in (None, "", "  \n"):
        backend = Reload()
        if text is not None:
            backend.append(text)
        backend.part = backend.tail
        backend.commit()
        assert backends.take(backend).groups == ()
    assert "service nginx reload\nexit $exit_code\n" in written(Forced()).text


# Steps with options


@pytest.fixture
def other_user():
    if os.geteuid() != 0:
        pytest.skip("only root may become another user")
    return "nobody"


def test_run_as_runs_as_the_user(other_user):
    backend = Bare()
    backend.append("id -un; echo %(text)s; cat; echo $HOME", {"text": "it's"}, run_as=other_user)
    backend.append("id -un")
    assert run(written(backend)).stdout == "nobody\nit's\n/nonexistent\nroot\n"


@pytest.mark.parametrize("shell", [Bare, BareDash])
@pytest.mark.parametrize("options", [{"run_as": "nobody"}, {"timeout": 5}, {"allow_fail": True}])
def test_a_step_with_options_stops_at_its_first_failure(other_user, shell, options):
    backend = shell()
    backend.append("(exit 3)\necho unreached", **options)
    backend.append("echo after")
    done = run(written(backend))
    is_forgiven = "allow_fail" in options
    assert (done.returncode, done.stdout) == (3, "after\n" if is_forgiven else "")


def test_a_step_that_may_fail_sees_the_functions_of_the_script_and_cannot_end_it():
    backend = Bare()
    backend.append("greet() { echo hello; }")
    backend.append("greet; exit 4", allow_fail=True)
    backend.append("echo after")
    done = run(written(backend))
    assert (done.returncode, done.stdout) == (4, "hello\nafter\n")


def test_a_step_that_succeeds_though_it_may_fail_is_a_success():
    backend = Bare()
    backend.append("cat <<EOF\nhello\nEOF", allow_fail=True)
    assert (run(written(backend)).returncode, run(written_with("true", allow_fail=True)).returncode) == (0, 0)


def written_with(text, **options):
    backend = Bare()
    backend.append(text, **options)
    return written(backend)


def test_a_step_is_killed_at_its_limit():
    done = run(written_with("echo begun; sleep 30; echo unreached", timeout=0.2))
    assert (done.returncode, done.stdout) == (124, "begun\n")


def test_options_go_together(other_user):
    done = run(written_with("id -un; sleep 30", run_as=other_user, timeout=0.2, allow_fail=True))
    assert (done.returncode, done.stdout) == (124, "nobody\n")


def test_no_text_of_a_step_is_an_argument_of_a_program(other_user):
    """Arguments can be read by everybody on the server, and so could a secret in them."""
    backend = Bare()
    show = "tr '\\0' ' ' </proc/$PPID/cmdline </proc/$$/cmdline; true %(password)s"
    backend.append(show, {"password": Secret("hunter2")}, run_as=other_user, timeout=5)
    done = run(written(backend))
    assert done.returncode == 0
    assert "step=" in done.stdout
    assert "hunter2" not in done.stdout


@pytest.mark.parametrize("user", ["", "a b", "root; reboot", "-u", "$USER", "a\n"])
def test_run_as_takes_only_names_of_users(user):
    with pytest.raises(UnsafeTemplate, match="no name of a user"):
        Bare().append("true", run_as=user)


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_limit_is_above_zero(timeout):
    with pytest.raises(UnsafeTemplate, match="above 0"):
        Bare().append("true", timeout=timeout)


@pytest.mark.parametrize(
    "options", [{"run_as": "ann"}, {"allow_fail": True}, {"timeout": 1}, {"context": {}}]
)
def test_what_shells_can_do_is_refused_for_other_programs(options):
    with pytest.raises(NotShell, match="python3"):
        BarePython().append("print(1)", **options)
    with pytest.raises(NotShell, match="functions"):
        Bare().append(os.path.exists, "/tmp", **options)


def test_a_template_within_an_open_quote_of_earlier_text_is_refused():
    backend = Bare()
    backend.append("cat <<EOF >file")
    with pytest.raises(UnsafeTemplate, match="follows text that is not whole"):
        backend.append("%(x)s", {"x": "EOF\nreboot"})


def test_text_with_a_nul_is_refused():
    with pytest.raises(UnsafeTemplate, match="NUL"):
        Bare().append("echo \0")


# Secrets


def test_people_see_masks_and_servers_get_secrets():
    backend = Bare()
    backend.append("echo before")
    backend.append("login %(password)s", {"password": Secret("hunter2")})
    backend.append(os.path.join, Secret("hunter3"), ["x", Secret("hunter4")])
    backend.append("echo hunter2 %(again)s", {"again": Raw("hunter2")})
    result = backends.take(backend)
    assert "login hunter2\n" in result.groups[0].text
    assert result.secrets == ("hunter2", "hunter3", "hunter4")
    assert "hunter" not in result.shown
    assert "echo before\nlogin ********\necho ******** ********\n" in result.shown


def test_text_that_was_filled_in_before_keeps_its_secrets():
    backend = Bare()
    filled = sh("login %(password)s", {"password": Secret("hunter2")})
    backend.append(filled)
    backend.append(filled, allow_fail=True)
    backend.append("su -c %(command)s", {"command": filled})
    assert "hunter2" not in backends.take(backend).shown
    with pytest.raises(UnsafeTemplate, match="filled in already"):
        backend.append(filled, {"x": 1})


def test_a_secret_late_in_a_long_text_is_masked_and_the_rest_is_shown():
    backend = Bare()
    for number in range(600):
        backend.append("echo %(n)s", {"n": number})
    backend.append("login %(password)s", {"password": Secret("hunter2")})
    backend.append("echo after")
    result = backends.take(backend)
    lines = [f"echo {number}" for number in range(600)]
    assert result.groups[0].text.splitlines() == [*lines, "login hunter2", "echo after"]
    assert result.shown.splitlines() == [*lines, "login ********", "echo after"]


# The registry


def test_a_subclass_is_registered_and_a_base_is_not(backend):
    class Base(ServiceController):
        abstract = True

    @backend
    class Leaf(Base):
        model = "webapps.WebApp"

    assert ours(registry.installed()) == [Leaf]
    assert Leaf.abstract is False


def test_two_backends_of_one_name_are_refused(backend):
    @backend
    class Twin(ServiceController):
        model = "webapps.WebApp"

    with pytest.raises(BackendConflict, match=r"name Twin: .*rename one"):
        type("Twin", (ServiceController,), {"model": "webapps.WebApp", "__qualname__": "Elsewhere.Twin"})
    assert ServiceBackend.get_backend("Twin") is Twin


def test_the_same_class_imported_again_replaces_the_first():
    seen = []

    def define():
        class Again(ServiceController):
            model = "webapps.WebApp"

        return Again

    first = define()
    stop = registry.observe(lambda cls: seen.append(("+", cls)), lambda cls: seen.append(("-", cls)))
    seen.clear()
    try:
        second = define()
        assert ours(registry.installed()) == [second]
        assert seen == [("-", first), ("+", second)]
    finally:
        stop()
        registry.forget(second)


@pytest.mark.lesson(32)
def test_a_backend_that_comes_late_is_announced_and_found(backend):
    seen = []
    stop = registry.observe(seen.append, seen.remove)
    try:

        class Late(ServiceController):
            model = "webapps.WebApp"

        assert ours(seen) == [Late]
        assert ServiceBackend.get_backend("Late") is Late
        registry.forget(Late)
        assert ours(seen) == []
    finally:
        stop()


def test_a_backend_without_model_is_refused():
    with pytest.raises(BackendInvalid, match="names no model"):

        class Aimless(ServiceController):
            pass


@pytest.mark.parametrize("attribute", ["actions", "after", "async_actions", "ignore_fields", "probes"])
def test_a_text_in_place_of_a_list_is_refused(attribute):
    with pytest.raises(BackendInvalid, match=f"Texted.{attribute}"):
        type("Texted", (ServiceController,), {"model": "webapps.WebApp", attribute: "save"})


def test_a_circle_of_after_is_refused_and_not_registered(backend):
    @backend
    class One(ServiceController):
        model = "webapps.WebApp"
        after = ["Three"]

    @backend
    class Two(ServiceController):
        model = "webapps.WebApp"
        after = ["One"]

    with pytest.raises(BackendInvalid, match="Three comes after itself"):

        class Three(ServiceController):
            model = "webapps.WebApp"
            after = ["Two"]

    assert ours(registry.installed()) == [One, Two]


@pytest.mark.parametrize("place", ["backends.py", "backends/__init__.py"])
def test_backends_of_each_installed_app_are_discovered(place, tmp_path, monkeypatch, settings):
    name = "found_in_" + place.replace("/", "_").split(".")[0]
    module = tmp_path / name / place
    module.parent.mkdir(parents=True)
    (tmp_path / name / "__init__.py").touch()
    module.write_text(
        "from orchestration import ServiceController\n"
        "class Discovered(ServiceController):\n"
        "    model = 'webapps.WebApp'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, name]
    backends.autodiscover()
    found = ServiceBackend.get_backend("Discovered")
    registry.forget(found)
    assert found.__module__ == f"{name}.backends"


def test_the_package_loads_no_model():
    code = "import sys, orchestration; print([m for m in sys.modules if m.startswith('orchestration.m')])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == "[]\n"


def test_the_package_exports_orchestrate_when_it_is_asked_for():
    import orchestration
    from orchestration import collector

    assert orchestration.orchestrate is collector.orchestrate
    with pytest.raises(AttributeError, match="nothing"):
        _ = orchestration.nothing
