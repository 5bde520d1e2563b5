"""Rows of measurements, how they are taken, and the table that shows them against their budgets."""

from __future__ import annotations

import gc
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

COLUMNS = ("budget", "what", "measured", "peer", "ratio", "limit", "")


@dataclass(frozen=True)
class Row:
    """One measurement.

    With a peer, ``limit`` bounds the ratio ours / peer, without one it bounds ``ours`` itself; no limit
    means that the row only informs. ``ours`` is None for a peer that is not installed.
    """

    budget: str
    what: str
    ours: float | None
    peer: float | None = None
    unit: str = "us"
    limit: float | None = None
    #: What ``peer`` was: "asyncssh", "Model.save()".
    peer_name: str = ""
    #: The limit is the least allowed value: for throughputs.
    at_least: bool = False

    @property
    def ratio(self) -> float | None:
        """Return ours / peer, or None when there is nothing to compare with."""
        return self.ours / self.peer if self.ours is not None and self.peer else None

    @property
    def verdict(self) -> str:
        """Return "met", "NOT met", "absent", or nothing for a row without a limit."""
        if self.ours is None:
            return "absent"
        if self.limit is None:
            return ""
        value = self.ours if self.ratio is None else self.ratio
        is_met = value >= self.limit if self.at_least else value <= self.limit
        return "met" if is_met else "NOT met"

    def cells(self) -> tuple[str, ...]:
        """Return the texts of the row, one for each of COLUMNS."""
        peer = f"{_number(self.peer)} {self.peer_name}".strip() if self.peer is not None else self.peer_name
        measured = f"{_number(self.ours)} {self.unit}" if self.ours is not None else "not installed"
        return (self.budget, self.what, measured, peer, _times(self.ratio), self._limit(), self.verdict)

    def _limit(self) -> str:
        if self.limit is None:
            return ""
        bound = f"{self.limit:g} {self.unit}" if self.ratio is None else f"{self.limit:g} x"
        return f"{'>=' if self.at_least else '<='} {bound}"


def absent(budget: str, peer: str) -> Row:
    """Return the row that names a peer which is not installed here."""
    return Row(budget, peer, None)


def is_installed(module: str) -> bool:
    """Tell whether a peer's module can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def interleaved(
    candidates: dict[str, Callable[[], object]], rounds: int = 9, *, number: int = 1
) -> dict[str, float]:
    """Return the median seconds of one call of each candidate.

    Every round calls every candidate ``number`` times, the first one rotating, so that a slow moment of
    the machine hits all of them alike. One more round before warms up and is not counted.
    """
    names = list(candidates)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            samples[name].append(_seconds(candidates[name], number))
    return {name: statistics.median(values[1:]) for name, values in samples.items()}


def _seconds(call: Callable[[], object], number: int) -> float:
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        for _ in range(number):
            call()
        return (time.perf_counter() - start) / number
    finally:
        gc.enable()


def render(rows: Iterable[Row]) -> str:
    """Return the rows as a table in Markdown, aligned so that it reads in a terminal too."""
    lines = [COLUMNS, *(row.cells() for row in rows)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    head, *body = (_line(cells, widths) for cells in lines)
    return "\n".join([head, _line(["-" * width for width in widths], widths), *body])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"
