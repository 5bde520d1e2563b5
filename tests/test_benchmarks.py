"""The table of the benchmarks says "met" only for what is met."""

import pytest

from benchmarks.table import Row, absent, interleaved, render


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (Row("P4", "attribute", 0.9, limit=1), "met"),
        (Row("P4", "attribute", 1.1, limit=1), "NOT met"),
        (Row("P8", "warm", 50, 100, limit=0.55), "met"),
        (Row("P8", "warm", 60, 100, limit=0.55), "NOT met"),
        (Row("P9", "capped", 210, unit="MB/s", limit=200, at_least=True), "met"),
        (Row("P9", "capped", 190, unit="MB/s", limit=200, at_least=True), "NOT met"),
        (Row("P8", "cold", 60), ""),
        (absent("P8", "fabric"), "absent"),
    ],
)
def test_verdict_compares_the_ratio_with_a_peer_and_else_the_value(row, verdict):
    assert row.verdict == verdict
    assert row.cells()[-1] == verdict


def test_table_shows_what_was_measured_against_whom():
    table = render([Row("P8", "100 hosts", 162, 295, "ms", 0.55, peer_name="parallel-ssh")])
    cells = [cell.strip() for cell in table.splitlines()[-1].strip("| ").split("|")]
    assert cells == ["P8", "100 hosts", "162 ms", "295 parallel-ssh", "0.55", "<= 0.55 x", "met"]


def test_every_candidate_is_called_in_every_round_and_takes_its_turn_at_being_first():
    calls = []
    medians = interleaved(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2, number=2
    )
    assert "".join(calls) == "aabb" + "bbaa" + "aabb"
    assert set(medians) == {"a", "b"}
    assert all(seconds >= 0 for seconds in medians.values())
