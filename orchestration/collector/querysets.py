"""OrchestratedQuerySet: bulk changes, which send no signals, collected like single ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Model, QuerySet

from .journal import Saved
from .outside import find_unit
from .receivers import touch
from .snapshots import snapshot
from .units import Unit
from .watching import watches

AnyModel = TypeVar("AnyModel", bound=Model)


class OrchestratedQuerySet(QuerySet[AnyModel]):
    """For models whose bulk changes matter: ``objects = OrchestratedQuerySet.as_manager()``.

    ``update()`` and ``bulk_update()`` first read the keys of what they change. ``bulk_create()`` with
    ``ignore_conflicts`` asks for nothing where Django does not know what was created.
    """

    def update(self, **values: Any) -> int:
        """Update all objects, and note that each was saved."""
        unit = self._find_unit()
        with transaction.atomic(using=self._database(), savepoint=False):
            keys = tuple(self.values_list("pk", flat=True)) if unit is not None else ()
            count = super().update(**values)
            if unit is not None:
                touch(unit, self.model, keys)
        return count

    update.alters_data = True  # type: ignore[attr-defined]  # templates must not call it

    def bulk_create(self, objs: Iterable[AnyModel], *args: Any, **options: Any) -> list[AnyModel]:
        """Create all objects, and note that each was saved."""
        unit = self._find_unit()
        with transaction.atomic(using=self._database(), savepoint=False):
            created = super().bulk_create(objs, *args, **options)
            known = [obj for obj in created if obj.pk is not None]
            if unit is not None and options.get("update_conflicts"):
                touch(unit, self.model, tuple(obj.pk for obj in known))
            elif unit is not None:
                for obj in known:
                    unit.append(Saved(snapshot(obj, unit.using), is_new=True, had_key=False))
        return created

    def _database(self) -> str:
        self._for_write = True
        return self.db

    def _find_unit(self) -> Unit | None:
        watch = watches.find(self.model)
        return find_unit(self.model, self._database()) if watch is not None and watch.has_subjects else None
