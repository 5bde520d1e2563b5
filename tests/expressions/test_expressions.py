"""Expressions that people write give the values that Python would give."""

import datetime
from decimal import Decimal

import pytest
from django.utils.translation import gettext_lazy

from orchestration.exceptions import ExpressionFailed, UnsafeExpression
from orchestration.expressions import compile_expression
from tests.webapps.models import Target, WebApp

ROUTES = [
    ("True", True),
    ("webapp.type == 'wordpress-php'", True),
    ("webapp.type.endswith('php')", True),
    ("webapp.type in ('static', 'wordpress-php')", True),
    ("instance.owner.username == 'rata'", True),
    ("instance.owner.username in ['a', 'b', 'rata']", True),
    ("not instance.target", True),
    ("instance.owner.is_superuser or instance.type == 'wordpress-php'", True),
    ("instance.pk % 2 == 1", lambda webapp: webapp.pk % 2 == 1),
    ("instance.owner_id % 4 == 1", lambda webapp: webapp.owner_id % 4 == 1),
    ("instance.name.lower().startswith('ex')", True),
    ("instance.name[0] in 'efg'", True),
    ("instance.name[:2] == 'ex'", True),
    ("len(instance.name) < 30", True),
    ("instance.target is None", True),
    ("instance.data.get('php_version') == '8.2'", True),
    ("instance.data['php_version'] >= '8'", True),
    ("any(d.name.endswith('.cat') for d in instance.domains.all())", True),
    ("instance.domains.filter(name='x.cat').exists()", True),
    ("instance.get_type_display() == 'WP'", True),
    ("0 < instance.size_mb <= 1024 * 10", True),
    ("instance.owner.email.split('@')[1] == 'example.org'", True),
    ("instance.is_big if instance.is_active else False", False),
    ("instance.created.year >= 2020", True),
    ("instance.get_protocol() == 'https'", True),
    ("obj.size_mb - 50 > 10 and not (obj.pk == 7)", False),
]
MORE = [
    ("all(len(d.name) == 5 for d in instance.domains.all())", True),
    ("[d.name for d in instance.domains.all() if d.name != 'y.org']", ["x.cat", "z.net"]),
    ("instance.domains.count() + len(instance.domains)", 6),
    ("'x.cat' in (d.name for d in instance.domains.all())", True),
    ("'x.cat' not in [d.name for d in instance.domains.all()]", False),
    ("instance.domains.exclude(name__startswith='x').first().name", "y.org"),
    ("instance.domains.last().name", "z.net"),
    ("'x.cat' in instance.domains.values_list('name', flat=True)", True),
    ("instance.domains.all()[0].name", "x.cat"),
    ("len(instance.domains.all()[:2]) == 2", True),
    ("instance.domains.first() in instance.domains", True),
    ("not instance.pages.all()", True),
    ("bool(instance.pages)", False),
    ("[k + '=' + v for k, v in instance.data.items() if k == 'php_version']", ["php_version=8.2"]),
    ("max(1, instance.size_mb, 3)", 3),
    ("sum(d.pk for d in instance.domains.all()) > 0", True),
    ("min(len(d.name) for d in instance.domains.all())", 5),
    ("max([1, 2.5])", 2.5),
    ("-instance.size_mb", -1),
    ("instance.size_mb // 2 + instance.size_mb / 2", 0.5),
    ("instance.created - instance.created == instance.created - instance.created", True),
    ("instance.created.date().weekday() < 7", True),
    ("instance.owner in [instance.owner]", True),
    ("instance.type in {'static', 'wordpress-php'}", True),
    ("'php' in instance.type and 'php' in instance.type.upper().lower()", True),
    ("int(instance.data['php_version'][0]) == 8", True),
    ("str(instance) == 'example'", True),
    ("1 < 2 < instance.pk + 2 == instance.pk + 2", True),
    ("[1, 1.5, .5, 1e-5, 1_000, 0xff, 0b1, 0o7, 1.e3] != ['1if', \"0xg\"]", True),
    ("  True  ", True),
    ("any([])", False),
]


def evaluate(text, instance):
    return compile_expression(text, ("webapp",)).evaluate(instance)


def test_the_table_holds_each_expression_that_must_work():
    assert len(dict(ROUTES)) == 26


@pytest.mark.lesson(28)
@pytest.mark.parametrize(("text", "expected"), ROUTES, ids=[text for text, _ in ROUTES])
def test_expressions_of_a_web_application_give_their_values(text, expected, webapp):
    expected = expected(webapp) if callable(expected) else expected

    assert evaluate(text, webapp) is expected
    assert compile_expression(text, ("webapp",)).matches(webapp) is expected


@pytest.mark.parametrize(("text", "expected"), MORE, ids=[text for text, _ in MORE])
def test_the_rest_of_the_language_is_python(text, expected, webapp):
    assert evaluate(text, webapp) == expected


def test_an_expression_is_compiled_once_per_text():
    assert compile_expression("1 == 1", ("webapp",)) is compile_expression("1 == 1", ("webapp",))


def test_prefetched_objects_are_not_queried_again(webapp, django_assert_num_queries):
    prefetched = WebApp.objects.prefetch_related("domains").get()

    with django_assert_num_queries(0):
        assert evaluate("any(d.name == 'x.cat' for d in instance.domains.all())", prefetched)


def test_exists_and_count_fetch_no_objects(webapp, django_assert_num_queries):
    with django_assert_num_queries(2) as queries:
        assert evaluate("instance.domains.exists() and len(instance.domains) == 3", webapp)

    assert not any('"name"' in query["sql"].split("FROM")[0] for query in queries)


def test_the_name_of_another_model_is_not_known():
    with pytest.raises(UnsafeExpression, match="'webapp' is not known: use instance, obj") as caught:
        compile_expression("not webapp.target", ())

    assert caught.value.position == 4


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("instance.owner.password", 15),
        ("  instance._state", 11),
        ("'é' == instance.__class__", 16),
        ("instance.name == 1 and instance.delete()", 32),
        ("True and (x := 1)", 10),
        ("instance.domains.filter(owner__password='x')", 24),
        ("instance.name ==", 16),
        ("", 0),
        ("1 +\n1", 3),
        ("True and 1if 1 else 2", 9),
        ("1 < instance.pk in [1]", 19),
        ("a" * 1001, 1000),
    ],
)
def test_a_refusal_says_where(text, position):
    with pytest.raises(UnsafeExpression) as caught:
        compile_expression(text, ("webapp",))

    assert caught.value.position == position


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("True and instance.target.name == 'x'", 25, "None has no 'name': ask first"),
        ("'é' != instance.missing", 16, "no attribute 'missing'"),
        ("instance.data['missing'] == 1", 0, "KeyError: 'missing'"),
        ("[d for d in instance.domains.all() if d.name.year]", 45, "'year' of a str cannot be read"),
        ("instance.name.lower().strip(1)", 22, "TypeError"),
        ("instance.pk > 'x'", 0, "TypeError: '>' not supported"),
        ("1 == 1 and 1 / 0", 11, "ZeroDivisionError"),
    ],
)
def test_a_failure_says_where_and_why(text, position, message, webapp):
    with pytest.raises((UnsafeExpression, ExpressionFailed), match=message) as caught:
        evaluate(text, webapp)

    assert caught.value.position == position


def test_whatever_a_property_raises_is_a_failure(webapp, monkeypatch):
    monkeypatch.setattr(WebApp, "is_big", property(lambda self: [][1]))

    with pytest.raises(ExpressionFailed, match="IndexError") as caught:
        evaluate("instance.is_big", webapp)

    assert isinstance(caught.value.__cause__, IndexError)


def test_null_values_are_tested_as_in_python(webapp):
    text = "instance.target is not None and instance.target.name == 'x'"
    assert evaluate(text, webapp) is False

    webapp.target = Target.objects.create(name="x")
    assert evaluate(text, webapp) is True


def test_lazy_translations_and_decimals_are_values_like_others(webapp, monkeypatch):
    monkeypatch.setattr(WebApp, "title", property(lambda self: gettext_lazy("yes")), raising=False)
    monkeypatch.setattr(WebApp, "price", Decimal("9.90"), raising=False)
    monkeypatch.setattr(WebApp, "huge", Decimal("1e99"), raising=False)

    assert evaluate("instance.title.upper() == 'YES' and instance.price * 2 > 19", webapp) is True
    with pytest.raises(UnsafeExpression, match="too big"):
        evaluate("instance.huge * instance.huge", webapp)


def test_the_parts_of_an_expression_have_their_values(webapp):
    text = "instance.owner.is_superuser or instance.type == 'static' and not instance.target.name"
    parts = compile_expression(text).parts(webapp)

    assert parts[:3] == [
        ("instance.owner.is_superuser", False),
        ("instance.type == 'static'", False),
        ("instance.type", "wordpress-php"),
    ]
    assert parts[3][0] == "instance.target.name"
    assert isinstance(parts[3][1], UnsafeExpression)


def test_parts_show_related_objects_by_their_model(webapp):
    parts = compile_expression("instance.domains").parts(webapp)

    assert parts == [("instance.domains", "<rows of webapps.Domain>")]


def test_a_method_of_a_model_is_called_only_when_it_is_marked(webapp, monkeypatch):
    def is_new(self, days=7):
        return self.created > datetime.datetime.now(datetime.UTC) - datetime.timedelta(days)

    monkeypatch.setattr(WebApp, "is_new", is_new, raising=False)
    with pytest.raises(UnsafeExpression, match=r"mark.*is_new.route_safe = True"):
        compile_expression("instance.is_new()")

    is_new.route_safe = True
    assert evaluate("instance.is_new(3)", webapp) is True
