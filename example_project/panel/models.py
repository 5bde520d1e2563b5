"""What customers have: logins, websites, DNS zones, databases, mailboxes."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F
from django.db.models.functions import Greatest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from . import records
from .validators import (
    validate_database_name,
    validate_host_name,
    validate_mail_address,
    validate_not_reserved_database,
    validate_not_reserved_user,
    validate_record_name,
    validate_user_name,
)


class Account(models.Model):
    """A customer, who owns all the rest."""

    name = models.CharField(_("name"), max_length=64, unique=True)
    email = models.EmailField(_("e-mail"), blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        ordering = ["name"]

    def __str__(self):
        return self.name


class SystemUser(models.Model):
    """A login with a home folder on the web servers."""

    class Shell(models.TextChoices):
        NONE = "/usr/sbin/nologin", _("no login")
        BASH = "/bin/bash", "bash"

    account = models.ForeignKey(Account, models.CASCADE, related_name="users", verbose_name=_("account"))
    name = models.CharField(
        _("name"), max_length=31, unique=True, validators=[validate_user_name, validate_not_reserved_user]
    )
    shell = models.CharField(_("shell"), max_length=32, choices=Shell.choices, default=Shell.NONE)

    class Meta:
        verbose_name = _("system user")
        verbose_name_plural = _("system users")
        ordering = ["name"]

    def __str__(self):
        return self.name


class Website(models.Model):
    """A website: files in the home of a system user, shown under some domains."""

    class Kind(models.TextChoices):
        STATIC = "static", _("static files")
        PHP = "php", "PHP"

    name = models.CharField(
        _("name"),
        max_length=31,
        unique=True,
        validators=[validate_user_name],
        help_text=_("Names its folder and its files on the server."),
    )
    user = models.ForeignKey(
        SystemUser, models.PROTECT, related_name="websites", verbose_name=_("system user")
    )
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices, default=Kind.STATIC)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("website")
        verbose_name_plural = _("websites")
        ordering = ["name"]

    def __str__(self):
        return self.name


class Domain(models.Model):
    """A host name under which a website answers."""

    website = models.ForeignKey(Website, models.CASCADE, related_name="domains", verbose_name=_("website"))
    name = models.CharField(_("name"), max_length=253, unique=True, validators=[validate_host_name])

    class Meta:
        verbose_name = _("domain")
        verbose_name_plural = _("domains")
        ordering = ["name"]

    def __str__(self):
        return self.name


def first_serial():
    """Return today's first serial, as RFC 1912 recommends: YYYYMMDDnn."""
    return int(timezone.now().strftime("%Y%m%d00"))


class Zone(models.Model):
    """A DNS zone that our name servers answer for."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="zones", verbose_name=_("account"))
    name = models.CharField(_("name"), max_length=253, unique=True, validators=[validate_host_name])
    name_server = models.CharField(
        _("name server"), max_length=253, default="ns1.example.net", validators=[validate_host_name]
    )
    ttl = models.PositiveIntegerField(
        _("TTL"),
        default=3600,
        validators=[MinValueValidator(60), MaxValueValidator(604800)],
        help_text=_("Seconds for which others may remember an answer."),
    )
    serial = models.PositiveBigIntegerField(_("serial"), default=first_serial, editable=False)

    class Meta:
        verbose_name = _("zone")
        verbose_name_plural = _("zones")
        ordering = ["name"]

    def __str__(self):
        return self.name

    def save(self, **kwargs):
        """Raise the serial with every change, or secondary name servers would not notice it."""
        if not self._state.adding:
            self.raise_serial()
        super().save(**kwargs)

    def raise_serial(self):
        """Count in the database: two requests never give the same serial."""
        higher = Greatest(F("serial") + 1, first_serial())
        Zone.objects.filter(pk=self.pk).update(serial=higher)
        self.refresh_from_db(fields=["serial"])


class Record(models.Model):
    """A line of a zone."""

    zone = models.ForeignKey(Zone, models.CASCADE, related_name="records", verbose_name=_("zone"))
    name = models.CharField(_("name"), max_length=253, default="@", validators=[validate_record_name])
    type = models.CharField(_("type"), max_length=8, choices=records.TYPES, default="A")
    value = models.CharField(_("value"), max_length=1024)

    class Meta:
        verbose_name = _("record")
        verbose_name_plural = _("records")
        ordering = ["name", "type", "value"]
        constraints = [
            models.UniqueConstraint(fields=["zone", "name", "type", "value"], name="panel_record_unique")
        ]

    def __str__(self):
        return f"{self.name} {self.type} {self.value}"

    def clean(self):
        """Check the value by the type of the record."""
        try:
            records.VALIDATORS.get(self.type, records.validate_text)(self.value)
        except ValidationError as error:
            raise ValidationError({"value": error.messages}) from error

    def save(self, **kwargs):
        super().save(**kwargs)
        self.zone.raise_serial()

    def delete(self, **kwargs):
        deleted = super().delete(**kwargs)
        self.zone.raise_serial()
        return deleted


class DatabaseUser(models.Model):
    """A login of the database server."""

    account = models.ForeignKey(
        Account, models.CASCADE, related_name="database_users", verbose_name=_("account")
    )
    name = models.CharField(
        _("name"), max_length=32, unique=True, validators=[validate_database_name, validate_not_reserved_user]
    )
    password = models.CharField(_("password"), max_length=128, editable=False, help_text=_("A hash."))

    class Meta:
        verbose_name = _("database user")
        verbose_name_plural = _("database users")
        ordering = ["name"]

    def __str__(self):
        return self.name


class Database(models.Model):
    """A database, and who may use it."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="databases", verbose_name=_("account"))
    name = models.CharField(
        _("name"),
        max_length=32,
        unique=True,
        validators=[validate_database_name, validate_not_reserved_database],
    )
    users = models.ManyToManyField(
        DatabaseUser, blank=True, related_name="databases", verbose_name=_("users")
    )

    class Meta:
        verbose_name = _("database")
        verbose_name_plural = _("databases")
        ordering = ["name"]

    def __str__(self):
        return self.name


class Mailbox(models.Model):
    """A mailbox, which is also its first address."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="mailboxes", verbose_name=_("account"))
    address = models.CharField(_("address"), max_length=254, unique=True, validators=[validate_mail_address])
    password = models.CharField(_("password"), max_length=128, editable=False, help_text=_("A hash."))
    quota = models.PositiveIntegerField(_("quota"), default=1024, help_text=_("Megabytes; 0 is no limit."))

    class Meta:
        verbose_name = _("mailbox")
        verbose_name_plural = _("mailboxes")
        ordering = ["address"]

    def __str__(self):
        return self.address


class Alias(models.Model):
    """Another address of a mailbox."""

    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="aliases", verbose_name=_("mailbox"))
    address = models.CharField(_("address"), max_length=254, unique=True, validators=[validate_mail_address])

    class Meta:
        verbose_name = _("alias")
        verbose_name_plural = _("aliases")
        ordering = ["address"]

    def __str__(self):
        return self.address

    def clean(self):
        """Refuse an address that is a mailbox already."""
        if Mailbox.objects.filter(address=self.address).exists():
            raise ValidationError({"address": _("There is a mailbox of this address.")})
