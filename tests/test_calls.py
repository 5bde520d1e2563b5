"""Python commands outlive the process: what can be stored comes back, what cannot is refused at once."""

import functools
import io
import json
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from django.apps import apps
from django.db.models import FileField, Model, TextChoices
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration import Raw, Secret, ServiceBackend, calls, sh
from orchestration.exceptions import CannotStart, NotStorable
from orchestration.scripts import Call

from .webapps.models import Domain, Mailbox, StaticApp, WebApp, WordPress


def plain(*args):
    return ("plain", *args)


def counted(function):
    @functools.wraps(function)
    def counting(*args):
        return ("counted", *function(*args))

    return counting


@counted
def decorated(*args):
    return args


def hidden(*args):
    return args


shown = hidden
hidden = plain


def moved(*args):
    return args


moved.__module__ = "tests.gone"


async def coroutine(server):
    return server


def generator(server):
    yield server


class Number(int):
    pass


class Ratio(float):
    pass


class Kind(TextChoices):
    STATIC = "static", "Static"


class Caller(ServiceBackend):
    abstract = True

    def __init__(self):
        super().__init__()
        self.calls = 0

    def method(self, *args):
        self.calls += 1
        return (type(self).__name__, self.calls, *args)

    @classmethod
    def by_class(cls, *args):
        return (cls.__name__, *args)

    @staticmethod
    def static(*args):
        return args


class SubCaller(Caller):
    abstract = True


class Other:
    def method(self, server):
        return server

    def __call__(self, server):
        return server


def again(function, *args):
    """Store a call, load it, and call it with a server."""
    stored = calls.encode(function, args)
    json.loads(stored.args)
    found, decoded = calls.decode(stored)
    return found(*decoded, "server")


def returned(value):
    """Return an argument as it comes back."""
    return calls.decode(calls.encode(plain, [value]))[1][0]


# Functions


@pytest.mark.parametrize(
    ("function", "path", "result"),
    [
        (plain, "tests.test_calls.plain", ("plain", 1, "server")),
        (decorated, "tests.test_calls.decorated", ("counted", 1, "server")),
        (Caller().method, "tests.test_calls:Caller.method", ("Caller", 1, 1, "server")),
        (SubCaller().method, "tests.test_calls:SubCaller.method", ("SubCaller", 1, 1, "server")),
        (Caller.by_class, "tests.test_calls:Caller.by_class", ("Caller", 1, "server")),
        (SubCaller().by_class, "tests.test_calls:SubCaller.by_class", ("SubCaller", 1, "server")),
        (Caller.static, "tests.test_calls:Caller.static", (1, "server")),
        (Caller().static, "tests.test_calls:Caller.static", (1, "server")),
    ],
)
def test_a_function_is_found_again_by_its_path(function, path, result):
    assert calls.encode(function, []).function == path
    assert again(function, 1) == result


def test_a_method_is_called_on_a_new_backend_each_time():
    backend = Caller()
    assert [again(backend.method), again(backend.method)] == [("Caller", 1, "server")] * 2
    assert backend.calls == 0


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda server: None, "lambda"),
        (functools.partial(plain, 1), "partial"),
        (coroutine, "coroutine"),
        (generator, "generator"),
        (Other(), "no name"),
        (Other().method, "method of an object"),
        (Caller.method, "without its object"),
        (shown, "another object"),
        (moved, "not found"),
        ("".join, "method of an object"),
    ],
)
def test_a_function_that_cannot_be_found_again_is_refused(function, reason):
    with pytest.raises(NotStorable, match=reason):
        calls.encode(function, [])


def test_a_function_inside_a_function_is_refused():
    def nested(server):
        return server

    class Local(ServiceBackend):
        abstract = True

        def method(self, server):
            return server

    for function in (nested, Local().method):
        with pytest.raises(NotStorable, match="inside a function"):
            calls.encode(function, [])


def test_a_function_of_the_main_module_is_refused():
    code = (
        "from django.conf import settings; settings.configure()\n"
        "from orchestration import calls\n"
        "def function(server): pass\n"
        "calls.encode(function, [])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert "defined in __main__" in done.stderr


@pytest.mark.parametrize(
    "path", ["gone.module.function", "tests.test_calls.gone", "tests.test_calls:Gone.method"]
)
def test_code_that_is_gone_is_named(path):
    with pytest.raises(CannotStart, match=path):
        calls.decode(Call(path, "[]"))


# Arguments

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates()
    | st.times()
    | st.datetimes()
    | st.datetimes(timezones=st.just(UTC))
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.text().map(Secret)
    | st.just(Path("/srv/a b"))
)
HASHABLE = SCALARS | st.tuples(SCALARS, SCALARS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(HASHABLE | st.just("$"), inner, max_size=3)
        | st.sets(HASHABLE, max_size=3)
        | st.frozensets(HASHABLE, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_what_is_stored_comes_back_with_its_type(value):
    assert repr_of(returned(value)) == repr_of(value)


def repr_of(value):
    """Return a value with its types, sets in an order of their own."""
    if isinstance(value, set | frozenset):
        return type(value), sorted(map(repr, map(repr_of, value)))
    if isinstance(value, dict):
        return [(repr_of(key), repr_of(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [repr_of(item) for item in value]
    return type(value), value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (date(2026, 2, 3), date(2026, 2, 3)),
        (datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC), datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC)),
        (time(1, 2, 3), time(1, 2, 3)),
        (timedelta(days=-1, microseconds=5), timedelta(days=-1, microseconds=5)),
        (Decimal("1.50"), Decimal("1.50")),
        (UUID(int=5), UUID(int=5)),
        (Kind.STATIC, "static"),
        (Number(5), 5),
        (Ratio(0.5), 0.5),
        (mark_safe("<b>"), "<b>"),
        (gettext_lazy("text"), "text"),
        (WebApp, WebApp),
    ],
)
def test_values_of_panels_come_back(value, expected):
    assert returned(value) == expected


def test_raw_text_stays_raw():
    assert isinstance(returned(Raw("$HOME")), Raw)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (io.StringIO(), "StringIO"),
        ((x for x in "ab"), "generator"),
        (object(), "object"),
        (plain, "function"),
        ({"a": [io.BytesIO()]}, "BytesIO"),
        (sh("%(x)s", {"x": Secret("hunter2")}), "Secret itself"),
    ],
)
def test_an_argument_that_cannot_be_stored_is_refused_by_its_number(value, reason):
    with pytest.raises(NotStorable, match=rf"Argument 2 of plain: .*{reason}") as caught:
        calls.encode(plain, [1, value])
    assert "hunter2" not in str(caught.value)


def test_an_argument_that_contains_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(NotStorable, match="contains itself"):
        calls.encode(plain, [endless])


def test_what_is_appended_is_kept_as_it_was():
    names = ["a"]
    stored = calls.encode(plain, [names])
    names.append("b")
    assert calls.decode(stored)[1] == (["a"],)


# Objects


@pytest.mark.django_db
def test_an_object_comes_back_though_its_row_is_gone_or_changed():
    app = WebApp.objects.create(name="blog", data={"php": ["8.2"]}, target=None)
    stored = calls.encode(plain, [app])
    WebApp.objects.all().delete()
    (again,) = calls.decode(stored)[1]
    assert (type(again), again.pk, again.name, again.data) == (WebApp, app.pk, "blog", {"php": ["8.2"]})
    assert again.created == app.created
    assert (again._state.adding, again._state.db) == (False, "default")


def test_an_object_that_was_never_saved_stays_unsaved():
    again = returned(WebApp(name="blog"))
    assert (again.pk, again.name, again._state.adding) == (None, "blog", True)


@pytest.mark.django_db
def test_objects_of_any_model_come_back(django_assert_num_queries):
    child = WordPress.objects.create(name="press", version="6.5")
    assert (returned(child).name, returned(child).version) == ("press", "6.5")
    assert type(returned(StaticApp(name="proxy"))) is StaticApp
    assert returned(Mailbox(address="ann@example.org")).pk == "ann@example.org"
    deferred = WebApp.objects.only("name").get(pk=child.pk)
    with django_assert_num_queries(0):
        again = returned(deferred)
    assert again.get_deferred_fields() == deferred.get_deferred_fields()


@pytest.fixture
def upload():
    """A model, without a table, that has a field whose values are no plain ones."""
    options = type("Meta", (), {"app_label": "webapps", "managed": False})
    yield type("Upload", (Model,), {"file": FileField(), "Meta": options, "__module__": __name__})
    del apps.all_models["webapps"]["upload"]
    apps.clear_cache()


def test_a_field_with_values_of_its_own_comes_back(upload):
    assert returned(upload(pk=5, file="papers/a.pdf")).file.name == "papers/a.pdf"


def test_a_field_that_the_model_has_lost_is_left_out():
    stored = calls.encode(plain, [Mailbox(address="ann@example.org", quota=5)])
    older = Call(stored.function, stored.args.replace('"values":{', '"values":{"forwards":"x",'))
    (again,) = calls.decode(older)[1]
    assert (again.address, again.quota) == ("ann@example.org", 5)


@pytest.mark.django_db
def test_a_queryset_is_refused_with_the_remedy():
    with pytest.raises(NotStorable, match="Give a list"):
        calls.encode(plain, [Domain.objects.all()])


# What people see


def test_calls_are_shown_with_masks():
    assert (
        calls.show(plain, [Secret("hunter2"), "x"]) == "tests.test_calls.plain(Secret(********), 'x', server)"
    )
    arguments = [Secret("a"), {"k": [Secret("b")]}, (Secret("c"),), {Secret("d"): 1}, 5]
    assert [*calls.secrets(arguments)] == ["a", "b", "c", "d"]
