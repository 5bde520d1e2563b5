"""Waiting in tests: for a condition, with a deadline."""

import threading
import time

import pytest
from django.db import connection

PATIENCE = 20


def until(condition, what="it", patience=PATIENCE):
    """Poll until the condition is true and return its value; fail after ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {patience} s for {what}")
        time.sleep(0.005)
    return value


def in_threads(*functions):
    """Run functions at once, each with a connection of its own; return what they returned or raised."""
    results = [None] * len(functions)
    barrier = threading.Barrier(len(functions))

    def call(index, function):
        try:
            barrier.wait(PATIENCE)
            results[index] = function()
        except Exception as error:
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=call, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    return results
