"""Installation: the name of the one installation that may act on the servers of this database."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Installation(models.Model):
    """A single row (pk 1): a copy of the database elsewhere has another name, and must not act."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    name = models.CharField(_("name"), max_length=128)
    adopted_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("installation")
        verbose_name_plural = _("installations")

    def __str__(self) -> str:
        return self.name
