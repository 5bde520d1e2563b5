"""Wait, with a deadline, for something that happens elsewhere."""

import threading
import time


def until(condition, seconds=10.0):
    """Ask until the answer is true, and return it; AssertionError after ``seconds``."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.02)
    return answer
