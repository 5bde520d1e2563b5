"""ScriptLog: the row of one section; OperationLog: what it did to which object."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils.translation import gettext_lazy as _

from .lanes import Lane
from .routes import Route
from .servers import Server, keep_finished


class ScriptLogQuerySet(models.QuerySet["ScriptLog"]):
    """Logs, by what is known of their end."""

    def waiting(self) -> ScriptLogQuerySet:
        """Return those that have not started."""
        return self.filter(state=ScriptLog.State.RECEIVED)

    def running(self) -> ScriptLogQuerySet:
        """Return those that have started and not ended."""
        return self.filter(state=ScriptLog.State.STARTED)

    def unfinished(self) -> ScriptLogQuerySet:
        """Return those that wait or run."""
        return self.filter(state__in=ScriptLog.UNFINISHED)

    def failed(self) -> ScriptLogQuerySet:
        """Return those that a person should look at."""
        return self.filter(state__in=ScriptLog.RED)


class ScriptLog(models.Model):
    """One section of a script: waiting, running or finished."""

    class State(models.TextChoices):
        """What is known of a section."""

        RECEIVED = "RECEIVED", _("waiting")
        STARTED = "STARTED", _("running")
        SUCCESS = "SUCCESS", _("success")
        FAILURE = "FAILURE", _("failure")
        TIMEOUT = "TIMEOUT", _("timeout")
        ERROR = "ERROR", _("error")
        ABORTED = "ABORTED", _("aborted")
        REVOKED = "REVOKED", _("revoked")
        NOTHING = "NOTHING", _("nothing")

    RECEIVED, STARTED, SUCCESS = State.RECEIVED, State.STARTED, State.SUCCESS
    FAILURE, TIMEOUT, ERROR, ABORTED = State.FAILURE, State.TIMEOUT, State.ERROR, State.ABORTED
    REVOKED, NOTHING = State.REVOKED, State.NOTHING
    #: The classic name of ERROR.
    EXCEPTION = State.ERROR

    UNFINISHED = (State.RECEIVED, State.STARTED)
    RED = (State.FAILURE, State.TIMEOUT, State.ERROR, State.ABORTED)

    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    backend = models.CharField(_("backend"), max_length=256)
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.RECEIVED)
    #: Why it waits, was revoked or aborted, as a sentence.
    reason = models.TextField(_("reason"), blank=True)

    server = models.ForeignKey(
        Server, keep_finished, null=True, related_name="logs", verbose_name=_("server")
    )
    server_name = models.CharField(_("server name"), max_length=253)
    lane = models.ForeignKey(Lane, models.SET_NULL, null=True, related_name="logs", verbose_name=_("lane"))
    #: The script's place in its lane, and the section's place in its script; both from 0 or 1 without gaps.
    number = models.PositiveBigIntegerField(_("number"), null=True)
    position = models.PositiveIntegerField(_("position"), default=0)
    #: The same backend's section on the server before, which must have ended first (``serialize``).
    follows = models.ForeignKey("self", models.SET_NULL, null=True, related_name="followers")

    unit = models.UUIDField(_("unit of work"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("user")
    )
    #: Request path without query, name of the command, or name of the task.
    origin = models.CharField(_("origin"), max_length=255, blank=True)
    route = models.ForeignKey(Route, models.SET_NULL, null=True, related_name="+", verbose_name=_("route"))
    #: Nobody waits for it.
    background = models.BooleanField(_("background"), default=False)

    attempt = models.PositiveIntegerField(_("attempt"), default=0)
    not_before = models.DateTimeField(_("not before"), null=True)
    retry_of = models.ForeignKey(
        "self", models.SET_NULL, null=True, related_name="retries", verbose_name=_("retry of")
    )
    #: Epoch of the lease under which it was started: a result of an earlier owner is refused.
    epoch = models.PositiveBigIntegerField(default=0)

    #: What people see: secrets masked.
    script = models.TextField(_("script"), blank=True)
    #: What runs, encrypted; empty when it is not needed any more.
    payload = models.BinaryField(null=True, editable=False)

    stdout = models.TextField(_("output"), blank=True)
    stderr = models.TextField(_("error output"), blank=True)
    #: True sizes in bytes; what is kept may be less.
    stdout_size = models.PositiveBigIntegerField(default=0)
    stderr_size = models.PositiveBigIntegerField(default=0)
    traceback = models.TextField(_("traceback"), blank=True)
    #: Exit status; negative: the signal that killed it.
    exit_code = models.IntegerField(_("exit code"), null=True)
    results = models.JSONField(_("results"), default=dict, blank=True)

    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    started_at = models.DateTimeField(_("started"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)

    objects = ScriptLogQuerySet.as_manager()

    class Meta:
        verbose_name = _("script log")
        verbose_name_plural = _("script logs")
        ordering = ["-id"]
        get_latest_by = "id"
        indexes = [
            models.Index(fields=["lane", "state", "number"], name="orchestration_log_head"),
            models.Index(fields=["state", "not_before"], name="orchestration_log_due"),
            models.Index(fields=["unit"], name="orchestration_log_unit"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["lane", "number", "position"], name="orchestration_log_place")
        ]

    def __str__(self) -> str:
        return f"{self.backend} @ {self.server_name}"

    @property
    def is_finished(self) -> bool:
        """Tell whether nothing more will happen to it."""
        return self.state not in self.UNFINISHED

    @property
    def has_failed(self) -> bool:
        """Tell whether a person should look at it."""
        return self.state in self.RED

    @property
    def is_success(self) -> bool:
        """Tell whether it did what it should, or had nothing to do."""
        return self.state in (self.State.SUCCESS, self.State.NOTHING)


class OperationLog(models.Model):
    """One operation of a section; it outlives its object."""

    id = models.BigAutoField(primary_key=True)
    log = models.ForeignKey(ScriptLog, models.CASCADE, related_name="operations", verbose_name=_("log"))
    backend = models.CharField(_("backend"), max_length=256)
    action = models.CharField(_("action"), max_length=64)
    content_type = models.ForeignKey(ContentType, models.SET_NULL, null=True, related_name="+")
    #: Any kind of key as text; empty for an object that was never saved.
    object_id = models.CharField(max_length=255, blank=True)
    instance = GenericForeignKey("content_type", "object_id")
    instance_repr = models.CharField(_("object"), max_length=255)
    #: What the operation is about, whatever the object's key: by default its text.
    identity = models.CharField(_("identity"), max_length=255, blank=True)

    class Meta:
        verbose_name = _("operation")
        verbose_name_plural = _("operations")
        ordering = ["id"]
        indexes = [models.Index(fields=["content_type", "object_id"], name="orchestration_op_object")]

    def __str__(self) -> str:
        return f"{self.backend}.{self.action}({self.instance_repr})"
