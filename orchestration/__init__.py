"""Keep real servers in step with a Django database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .backends import ServiceBackend, ServiceController
from .operations import Operation
from .shell import Raw, Secret, replace, sh

if TYPE_CHECKING:
    from .collector import orchestrate

__all__ = [
    "Operation",
    "Raw",
    "Secret",
    "ServiceBackend",
    "ServiceController",
    "orchestrate",
    "replace",
    "sh",
]


def __getattr__(name: str) -> object:
    """Load ``orchestrate`` when it is first used: what it needs are models, which come later."""
    if name == "orchestrate":
        from .collector import orchestrate  # noqa: PLC0415  models cannot load while apps do

        return orchestrate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
