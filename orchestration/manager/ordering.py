"""In which order the sections of a script stand: by first collection and ``after``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from orchestration.backends import ServiceBackend, after_all


class Sectionlike(Protocol):
    """What there is to know of a section before it is one."""

    backend: ServiceBackend
    #: All of its operations delete.
    is_deletion: bool


S = TypeVar("S", bound=Sectionlike)

#: Indexes of two sections: the first stands before the second.
Pairs = set[tuple[int, int]]


def ordered(sections: Sequence[S]) -> list[S]:
    """Return sections so that each stands behind those named in its ``after``, else as they came.

    What is only deleted goes the other way round: a site before the user it belongs to. When its user's
    section does more than delete, the site's still goes first, unless others forbid it.
    """
    must, wishes = _pairs(sections)
    remaining = list(range(len(sections)))
    order: list[S] = []
    while remaining:
        free = _free(remaining, must | wishes) or _free(remaining, must)
        chosen = (free or remaining)[0]
        remaining.remove(chosen)
        order.append(sections[chosen])
    return order


def needs(section: Sectionlike, sections: Sequence[Sectionlike]) -> tuple[int, ...]:
    """Return the indexes of the sections that must have succeeded before this one starts."""
    if section.is_deletion or not section.backend.after:
        return ()
    return tuple(
        index
        for index, other in enumerate(sections)
        if other.backend.get_name() in section.backend.after and not other.is_deletion
    )


def _pairs(sections: Sequence[Sectionlike]) -> tuple[Pairs, Pairs]:
    must, wishes = Pairs(), Pairs()
    indexes = {section.backend.get_name(): index for index, section in enumerate(sections)}
    for index, section in enumerate(sections):
        for name in after_all(type(section.backend)) & indexes.keys():
            other = indexes[name]
            if sections[other].is_deletion:
                must.add((index, other))
            elif section.is_deletion:
                wishes.add((index, other))
            else:
                must.add((other, index))
    return must, wishes


def _free(remaining: list[int], pairs: Pairs) -> list[int]:
    """Return those that need not stand behind another one that remains."""
    held = {behind for before, behind in pairs if before in remaining}
    return [index for index in remaining if index not in held]
