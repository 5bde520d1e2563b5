"""generate(): what it costs besides the code of a backend's author (P5)."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

from orchestration import manager
from orchestration.backends import ServiceController
from orchestration.operations import Operation
from orchestration.router import Router, Target
from orchestration.scripts import Script
from orchestration.testing import registered
from tests.webapps.models import WebApp

from .table import Row, interleaved

FEW, MANY = 1_000, 100_000
TARGETS = (Target(route=1, server=1, server_name="web1"),)


class Bench(ServiceController):
    """What the backends below share: the context that the author builds."""

    abstract = True
    model = "webapps.WebApp"

    def get_context(self, obj: Any) -> dict[str, object]:
        root = f"/home/{obj.name}/web"
        enabled = f"/etc/nginx/sites-enabled/{obj.name}.conf"
        return {
            "user": obj.name,
            "root": root,
            "available": f"/etc/nginx/{obj.name}.conf",
            "enabled": enabled,
        }


def run() -> list[Row]:
    """Return the rows of P5."""

    class Templates(Bench):
        def save(self, obj: Any) -> None:
            context = self.get_context(obj)
            self.append("install -d -o %(user)s -- %(root)s", context)
            self.append("ln -sfn -- %(available)s %(enabled)s", context)

    class Classic(Bench):
        def save(self, obj: Any) -> None:
            context = self.get_context(obj)
            self.append(f"install -d -o {context['user']} -- {context['root']}")

    class Silent(Bench):
        def save(self, obj: Any) -> None:
            self.get_context(obj)

    with registered(Templates), registered(Classic), registered(Silent):
        return [*times(Templates, Classic, Silent), *growth(Templates)]


def operations(backend: type[ServiceController], count: int) -> list[Operation]:
    """Return saves of so many objects on one server."""
    return [
        Operation(backend, WebApp(pk=number, name=f"web{number}"), "save", targets=TARGETS)
        for number in range(count)
    ]


def generate(given: list[Operation]) -> list[Script]:
    """Generate scripts without looking at routes."""
    return manager.generate(given, router=Router())


def times(*backends: type[ServiceController]) -> list[Row]:
    """Measure an operation of each backend, less what its author's code takes alone."""
    given = {backend.get_name(): operations(backend, FEW) for backend in backends}
    author = backends[0]()
    seconds = interleaved(
        {
            "author": lambda: [author.get_context(operation.instance) for operation in given["Templates"]],
            **{name: lambda name=name: generate(given[name]) for name in given},
        }
    )
    cost = {name: (seconds[name] - seconds["author"]) / FEW * 1e6 for name in given}
    return [
        Row("P5", "an operation that fills two templates", cost["Templates"], limit=15),
        Row("P5", "an operation that appends one text", cost["Classic"], limit=15),
        Row("P5", "an operation that appends nothing", cost["Silent"], limit=15),
    ]


def growth(backend: type[ServiceController]) -> list[Row]:
    """Measure time and memory at 100,000 operations, beside the same ones in units of 1,000."""
    many = operations(backend, MANY)
    units = [many[start : start + FEW] for start in range(0, MANY, FEW)]
    seconds = interleaved(
        {"one": lambda: generate(many), "units": lambda: list(map(generate, units))}, rounds=5
    )
    one, each = (seconds[name] / MANY * 1e6 for name in ("one", "units"))
    peak, size = memory(many)
    return [
        Row("P5", "an operation of 100,000, author's code too", one, each, limit=1.2, peer_name="of 1,000"),
        Row("P5", "peak of memory", peak / 2**20, size / 2**20, "MiB", limit=2, peer_name="scripts"),
    ]


def memory(given: list[Operation]) -> tuple[int, int]:
    """Return the peak of what is allocated meanwhile, and the size of the scripts, in bytes."""
    tracemalloc.start()
    try:
        scripts = generate(given)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    texts = [group.text for script in scripts for section in script.sections for group in section.groups]
    return peak, sum(map(sys.getsizeof, texts))
