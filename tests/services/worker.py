"""A process of its own that drains lanes of the tests' database: to be killed, frozen, told to end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys

from django.db import connection

from .concurrency import until

PATIENCE = 20


class Worker:
    """``manage.py drainlanes`` in a process of its own, with some settings."""

    def __init__(self, *arguments, **settings):
        names = ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")
        database = {name: connection.settings_dict[name] for name in names}
        settings = {"DATABASES": {"default": database}, **settings}
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "tests.services.worker", json.dumps(settings), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def signal(self, number):
        """Send a signal to the process alone."""
        os.kill(self.process.pid, number)

    def expect(self, text):
        """Read its next line, in which this text must be."""
        line = self.process.stdout.readline()
        assert text in line, (line, self.process.poll(), line or self.end())

    def end(self):
        """Wait until it has ended; return exit status and all it said."""
        output, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, output + errors

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.communicate(timeout=PATIENCE)


def main(settings, *arguments):
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django
    from django.conf import settings as django_settings
    from django.core.management import call_command

    for name, value in json.loads(settings).items():
        setattr(django_settings, name, value)
    django.setup()
    if "--wake" in arguments:
        wake(int(arguments[-1]))
    else:
        call_command("drainlanes", *arguments)


def wake(lane):
    """Have a lane drained in the background, and end as soon as a script runs."""
    from orchestration import executors
    from orchestration.models import ScriptLog

    executors.wake([lane])
    until(lambda: ScriptLog.objects.running().exists(), "the script to start")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(*sys.argv[1:])
