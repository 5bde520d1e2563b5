"""The executor that drains in the caller: for tests, and for commands that want to see the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from orchestration import lanes as queues


class Inline:
    """Drains lanes before ``wake`` returns; work that must wait is left to others."""

    def wake(self, lanes: Iterable[int]) -> None:
        """Drain the lanes, and those that waited for their scripts."""
        waiting = deque(dict.fromkeys(lanes))
        while waiting:
            lane = waiting.popleft()
            rest = queues.drain(lane)
            waiting.extend(rest.wake)
            if rest.again == 0:
                waiting.append(lane)

    def start(self) -> None:
        """Do nothing: nobody looks in the background."""

    def stop(self) -> None:
        """Do nothing: nothing runs in the background."""
