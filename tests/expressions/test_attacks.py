"""What route expressions must never do: each attack ends in an error, soon, and changes nothing."""

import time
import tracemalloc

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orchestration.exceptions import ExpressionFailed, UnsafeExpression
from orchestration.expressions import compile_expression
from tests.webapps.models import Domain, WebApp

ESCAPES = [
    "instance.__class__",
    "().__class__.__bases__[0].__subclasses__()",
    "''.__class__.__mro__[1]",
    "instance.save.__globals__",
    "instance.get_protocol.__globals__['__builtins__']",
    "instance.__dict__",
    "instance.__init__.__globals__",
    "instance.＿＿class＿＿",
    "instance._state.db",
    "instance._meta.model",
    "instance._meta.get_field('owner').remote_field.model.objects.all()",
    "instance.owner._meta.model.objects.all().delete()",
    "__import__('os').system('id')",
    "__builtins__",
    "__builtins__['eval']('1')",
    "_guard.steps",
    "_guard.get(instance, '__class__')",
    "_slice",
    "slice(1)",
    "eval('1')",
    "exec('1')",
    "compile('1', '', 'eval')",
    "open('/etc/passwd').read()",
    "globals()",
    "locals()",
    "vars(instance)",
    "dir(instance)",
    "type(instance)",
    "getattr(instance, '__class__')",
    "setattr(instance, 'name', 'x')",
    "hasattr(instance, 'password')",
    "delattr(instance, 'name')",
    "object",
    "super()",
    "print(1)",
    "input()",
    "breakpoint()",
    "help()",
    "exit()",
    "memoryview(b'x')",
    "bytes(10)",
    "range(10)",
    "map(str, [1])",
    "(x for x in [1]).gi_frame.f_back.f_globals",
    "[x for x in (y for y in [1]).gi_frame.f_builtins]",
    "[g.gi_frame for g in [(x for x in [1])]]",
    "any(x for x in [1]).gi_code",
    "(lambda: 1)()",
    "lambda: 1",
    "(lambda f: f(f))(lambda f: f(f))",
    "(x := instance)",
    "[instance := 1 for x in [1]]",
    "[x async for x in instance.domains]",
    "[await x for x in []]",
    "await instance",
    "(yield 1)",
    "[(yield) for x in [1]]",
    "{x for x in [1]}",
    "{x: x for x in [1]}",
    "{'a': 1}['a']",
    "f'{instance.owner}'",
    "f'{instance.__class__}'",
    "'{0.__class__}'.format(instance)",
    "'{0.owner.password}'.format(instance)",
    "'{x.owner}'.format_map({'x': instance})",
    "str.format('{0}', 1)",
    "str.__class__",
    "len.__self__",
    "'%s' % instance",
    "'%(x)s' % instance.data",
    "instance.name.encode()",
    "instance.name.translate(instance.data)",
    "instance.name.maketrans('a', 'b')",
    "instance.name.join(['a', 'b'])",
    "max(*[1, 2])",
    "max([1, 2], key=len)",
    "instance.domains.filter(**instance.data)",
    "instance.domains.filter(*[1])",
    "max([1], default=instance.save)",
    "[_ for _ in [1]]",
    "[__class__ for __class__ in [1]]",
    "[_guard for _guard in [1]]",
    "[_slice for _slice in [instance]][0][0:1]",
    "[slice for slice in [instance.save]][0][0:1]",
    "[instance for instance in [1]]",
    "[len for len in [instance.save]]",
    "[instance.name for instance.name in ['x']]",
    "[x for instance.data['x'] in [1]]",
    "[x for *x, y in [[1, 2]]]",
    "b'bytes'",
    "1j",
    "...",
    "instance.name = 'x'",
    "import os",
    "del instance.name",
    "assert True",
    "True; instance.save()",
    "True # \n; 1",
    "print",
    "None.__class__",
    "True.__class__",
    "(1).__class__",
    "1 .real",
    "instance.pk.__add__(1)",
    "instance.pk.to_bytes(10, 'big')",
    "instance.created.strftime('%Y')",
    "instance.created.tzinfo.utcoffset",
    "instance.created.replace(year=1)",
    "instance.DoesNotExist",
    "instance.DoesNotExist.mro()",
    "instance.objects.all()",
    "instance.check()",
    "instance.from_db('default', [], [])",
    "instance.serializable_value('owner_id')",
    "instance.unique_error_message",
    "instance.get_deferred_fields()",
    "instance.get_owner_display()",
    "instance.get_missing_display()",
    "instance.get_next_by_created()",
    "instance.owner.get_session_auth_hash()",
    "instance.owner.natural_key()",
    "instance.domains()",
    "instance.domains.all()()",
    "instance.domains[0]()",
    "[f() for f in [instance.save]]",
    "(instance.save or 1)()",
    "(instance.save if True else 1)()",
    "instance['save']",
    "instance.name['__class__']",
    "instance.save",
    "[instance.save]",
    "instance.domains.all",
    "instance.name.upper",
    "instance.domains.model",
    "instance.domains.query",
    "instance.domains.db",
    "instance.domains.through",
    "instance.domains.all().query",
    "instance.domains.all().model.objects",
    "instance.domains.target_field",
    "1 is 1",
    "instance is obj",
    "~1",
    "instance.data.get.__self__",
]
WRITES = [
    "instance.save()",
    "instance.delete()",
    "instance.save_base()",
    "instance.refresh_from_db()",
    "instance.full_clean()",
    "instance.asave()",
    "instance.adelete()",
    "instance.owner.save()",
    "instance.owner.delete()",
    "instance.owner.set_password('x')",
    "instance.owner.check_password('hunter2')",
    "instance.owner.email_user('a', 'b')",
    "instance.owner.webapps.all().delete()",
    "instance.owner.webapps.update(name='x')",
    "instance.domains.clear()",
    "instance.domains.set([])",
    "instance.domains.add(1)",
    "instance.domains.remove(1)",
    "instance.domains.create(name='new')",
    "instance.domains.get_or_create(name='new')",
    "instance.domains.update_or_create(name='new')",
    "instance.domains.bulk_create([])",
    "instance.domains.bulk_update([], ['name'])",
    "instance.domains.all().delete()",
    "instance.domains.all().update(name='x')",
    "instance.domains.filter(name='x.cat').delete()",
    "instance.domains.all()[0].delete()",
    "instance.domains.first().delete()",
    "[d.delete() for d in instance.domains.all()]",
    "instance.domains.through.objects.all().delete()",
    "instance.data.update({'a': 1})",
    "instance.data.pop('php_version')",
    "instance.data.clear()",
    "instance.data.setdefault('x', 1)",
    "instance.data.popitem()",
    "[1].append(2)",
    "[1].sort()",
]
QUERIES = [
    "instance.domains.raw('DELETE FROM webapps_domain')",
    "instance.domains.extra(where=['1=1'])",
    "instance.domains.using('other').all()",
    "instance.domains.db_manager('other')",
    "instance.domains.select_for_update()",
    "instance.domains.annotate(x=1)",
    "instance.domains.aggregate(x=1)",
    "instance.domains.alias(x=1)",
    "instance.domains.order_by('name')",
    "instance.domains.dates('created', 'year')",
    "instance.domains.iterator()",
    "instance.domains.explain()",
    "instance.domains.in_bulk()",
    "instance.domains.values()",
    "instance.domains.union(instance.domains.all())",
    "instance.domains.values_list()",
    "instance.domains.values_list('webapps__owner__password')",
    "instance.domains.values_list('pass' + 'word')",
    "instance.domains.values_list('name\"; DROP TABLE x')",
    "instance.domains.values_list(instance)",
    "instance.domains.values_list('_state')",
    "instance.domains.filter(_connector='OR 1=1 OR')",
    "instance.domains.filter(_negated=True)",
    "instance.domains.filter(webapps__owner__password__startswith='md5')",
    "instance.domains.exclude(webapps__owner__password='x')",
    "instance.domains.filter(webapps__data__api_key='k')",
    "instance.domains.filter(name__regex='(a+)+$')",
    "instance.domains.filter(name__iregex='(a+)+$')",
    "instance.domains.filter(pk__in=instance.domains.all())",
    "instance.domains.filter(name=instance.save)",
    "instance.domains.filter(nothing=1)",
    "instance.domains.filter(pk='x')",
    "instance.domains.filter(self=1)",
    "instance.domains.all()[::2]",
    "instance.domains.all()['x']",
    "instance.domains.all()[:2].filter(name='x')",
    "instance.name.filter(x=1)",
    "instance.name.exists()",
    "instance.data.all()",
    "instance.filter(name='x')",
    "instance.name.upper(x=1)",
]
SECRETS = [
    "instance.owner.password",
    "instance.owner.ｐassword",
    "instance.owner.password == 'x' or True",
    "instance.data['api_key']",
    "instance.data.get('api_key')",
    "instance.data.get('api_' + 'key')",
    "instance.data['api_' + 'key']",
    "[instance.data[k] for k in ['api_key']]",
    "instance.token",
    "instance.auth_token.key",
    "instance.secret",
    "instance.client_secret_id",
    "instance.apikey",
    "instance.private_key",
    "instance.smtp_pwd",
    "instance.Password",
    "instance.session_key",
    "instance.get_password_display()",
]
BOMBS = [
    "9**9**9**9",
    "2**64",
    "1 << 99999999",
    "1 >> 1",
    "1 | 1",
    "1 @ 1",
    "'a' * 999999999",
    "999999999 * 'a'",
    "[0] * 999999999",
    "instance.name * instance.size_mb",
    "'%999999999d' % 1",
    "'a'.ljust(999999999)",
    "'a'.center(999999999)",
    "'a'.zfill(999999999)",
    "'a'.replace('', 'aaaaaaaaaa')",
    "'a'.expandtabs(999999999)",
    "int('1' + '0' * 99999)",
    "pow(9, 999999)",
    "round(1, -999999999)",
    "sum([[1], [2]], [])",
    "str(1, 2, 3)",
    "len()",
    "[w * w for w in [v * v for v in [x * x for x in [y * y for y in [99999999999999999999]]]]]",
    " * ".join(["99999999999999999999"] * 40),
    " + ".join(["1"] * 240),
    "[1 for a in instance.data for b in instance.data for c in " + "instance.long for d in instance.long]",
    "all(x + y >= 0 for x in instance.long for y in instance.long)",
    "any(any(a == b for a in instance.long if a == 1) for b in instance.long if b != 1)",
    "[instance.text + instance.text for x in instance.long]",
    "[instance.text[1:] for x in instance.long]",
    "[instance.text.lower() for x in instance.long]",
    "any('z' in instance.text for x in instance.long)",
    "[str(instance.long) for x in instance.long]",
    "any(instance.domains.filter(name=x).exists() for x in instance.long)",
    "any(instance.domains.all()[0] == x for x in instance.long)",
    "[" * 200 + "]" * 200,
    "(" * 100 + "1" + ")" * 100,
    "-" * 900 + "1",
    "not " * 240 + "1",
    "instance" + ".owner" * 150,
    "[" + "-1," * 300 + "]",
    "1 if 1 else " * 80 + "1",
    "lambda:" * 140 + "1",
    "True and " + "(" * 19 + "1" + ")" * 18,
    "'" * 3 + "a" * 990,
    "True\0",
    "\ud800",
    "'\\N{DIGIT ONE}'",
    "1if 1else 2+",
    "0x" + "f" * 990 + " * 2",
]
ATTACKS = [*ESCAPES, *WRITES, *QUERIES, *SECRETS, *BOMBS]


@pytest.fixture
def prey(webapp, monkeypatch):
    """Return an object with as much to read as an attacker could wish for."""
    monkeypatch.setattr(WebApp, "long", list(range(2000)), raising=False)
    monkeypatch.setattr(WebApp, "text", "x" * 1_000_000, raising=False)
    for name in ("token", "secret", "apikey", "private_key", "smtp_pwd", "Password"):
        monkeypatch.setattr(WebApp, name, "s3cret", raising=False)
    return webapp


def state():
    rows = [list(model.objects.order_by("pk").values()) for model in (WebApp, Domain, get_user_model())]
    return repr([rows, list(WebApp.domains.through.objects.values())])


def test_the_attacks_are_many():
    assert len(set(ATTACKS)) == len(ATTACKS) > 250


@pytest.mark.lesson(28)
@pytest.mark.parametrize("text", ATTACKS, ids=lambda text: ascii(text[:60]))
def test_no_attack_gets_through(text, prey):
    before, data = state(), dict(prey.data)
    start = time.monotonic()

    with CaptureQueriesContext(connection) as queries, pytest.raises((UnsafeExpression, ExpressionFailed)):
        compile_expression(text, ("webapp",)).evaluate(prey)

    assert time.monotonic() - start < 2
    assert all(query["sql"].startswith("SELECT") for query in queries)
    assert len(queries) <= 101
    assert state() == before
    assert prey.data == data


@pytest.mark.parametrize("text", [*WRITES, *SECRETS[:4]])
def test_what_writes_or_tells_secrets_is_refused_when_it_is_compiled(text):
    with pytest.raises(UnsafeExpression) as caught:
        compile_expression(text, ("webapp",))

    assert caught.value.position is not None


def test_a_bomb_is_stopped_before_it_fills_the_memory(prey):
    expression = compile_expression("[instance.text + instance.text for x in instance.long]")
    tracemalloc.start()
    try:
        with pytest.raises(UnsafeExpression, match="too much"):
            expression.evaluate(prey)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_more_related_objects_than_an_evaluation_may_read_are_not_even_fetched(webapp):
    Domain.objects.bulk_create(Domain(name=f"d{number}") for number in range(10_100))
    webapp.domains.add(*Domain.objects.all())
    expression = compile_expression("all(d.pk for d in instance.domains.all())")

    with CaptureQueriesContext(connection) as queries, pytest.raises(UnsafeExpression, match="too much"):
        expression.evaluate(webapp)

    assert "LIMIT 9" in queries[0]["sql"]


def test_a_tuple_cannot_smuggle_what_may_not_be_read(prey, monkeypatch):
    monkeypatch.setattr(WebApp, "pairs", [(1, WebApp.save)], raising=False)

    with pytest.raises(UnsafeExpression, match="A function cannot be read"):
        compile_expression("[b for a, b in instance.pairs]").evaluate(prey)


def test_a_list_cannot_smuggle_what_may_not_be_read(prey, monkeypatch):
    monkeypatch.setattr(WebApp, "handlers", [WebApp.save], raising=False)

    for text in ("instance.handlers[0]", "[x for x in instance.handlers]", "max(instance.handlers)"):
        with pytest.raises(UnsafeExpression, match="A function cannot be read"):
            compile_expression(text).evaluate(prey)


def test_a_subclass_of_str_cannot_bring_methods_of_its_own(prey, monkeypatch):
    class Evil(str):
        def lower(self):
            raise AssertionError("called")

    monkeypatch.setattr(WebApp, "evil", Evil("ABC"), raising=False)

    assert compile_expression("instance.evil.lower()").evaluate(prey) == "abc"


def test_the_mark_of_a_safe_method_must_be_true_itself(monkeypatch):
    def method(self):
        return 1

    method.route_safe = "yes"
    monkeypatch.setattr(WebApp, "method", method, raising=False)

    with pytest.raises(UnsafeExpression, match="not allowed"):
        compile_expression("instance.method()")
