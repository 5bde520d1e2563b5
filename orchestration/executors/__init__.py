"""Executors: who drains lanes after COMMIT. An executor carries the keys of lanes and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Protocol

from django.utils.module_loading import import_string

from orchestration.settings import options

PATHS = {
    "threads": "orchestration.executors.threads.Threads",
    "inline": "orchestration.executors.inline.Inline",
}


class Executor(Protocol):
    """Somebody who drains lanes. One instance serves the process."""

    def wake(self, lanes: Iterable[int]) -> None:
        """See to it that these lanes are drained, soon or before this returns."""

    def start(self) -> None:
        """Begin to look for work that nobody announces; may be called often."""

    def stop(self) -> None:
        """Start nothing more, and wait, bounded, for what runs; ``wake`` starts again."""


def wake(lanes: Iterable[int]) -> None:
    """Have lanes drained. Called after COMMIT; an announcement that is lost costs seconds, not work."""
    get().wake(lanes)


def start() -> None:
    """Let this process look for work that was left alone."""
    get().start()


def stop() -> None:
    """Let this process start nothing more, and wait, bounded, for what it runs."""
    get().stop()


def get() -> Executor:
    """Return the executor of the settings."""
    return _load(PATHS.get(options.EXECUTOR, options.EXECUTOR))


@cache
def _load(path: str) -> Executor:
    executor: Executor = import_string(path)()
    return executor
