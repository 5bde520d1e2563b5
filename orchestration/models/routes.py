"""Route: which objects of a backend belong on which server."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .servers import Server


class Route(models.Model):
    """Sends the operations of a backend to a host, for the objects that match an expression."""

    id = models.BigAutoField(primary_key=True)
    backend = models.CharField(_("backend"), max_length=256)
    host = models.ForeignKey(Server, models.CASCADE, related_name="routes", verbose_name=_("host"))
    match = models.CharField(
        _("match"),
        max_length=1000,
        blank=True,
        default="True",
        help_text=_(
            "Python expression; <em>instance</em>, <em>obj</em> and the model's name are the object."
        ),
    )
    run_async = models.BooleanField(
        _("asynchronous"), default=False, help_text=_("No request waits for scripts of this route.")
    )
    async_actions = models.JSONField(
        _("asynchronous actions"), default=list, blank=True, help_text=_("Actions that no request waits for.")
    )
    is_active = models.BooleanField(_("active"), default=True)
    #: Why the expression failed when it was last used: shown until the route is saved again.
    broken = models.TextField(_("broken"), blank=True, editable=False)

    class Meta:
        verbose_name = _("route")
        verbose_name_plural = _("routes")
        ordering = ["backend", "id"]
        constraints = [models.UniqueConstraint(fields=["backend", "host"], name="orchestration_route_unique")]

    def __str__(self) -> str:
        return f"{self.backend}@{self.host}"
