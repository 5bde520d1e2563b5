#!/usr/bin/env python3
"""Run Django's commands for the example project."""

import os
import sys
from pathlib import Path


def main():
    # The repository, not this folder: it has both ``orchestration`` and ``example_project``.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415  settings come first

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
