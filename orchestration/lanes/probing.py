"""Running sections that only look: at once, on no lane, and without a row."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.utils import timezone

from orchestration.models import ScriptLog, Server

from . import installation
from .outcome import Outcome
from .running import ScriptRun
from .section import STDERR, STDOUT, SectionRun, prepare


def probe(server: Server, logs: Sequence[ScriptLog]) -> None:
    """Run the sections of logs that are not stored, and fill these in; nothing is tried again.

    Raises ForeignInstallation when this process may not reach the servers of its database.
    """
    sections = prepare(server, logs)
    if not sections:
        return
    installation.check()
    # A lane of its own: methods and far ends know no other way than lanes.
    ScriptRun(server, sections, lane=uuid.uuid4().hex, epoch=1, tick=lambda: None).run()
    names = {step.job.id: run.log.backend for run in sections for step in run.steps}
    for run in sections:
        _fill(run, run.outcome(names))


def _fill(run: SectionRun, outcome: Outcome) -> None:
    log = run.log
    log.state = ScriptLog.ERROR if outcome.is_kept else outcome.state
    log.reason, log.exit_code = outcome.reason, outcome.exit_code
    log.traceback, log.results = outcome.traceback, outcome.results
    log.stdout, log.stderr = run.text(STDOUT), run.text(STDERR)
    log.stdout_size, log.stderr_size = run.size(STDOUT), run.size(STDERR)
    log.payload, log.finished_at = None, timezone.now()
