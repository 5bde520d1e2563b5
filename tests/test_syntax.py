"""Parsing in threads at once: what garbage collections do in the middle of it does no harm."""

import ast
import gc
import sys
import threading
from pathlib import Path

import pytest

from orchestration import syntax

SOURCE = Path(ast.__file__).read_text()


@pytest.fixture
def switching():
    """Switch threads in the middle of parsing: only Python code can, so each collection runs some."""

    def callback(phase, info):
        for _ in range(2_000):
            pass

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    gc.callbacks.append(callback)
    yield
    gc.callbacks.remove(callback)
    sys.setswitchinterval(interval)


def test_threads_parse_at_the_same_time(switching):
    errors = []

    def parse(depth):
        if depth:
            return parse(depth - 1)
        try:
            for _ in range(5):
                syntax.parse(SOURCE)
        except SystemError as error:
            errors.append(error)

    threads = [threading.Thread(target=parse, args=(3 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []


def test_an_expression_is_parsed_as_one():
    assert isinstance(syntax.parse("a + 1", mode="eval"), ast.Expression)
    with pytest.raises(SyntaxError):
        syntax.parse("a +", mode="eval")
