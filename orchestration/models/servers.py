"""Server: a machine that hosts services."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from orchestration.scripts import Host
from orchestration.settings import options

from .validators import host_key_lines, validate_address, validate_host_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models.deletion import Collector

#: How many unfinished logs a refused deletion shows.
SHOWN = 100


def os_choices() -> Sequence[tuple[str, str]]:
    """Return ORCHESTRATION_OS_CHOICES."""
    return options.OS_CHOICES


def default_os() -> str:
    """Return ORCHESTRATION_DEFAULT_OS."""
    return options.DEFAULT_OS


class ServerQuerySet(models.QuerySet["Server"]):
    """Servers, in bulk."""

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete all of them, or none when work waits or runs on one (ProtectedError)."""
        refuse_deletion(self)
        return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]  # Django's own mark for templates
    delete.queryset_only = True  # type: ignore[attr-defined]


class Server(models.Model):
    """A machine that hosts services."""

    class Connection(models.TextChoices):
        """How a server is reached."""

        SSH = "ssh", _("SSH")
        LOCAL = "local", _("this machine, without SSH")

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(_("name"), max_length=253, unique=True)
    address = models.CharField(
        _("address"),
        max_length=253,
        unique=True,
        null=True,
        blank=True,
        validators=[validate_address],
        help_text=_("IP address or host name; the name when empty."),
    )
    description = models.TextField(_("description"), blank=True)
    os = models.CharField(_("operating system"), max_length=32, choices=os_choices, default=default_os)
    port = models.PositiveIntegerField(
        _("port"), default=22, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    user = models.CharField(
        _("user"), max_length=64, blank=True, help_text=_("Login; that of the settings when empty.")
    )
    sudo = models.BooleanField(
        _("sudo"), default=False, help_text=_("Run scripts as root, by sudo without a password.")
    )
    connection = models.CharField(
        _("connection"), max_length=16, choices=Connection.choices, default=Connection.SSH
    )
    is_active = models.BooleanField(
        _("active"),
        default=True,
        help_text=_("Scripts of an inactive server wait; no request waits for them."),
    )
    host_keys = models.TextField(
        _("host keys"),
        blank=True,
        validators=[validate_host_keys],
        help_text=_(
            "Pinned public keys, one 'type base64' a line; '@cert-authority' in front of an authority."
        ),
    )

    objects = ServerQuerySet.as_manager()

    class Meta:
        verbose_name = _("server")
        verbose_name_plural = _("servers")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Accept an empty address when the name itself is a host name or an IP address."""
        super().clean()
        self.address = (self.address or "").strip() or None
        if self.address is None:
            self._validate_name()

    def _validate_name(self) -> None:
        try:
            validate_address(self.name)
        except ValidationError as error:
            message = _("Give an address: the name is neither a host name nor an IP address.")
            raise ValidationError({"address": message}) from error

    def save(self, *args: Any, **kwargs: Any) -> None:  # Any: Django's own signature
        """Store an empty address as NULL, so that several servers may have none."""
        self.address = self.address or None
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:  # Any: Django's own
        """Delete the server; ProtectedError when work waits or runs there. Its finished logs stay."""
        refuse_deletion(type(self)._base_manager.filter(pk=self.pk))
        return super().delete(*args, **kwargs)

    def get_address(self) -> str:
        """Return the address, or the name of a server that has none."""
        return self.address or self.name

    def get_ip(self) -> str:
        """Return the IP address; host names are looked up (OSError when unknown)."""
        address = self.get_address()
        try:
            return str(ipaddress.ip_address(address))
        except ValueError:
            return str(socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)[0][4][0])

    def as_host(self) -> Host:
        """Return what methods need to know of this server."""
        return Host(
            name=self.name,
            address=self.get_address(),
            port=self.port,
            user=self.user or options.SSH_DEFAULT_USER,
            sudo=self.sudo,
            host_keys=tuple(host_key_lines(self.host_keys)),
            server=self,
        )


def refuse_deletion(servers: models.QuerySet[Server]) -> None:
    """Raise ProtectedError, saying what, when work waits or runs on one of the servers."""
    logs: Any = Server._meta.get_field("logs").related_model  # Any: that module imports this one
    unfinished = logs._base_manager.filter(server__in=servers.values("pk"), state__in=logs.UNFINISHED)
    if count := unfinished.count():
        shown = list(unfinished[:SHOWN])
        message = _(
            "Cannot delete %(servers)s: %(count)d scripts wait or run there (%(scripts)s …). "
            "Let them finish, or cancel them, first."
        )
        names = ", ".join(sorted({log.server_name for log in shown}))
        words = {"servers": names, "count": count, "scripts": ", ".join(map(str, shown[:3]))}
        raise models.ProtectedError(message % words, set(shown))


def keep_finished(collector: Collector, field: Any, logs: Any, using: str) -> None:  # Any: as Django's own
    """Refuse the deletion of what unfinished logs point to; finished ones lose the pointer, and stay.

    An ``on_delete``: it also answers the admin, and whatever cascades to a server.
    """
    model = field.model
    unfinished = model._base_manager.using(using).filter(
        pk__in=logs.order_by().values("pk"), state__in=model.UNFINISHED
    )
    if shown := list(unfinished[:SHOWN]):
        raise models.ProtectedError(str(_("Scripts wait or run there.")), set(shown))
    collector.add_field_update(field, None, logs)


keep_finished.lazy_sub_objs = True  # type: ignore[attr-defined]  # as SET_NULL: thousands of logs are not loaded
