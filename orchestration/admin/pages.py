"""Pages of a list of any length, without counting it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.contrib.admin.views.main import PAGE_VAR
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

#: How many pages behind the shown one are looked for.
AHEAD = 5
#: Nobody turns more pages: filters are the way to old rows.
LAST = 100_000


class UncountedPaginator(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """Looks a few pages ahead of the shown one; a COUNT would read the whole table (lesson 34)."""

    def __init__(self, rows: QuerySet[Any], per_page: int, *, current: int) -> None:  # Any: of every model
        super().__init__(rows, per_page)
        self.rows, self.current = rows, current

    @classmethod
    def for_request(cls, request: HttpRequest, rows: QuerySet[Any], per_page: int) -> UncountedPaginator:
        """Return the paginator of the page that a request asks for."""
        page = request.GET.get(PAGE_VAR, "")
        # Python refuses to read numbers of thousands of digits.
        return cls(rows, per_page, current=min(max(int(page[:9]), 1), LAST) if page.isdecimal() else 1)

    @cached_property
    def count(self) -> int:
        """Return how many rows are known: those before the shown page, and those seen from it on."""
        before = (self.current - 1) * self.per_page
        seen = self.rows.values_list("pk", flat=True)[before : before + AHEAD * self.per_page + 1]
        return before + len(seen)

    @property
    def has_more(self) -> bool:
        """Tell whether there are rows behind those that were looked at."""
        return self.count > (self.current - 1 + AHEAD) * self.per_page
