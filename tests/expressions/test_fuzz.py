"""Any text either compiles, or is refused by UnsafeExpression; any evaluation ends."""

import warnings
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.exceptions import ExpressionFailed, UnsafeExpression
from orchestration.expressions import compile_expression
from tests.webapps.models import WebApp

WORDS_TEXT = r"""
instance webapp obj . name type data owner domains all() filter( exists() __class__ _meta save() delete()
password get( 'x' " 1 0 1.5 10**9 ( ) [ ] { } , : == != < in not is None True and or if else for x async
await lambda yield := * ** + - / % // ~ @ len( any( str( max( f'{x}' b'' é \ # 1if 0x 1_0 = ;
"""
WORDS = WORDS_TEXT.split()
TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join),
    st.lists(st.sampled_from([*WORDS, " ", "\t", "\0"]), max_size=30).map("".join),
)
ATOMS = ["instance", "instance.name", "instance.data", "instance.size_mb", "1", "'a'", "None", "[1, 'x']"]
SHAPES_TEXT = """
{} + {} | {} - {} | {} * {} | {} / {} | {} % {} | {} == {} | {} < {} | {} in {} | {} and {} | {}[{}] |
{}[{}:] | not {} | -{} | len({}) | str({}) | int({}) | max({}) | any({}) | sum({}) | {} if {} else {} |
{}.lower() | {}.get(1) | {}.items() | {}.split() | {}.year | {}.name | [x for x in {} if {}] |
all(x for x in {})
"""
SHAPES = [shape.strip() for shape in SHAPES_TEXT.split("|")]
EXPRESSIONS = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.builds(
        lambda shape, parts: shape.format(*[f"({part})" for part in parts]),
        st.sampled_from(SHAPES),
        st.lists(inner, min_size=3, max_size=3),
    ),
    max_leaves=8,
)
BOUNDED = settings(deadline=2000, suppress_health_check=list(HealthCheck), derandomize=True, database=None)


def error_of(function, *args):
    """Return the error of a call if it is one that routes know; others come through."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            function(*args)
        except (UnsafeExpression, ExpressionFailed) as error:
            return error
    return None


@settings(BOUNDED, max_examples=600)
@given(TEXTS)
def test_any_text_compiles_or_is_refused_with_a_position(text):
    error = error_of(compile_expression, text, ("webapp",))

    assert error is None or 0 <= error.position <= len(text)
    assert error is None or isinstance(error, UnsafeExpression)


@settings(BOUNDED, max_examples=300)
@given(EXPRESSIONS)
def test_any_evaluation_has_a_value_or_fails_with_a_position(text):
    webapp = WebApp(name="example", data={"a": [1, {"b": None}], "c": "d"}, size_mb=3)
    error = error_of(compile_expression(text, ("webapp",)).evaluate, webapp)

    assert error is None or 0 <= error.position <= len(text)


def test_an_object_that_is_no_model_is_refused():
    with pytest.raises(UnsafeExpression, match="SimpleNamespace"):
        compile_expression("instance.name").evaluate(SimpleNamespace(name="x"))
