"""How scripts reach a server: the names of the methods, and what a method is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Protocol

from django.utils.module_loading import import_string

from orchestration.scripts import Event, Host, Unit
from orchestration.settings import options

#: As the server says: ``Local``, or the method of ``options.SSH_METHOD``.
SSH = "SSH"
Paramiko = "Paramiko"
OpenSSH = "OpenSSH"
Local = "Local"
Python = "Python"

PATHS = {
    Paramiko: "orchestration.methods.paramiko.Paramiko",
    OpenSSH: "orchestration.methods.openssh.OpenSSH",
    Local: "orchestration.methods.local.Local",
    Python: "orchestration.methods.python.Python",
}


class Method(Protocol):
    """A way to run the jobs of a unit on a host. One instance serves all threads."""

    def run(self, host: Host, unit: Unit) -> Iterator[Event]:
        """Run the jobs in order and yield what happens.

        For each job: a Started when it begins, its Output as it comes, and one Done. While nothing
        happens, a Tick at least every 5 seconds.

        Raises ConnectionFailed when certainly nothing ran, ConnectionLost when the end of what has no
        Done is unknown, CannotStart when trying again would not help. Closing the iterator cancels.
        """


def get(name: str) -> Method:
    """Return the method of this name or dotted path. Raises ImportError when there is none."""
    name = options.SSH_METHOD if name == SSH else name
    return _load(PATHS.get(name, name))


@cache
def _load(path: str) -> Method:
    method: Method = import_string(path)()
    return method
