"""``manage.py drainlanes``: a worker, for projects whose web processes shall open no connections."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from orchestration import lanes
from orchestration.exceptions import ForeignInstallation
from orchestration.executors.inline import Inline
from orchestration.executors.threads import Threads
from orchestration.lanes import installation
from orchestration.settings import options


class Command(BaseCommand):
    """Drain lanes until SIGTERM or SIGINT; scripts that run then are finished first."""

    help = "Run waiting scripts until this process is told to end."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the option to come back."""
        parser.add_argument("--once", action="store_true", help="Run what is due now, and end.")

    def handle(self, *args: Any, **arguments: Any) -> None:  # Any: Django's own signature
        """Drain once, or as a worker."""
        if installation.is_disabled():
            raise CommandError("Execution is disabled: see ORCHESTRATION_DISABLE_EXECUTION.")
        try:
            installation.check()
        except ForeignInstallation as error:
            raise CommandError(str(error)) from error
        if arguments["once"]:
            Inline().wake(lanes.due())
        else:
            self._work()

    def _work(self) -> None:
        workers = Threads()
        with _told_to_end() as end:
            workers.start()
            self.stdout.write("Running scripts as they come. End with SIGTERM or Ctrl-C.")
            end.wait()
        self.stdout.write("Finishing what runs.")
        workers.stop(options.TOTAL_TIMEOUT)  # a second signal ends at once


@contextmanager
def _told_to_end() -> Iterator[threading.Event]:
    """Return an event that SIGTERM and SIGINT set."""
    end = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda *_: end.set())
    try:
        yield end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
