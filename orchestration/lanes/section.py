"""One section on its way: its jobs, what they print, and how they ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestration import payloads
from orchestration.exceptions import PayloadNewer, PayloadUnreadable
from orchestration.methods import SSH, Local
from orchestration.models import ScriptLog, Server
from orchestration.scripts import Done, Group, Job, Output, Section
from orchestration.settings import options
from orchestration.shell import mask

from .outcome import End, Kept, Outcome, conclude
from .output import Stream, storable

STDOUT, STDERR = 1, 2


@dataclass(frozen=True, slots=True)
class Step:
    """A job, and the name of the method that runs it."""

    method: str
    job: Job


@dataclass(slots=True)
class SectionRun:
    """A section of the script that runs now; its log is written by the recorder."""

    log: ScriptLog
    section: Section
    steps: tuple[Step, ...]
    #: The ends of jobs, of all sections of the script.
    ends: dict[str, End]
    streams: dict[tuple[str, int], Stream] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Tell whether all of its jobs have ended."""
        return all(step.job.id in self.ends for step in self.steps)

    def print(self, output: Output) -> None:
        """Take what a job printed."""
        self._stream(output.job, output.stream).add(output.data)

    def end(self, job: str, end: End) -> None:
        """Take how a job ended."""
        done = end if isinstance(end, Done) else Done(job)
        self._stream(job, STDOUT).close(done.stdout_size, done.stdout_tail)
        self._stream(job, STDERR).close(done.stderr_size, done.stderr_tail)
        self.ends[job] = self._masked(end) if isinstance(end, Done) else end

    def outcome(self, names: Mapping[str, str]) -> Outcome:
        """Return how it ended; ``names`` are the backends of jobs."""
        return conclude(self.section, [self.ends[step.job.id] for step in self.steps], names)

    def text(self, stream: int) -> str:
        """Return what can be read of a stream so far, of all jobs in order."""
        return "".join(self._stream(step.job.id, stream).text for step in self.steps)

    def size(self, stream: int) -> int:
        """Return the true size of a stream so far, in bytes."""
        return sum(self._stream(step.job.id, stream).size for step in self.steps)

    def _stream(self, job: str, stream: int) -> Stream:
        key = job, stream
        if key not in self.streams:
            secrets = self.section.secrets
            self.streams[key] = Stream(secrets, cap=options.OUTPUT_CAP, tail=options.OUTPUT_TAIL)
        return self.streams[key]

    def _masked(self, done: Done) -> Done:
        secrets = self.section.secrets
        return replace(
            done,
            error=storable(mask(done.error, secrets)),
            traceback=storable(mask(done.traceback, secrets)),
            notes=tuple(storable(mask(note, secrets)) for note in done.notes),
        )


def prepare(server: Server, logs: Sequence[ScriptLog]) -> list[SectionRun]:
    """Return the sections of a script that have not ended, ready to run."""
    ends: dict[str, End] = {}
    last_jobs: dict[int, str] = {}
    runs = []
    for log in logs:
        if log.is_finished:
            ends[log.uuid.hex] = Done(log.uuid.hex, status=0 if log.is_success else 1)
            last_jobs[log.position] = log.uuid.hex
        else:
            run = _prepare(server, log, last_jobs, ends)
            last_jobs[log.position] = run.steps[-1].job.id
            runs.append(run)
    return runs


def _prepare(
    server: Server, log: ScriptLog, last_jobs: Mapping[int, str], ends: dict[str, End]
) -> SectionRun:
    try:
        section = payloads.load(log.payload or b"", backend=log.backend)
        needs = tuple(last_jobs[position] for position in section.needs)
        return SectionRun(log, section, tuple(_steps(server, log, section, needs)), ends)
    except (PayloadUnreadable, UnicodeEncodeError) as error:
        job, is_for_others = Job(log.uuid.hex), isinstance(error, PayloadNewer)
        ends[job.id] = Kept(str(error)) if is_for_others else Done(job.id, error=str(error))
        return SectionRun(log, Section(log.backend, (), (), ""), (Step("", job),), ends)


def _steps(server: Server, log: ScriptLog, section: Section, needs: tuple[str, ...]) -> Iterator[Step]:
    """Yield the jobs of a section: the first needs what the section needs, each other the one before."""
    for number, group in enumerate(section.groups, start=1):
        job_id = log.uuid.hex if number == 1 else f"{log.uuid.hex}-{number}"
        text = group.text.encode(errors="surrogateescape")
        limits = {"idle": section.idle, "total": section.total}
        job = Job(job_id, group.executable, text, group.calls, needs, **limits)
        yield Step(_method(server, group), job)
        needs = (job_id,)


def _method(server: Server, group: Group) -> str:
    """Return the name of the method of a group: the server says what SSH means."""
    if group.method != SSH:
        return group.method
    return Local if server.connection == Server.Connection.LOCAL else options.SSH_METHOD
