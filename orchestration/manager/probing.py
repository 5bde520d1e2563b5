"""Running operations that only look, without a unit of work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from uuid import uuid4

from orchestration import lanes
from orchestration.models import ScriptLog, Server
from orchestration.models.database import alias
from orchestration.operations import Operation
from orchestration.scripts import Script

from .generation import generate
from .queueing import as_log

#: Seconds that a look may take, unless the caller says otherwise.
LIMIT = 10.0


def is_probe(operation: Operation) -> bool:
    """Tell whether the backend lists the action as one that only looks."""
    return operation.action in operation.backend.probes


def probe(operations: Iterable[Operation], *, seconds: float = LIMIT) -> list[ScriptLog]:
    """Run operations at once and on no lane, each section for ``seconds`` at most; objects may be unsaved.

    Returns finished logs that are not stored, one for each server and backend; ERROR where a server could
    not be reached, none for inactive servers. Raises ForeignInstallation.
    """
    scripts = generate(list(operations))
    keys = [script.server for script in scripts]
    servers = Server.objects.using(alias()).filter(is_active=True).in_bulk(keys) if keys else {}
    return [log for script in scripts if script.server in servers for log in _run(script, servers, seconds)]


def _run(script: Script, servers: dict[int, Server], seconds: float) -> Iterator[ScriptLog]:
    unit = uuid4()
    sections = [replace(section, total=min(section.total, seconds)) for section in script.sections]
    logs = [as_log(script, section, position=place) for place, section in enumerate(sections)]
    for log in logs:
        log.unit = unit
    lanes.probe(servers[script.server], logs)
    yield from logs
