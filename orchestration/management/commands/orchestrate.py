"""``manage.py orchestrate``: act on the queues of scripts as a whole."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from orchestration.lanes import installation


class Command(BaseCommand):
    """Act on what is stored; each option is one thing to do."""

    help = "Act on the stored scripts of this installation."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add one option for each thing to do."""
        parser.add_argument(
            "--adopt",
            action="store_true",
            help="Make this installation the one that runs the scripts of this database, from now on.",
        )

    def handle(self, *args: Any, **options: Any) -> None:  # Any: Django's own signature
        """Do what the option says."""
        if not options["adopt"]:
            raise CommandError("Say what to do: --adopt makes this installation the one that runs scripts.")
        self._adopt()

    def _adopt(self) -> None:
        before, now = installation.adopt()
        if before == now:
            self.stdout.write(f"This database already belonged to this installation ({now}).")
            return
        self.stdout.write(self.style.SUCCESS(f"This database belongs to this installation now ({now})."))
        if before:
            self.stdout.write(f"Processes of the earlier one ({before}) run nothing any more.")
