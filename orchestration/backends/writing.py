"""From what a backend appended to the groups of its section."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestration.scripts import Group
from orchestration.shell import mask

from .commands import Part

if TYPE_CHECKING:
    from .base import ServiceBackend

#: What ``super().commit()`` would have written: a remembered failure is never forgotten.
_EXIT = 'exit "${exit_code:-$?}"'


@dataclass(frozen=True, slots=True)
class Written:
    """What a backend wrote for one server: what runs, and what people see of it."""

    groups: tuple[Group, ...]
    shown: str
    secrets: tuple[str, ...]


def take(backend: ServiceBackend) -> Written:
    """Take what a backend wrote: one group for each method, with head, content and tail.

    There are no groups when no action wrote anything. What was taken is gone from the backend.
    """
    secrets = known_secrets(backend)
    pairs = [_group(backend, method, bool(secrets)) for method in _methods(backend)]
    shown = pairs[0][1] if len(pairs) == 1 else "\n".join(text for _, text in pairs)
    return Written(tuple(group for group, _ in pairs), mask(shown, secrets), secrets)


def known_secrets(backend: ServiceBackend) -> tuple[str, ...]:
    """Return the values that nobody may read."""
    found = [commands.text.secrets for part in _parts(backend) for commands in part.values()]
    return tuple(dict.fromkeys(secret for values in found for secret in values))


def _methods(backend: ServiceBackend) -> list[str]:
    """Return the methods in the order of their groups: by first use in an action.

    What only ``prepare`` appended comes before, what only ``commit`` appended behind them. The lines of
    ``super().prepare()`` alone make no group, unless the backend forces it.
    """
    force = backend.force_empty_action_execution
    if not (backend.content or force):
        return []
    content = list(backend.content)
    ends = [
        [
            method
            for method, commands in part.items()
            if method not in content and (force or commands.is_explicit)
        ]
        for part in (backend.head, backend.tail)
    ]
    return list(dict.fromkeys([*ends[0], *content, *ends[1]]))


def _group(backend: ServiceBackend, method: str, has_secrets: bool) -> tuple[Group, str]:
    commands = [part[method] for part in _parts(backend) if method in part]
    end = _exit(backend, method)
    shown = _join([chunk for part in commands for chunk in part.text.shown()] + end) if has_secrets else ""
    text = _join([chunk for part in commands for chunk in part.text.take()] + end)
    calls = tuple(call for part in commands for call in part.calls)
    lines = [line for part in commands for line in part.shown_calls]
    shown = "\n".join(filter(None, [shown or text, *lines])) if lines else shown or text
    return Group(method, backend.script_executable if text else "", text, calls), shown


def _parts(backend: ServiceBackend) -> tuple[Part, Part, Part]:
    return backend.head, backend.content, backend.tail


def _exit(backend: ServiceBackend, method: str) -> list[str]:
    """Return the last line that a shell script needs when its ``commit`` did not write it."""
    is_begun = method in backend.head and backend.head[method].has_frame
    is_ended = method in backend.tail and backend.tail[method].has_frame
    return [_EXIT] if (is_begun or backend.may_fail) and not is_ended else []


def _join(chunks: list[str]) -> str:
    """Return lines joined; a local string grows in place while the chunks give their memory back."""
    text = ""
    chunks.reverse()
    while chunks:
        text += chunks.pop()
        text += "\n"
    return text
