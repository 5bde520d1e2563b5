"""Options of one step of a shell script: another user, a time limit, leave to fail."""

from __future__ import annotations

import re
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from orchestration.exceptions import NotShell, UnsafeTemplate
from orchestration.shell import Raw, sh

if TYPE_CHECKING:
    from .base import ServiceBackend

_SHELLS = frozenset({"sh", "bash", "dash", "ksh", "mksh", "ash", "zsh"})
#: Shells that may not know ``set -o pipefail``.
_PLAIN_SHELLS = frozenset({"sh", "dash", "ash"})
#: useradd(8), and dots as some systems allow them.
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")

# A failed ``set`` would end a shell that is not interactive: it is tried in a subshell first.
_PIPEFAIL = {True: "(set -o pipefail) 2>/dev/null && set -o pipefail", False: "set -o pipefail"}

# The step travels through a pipe, written by a builtin: as an argument of the shell it would be read by
# everybody in the list of processes. It is read whole before it begins, and then its input is empty.
_OWN_SHELL = "printf '%%s\\n' %(step)s | %(prefix)s%(shell)s -c %(start)s"
_READ_STEP = 'step=$(cat) && exec </dev/null && eval "$step"'
_HOME = "HOME=~%(user)s USER=%(user)s LOGNAME=%(user)s; export HOME USER LOGNAME; cd || cd /; "
_AS_USER = '$([ "$(id -u)" = 0 ] && echo runuser || echo sudo -n) -u %(user)s -- '

# A subshell in the background: ``set -e`` works in it, as it would not on the left of ``||``.
_MAY_FAIL = '(\n%(step)s\n) & wait "$!" || exit_code=$?'


@cache
def is_shell(executable: str) -> bool:
    """Tell whether a program is a shell, so that values can be quoted for it."""
    return _name(executable) in _SHELLS


def _name(executable: str) -> str:
    names = [PurePosixPath(word).name for word in executable.split()[:2]]
    return names[-1] if names[:1] == ["env"] else "".join(names[:1])


def strict_mode(executable: str) -> str:
    """Return the lines that make a shell stop at the first failure."""
    return f"set -e\n{_PIPEFAIL[_name(executable) in _PLAIN_SHELLS]}"


def refuse_other(executable: str, what: str) -> None:
    """Raise NotShell when a program is none."""
    if not is_shell(executable):
        raise NotShell(f"{what} is for shells, and {executable} is none. Append the text without it.")


def wrap(
    backend: ServiceBackend, text: str, *, run_as: str | None, allow_fail: bool, timeout: float | None
) -> str:
    """Return a step with its options around it.

    With ``run_as`` or ``timeout`` it runs in a shell of its own, which stops at the first failure and sees
    no variables or functions of the script. The limit is in seconds; its exit status is 124.
    """
    refuse_other(backend.script_executable, "run_as, allow_fail or timeout")
    if run_as is not None or timeout is not None:
        text = _own_shell(text, backend.script_executable, run_as, timeout)
    if allow_fail:
        backend.may_fail = True
        text = sh(_MAY_FAIL, {"step": Raw(text)})
    return text


def _own_shell(text: str, executable: str, user: str | None, timeout: float | None) -> str:
    start = _READ_STEP
    if user is not None:
        start = _HOME.replace("%(user)s", _checked(user)) + start
    context = {
        "step": sh("%(mode)s\n%(step)s", {"mode": Raw(strict_mode(executable)), "step": Raw(text)}),
        "prefix": Raw(_as_user(user) + _limit(timeout)),
        "shell": Raw(executable),
        "start": start,
    }
    return sh(_OWN_SHELL, context)


def _as_user(user: str | None) -> str:
    return "" if user is None else _AS_USER.replace("%(user)s", user)


def _limit(timeout: float | None) -> str:
    if timeout is None:
        return ""
    if timeout <= 0:
        raise UnsafeTemplate("timeout is a number of seconds above 0.")
    return f"timeout -k 2 {timeout:g} "


def _checked(user: str) -> str:
    if not _USER.fullmatch(user):
        raise UnsafeTemplate(f"run_as={user!r} is no name of a user.")
    return user
