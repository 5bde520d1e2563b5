"""The lessons of earlier systems: each that can be shown by now has a test that carries its number."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
#: Those of the first issue; more come with what they are about.
SHOWN = {*range(1, 8), 10, 11, 13, 14, 17, 18, *range(20, 24), *range(25, 33)}


def test_each_lesson_that_can_be_shown_has_a_test():
    texts = [path.read_text() for path in TESTS.rglob("test_*.py")]
    marked = {int(number) for text in texts for number in re.findall(r"mark\.lesson\((\d+)\)", text)}
    assert sorted(SHOWN - marked) == []
    assert marked <= set(range(1, 41))
