"""How a section ended: the one place that decides the state of its log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestration.models import ScriptLog
from orchestration.scripts import Done, Section


@dataclass(frozen=True, slots=True)
class Kept:
    """A job that certainly did not run, and shall be tried again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A job whose end nobody saw."""

    reason: str


End = Done | Kept | Lost


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is written into the log of a section."""

    state: ScriptLog.State
    reason: str = ""
    exit_code: int | None = None
    traceback: str = ""
    results: dict[str, object] = field(default_factory=dict)

    @property
    def is_kept(self) -> bool:
        """Tell whether the section waits again."""
        return self.state == ScriptLog.RECEIVED


def is_success(end: End | None) -> bool:
    """Tell whether a job ended well."""
    return isinstance(end, Done) and end.is_success


def conclude(section: Section, ends: Sequence[End], names: Mapping[str, str]) -> Outcome:
    """Return how a section ended whose jobs ended so, in order; ``names`` are the backends of jobs."""
    decisive = next((end for end in ends if not is_success(end)), ends[-1])
    state, reason, exit_code = _verdict(section, decisive, names)
    if state == ScriptLog.RECEIVED:
        return Outcome(state, reason)
    done = [end for end in ends if isinstance(end, Done)]
    return Outcome(
        state,
        " ".join([reason, *(note for end in done for note in end.notes)]).strip(),
        exit_code,
        "".join(end.traceback for end in done),
        {key: value for end in done for key, value in end.results.items()},
    )


def _verdict(section: Section, end: End, names: Mapping[str, str]) -> tuple[ScriptLog.State, str, int | None]:
    """Return the state, its reason, and the exit code (negative: the signal)."""
    match end:
        case Kept(reason):
            return ScriptLog.RECEIVED, reason, None
        case Lost(reason):
            return ScriptLog.ABORTED, reason, None
        case Done(status=0):
            return ScriptLog.SUCCESS, "", 0
        case Done(skipped=str(job)) if job:
            return ScriptLog.REVOKED, f"Needs {names.get(job, job)}, which did not succeed.", None
        case Done(error=str(sentence)) if sentence:
            return ScriptLog.ERROR, sentence, None
        case Done(limit="idle"):
            return ScriptLog.TIMEOUT, f"Killed after {section.idle:g} seconds without output.", _code(end)
        case Done(limit="total"):
            return ScriptLog.TIMEOUT, f"Killed at its limit of {section.total:g} seconds.", _code(end)
        case Done():
            return ScriptLog.FAILURE, "", _code(end)


def _code(end: Done) -> int | None:
    return -end.signal if end.signal else end.status
