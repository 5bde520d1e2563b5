"""Python functions as commands: a dotted path and encoded arguments, which outlive the process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestration.scripts import Call


def encode(function: Callable[..., object], args: Sequence[object]) -> Call:
    """Return a call as text; NotStorable, with reason and remedy, when it cannot be stored."""
    raise NotImplementedError
