"""Any bytes become text that people may read: whole characters, no secrets, bounded."""

import random

import pytest

from orchestration.lanes.output import Stream
from orchestration.shell import MASK

SECRET = "hunter2"


def stream(*chunks, secrets=(), cap=1000, tail=100, end=None):
    result = Stream(secrets, cap=cap, tail=tail)
    for chunk in chunks:
        result.add(chunk)
    result.close(**(end or {}))
    return result


@pytest.mark.lesson(21)
def test_a_character_may_be_split_anywhere():
    data = "größe € 𝄞".encode()
    for cut in range(len(data)):
        assert stream(data[:cut], data[cut:]).text == "größe € 𝄞"


@pytest.mark.lesson(21)
def test_binary_output_is_text_too():
    text = stream(bytes(range(256)) * 3).text
    assert "\0" not in text
    assert text.startswith("\ufffd\x01")
    assert len(text) == 768


def test_an_unfinished_character_at_the_end_is_shown_as_such():
    assert stream("€".encode()[:2]).text == "\ufffd"


def test_sizes_are_those_of_the_bytes():
    assert stream("€".encode(), b"ab").size == 5


@pytest.mark.lesson(28)
def test_a_secret_is_masked_wherever_it_is_split():
    data = f"login {SECRET} ok".encode()
    for cut in range(len(data)):
        assert stream(data[:cut], data[cut:], secrets=(SECRET,)).text == f"login {MASK} ok"


@pytest.mark.lesson(28)
def test_a_secret_is_masked_byte_by_byte_and_at_once():
    data = f"{SECRET}{SECRET}\n{SECRET}".encode()
    single = stream(*[bytes([byte]) for byte in data], secrets=(SECRET, "longer than the other"))
    assert SECRET not in single.text
    assert single.text == stream(data, secrets=(SECRET,)).text == f"{MASK}{MASK}\n{MASK}"


def test_what_may_be_the_beginning_of_a_secret_is_held_back():
    result = Stream((SECRET,), cap=100, tail=10)
    result.add(b"password: hunt")
    assert "hunt" not in result.text
    result.add(b"ing season")
    result.close()
    assert result.text == "password: hunting season"


def test_text_can_be_read_meanwhile():
    result = Stream(cap=100, tail=10)
    result.add(b"one ")
    assert result.text == "one "
    result.add(b"two")
    assert result.text == "one two"


def test_head_and_tail_are_kept_and_the_rest_is_counted():
    result = stream(b"a" * 1000, b"b" * 5000, b"c" * 100)
    assert result.size == 6100
    assert result.text == "a" * 1000 + "\n[… 5,000 bytes left out …]\n" + "c" * 100


def test_the_far_end_may_leave_out_and_tell():
    result = stream(b"a" * 1000, end={"size": 10**9, "tail": b"z" * 100})
    assert result.size == 10**9
    assert result.text == "a" * 1000 + "\n[… 999,998,900 bytes left out …]\n" + "z" * 100


@pytest.mark.parametrize("extra", [1, 50, 100])
def test_nothing_is_said_when_nothing_was_left_out(extra):
    data = b"x" * 1000 + b"y" * extra
    assert stream(data).text == data.decode()
    assert stream(data[:1000], end={"size": 1000 + extra, "tail": data[-100:]}).text == data.decode()


def test_a_secret_across_head_and_tail_is_masked():
    data = b"x" * 997 + SECRET.encode() + b"y"
    assert stream(data, secrets=(SECRET,)).text == "x" * 997 + MASK + "y"


@pytest.mark.lesson(28)
def test_halves_of_a_secret_at_the_cuts_are_not_shown():
    head, tail = b"x" * 996 + b"hunt", b"ter2" + b"y" * 96
    text = stream(head, b"-" * 5000, tail, secrets=(SECRET,)).text
    assert "hunt" not in text
    assert "ter2" not in text
    assert text.startswith("x" * 996)
    assert text.endswith("y" * 96)


def test_memory_is_bounded():
    result = Stream(cap=1000, tail=100)
    for _ in range(1000):
        result.add(b"0" * 10_000)
    assert len(result._tail) == 100
    result.close()
    assert len(result.text) < 1200


def test_no_chunking_changes_the_text():
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    data = b"".join(
        rng.choice([b"hunter2", b"hunt", "€".encode(), b"\xff", b"er2", b"\n"]) for _ in range(200)
    )
    whole = stream(data, secrets=(SECRET,), cap=10**6).text
    cuts = sorted(rng.randrange(len(data)) for _ in range(50))
    chunks = [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert stream(*chunks, secrets=(SECRET,), cap=10**6).text == whole, f"seed {seed}"
    assert SECRET not in whole
