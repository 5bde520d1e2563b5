"""Route: which objects of a backend belong on which server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any  # Any: signatures of Django's own

from django.core.exceptions import ValidationError
from django.db import models, router, transaction
from django.utils.translation import gettext_lazy as _

from orchestration import backends
from orchestration.exceptions import BackendUnknown, ExpressionFailed, RouteBroken, UnsafeExpression
from orchestration.expressions import Expression, compile_expression

from .servers import Server

if TYPE_CHECKING:
    from orchestration.backends import ServiceBackend
    from orchestration.operations import Operation

#: How many of the oldest and of the newest objects an expression is tried on when its route is saved.
SAMPLE = 20

#: Routes by backend, as `RouteQuerySet.get_for_operation` keeps them.
Cache = dict[str, list["Route"]]
_LOADED = ""


class RouteQuerySet(models.QuerySet["Route"]):
    """Routes, by what they do."""

    def active(self) -> RouteQuerySet:
        """Return those that may match."""
        return self.filter(is_active=True)

    def get_for_operation(self, operation: Operation, cache: Cache | None = None) -> list[Route]:
        """Return the active routes that match, in the order of their servers.

        A dictionary given as ``cache`` is filled once and then read. RouteBroken when one cannot tell.
        """
        cache = {} if cache is None else cache
        if _LOADED not in cache:
            cache[_LOADED] = list(self.active().select_related("host").order_by("host_id"))
            for route in cache[_LOADED]:
                cache.setdefault(route.backend, []).append(route)
        candidates = cache.get(operation.backend.get_name(), [])
        return [route for route in candidates if route.matches(operation.instance)]


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

    objects = RouteQuerySet.as_manager()

    class Meta:
        verbose_name = _("route")
        verbose_name_plural = _("routes")
        ordering = ["backend", "id"]
        constraints = [models.UniqueConstraint(fields=["backend", "host"], name="orchestration_route_unique")]

    def __str__(self) -> str:
        return f"{self.backend}@{self.host}"

    def clean(self) -> None:
        """Check backend, actions and expression; the expression is tried on the oldest and newest objects."""
        super().clean()
        backend = self._installed_backend()
        if backend is None:
            return
        self.match = self.match.strip() or backend.default_route_match
        self._clean_async_actions(backend)
        try:
            self._try_expression(backend)
        except UnsafeExpression as error:
            raise ValidationError({"match": explain(error)}) from error

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save it as whole again: ``broken`` is cleared. An empty expression matches everything."""
        self.match = self.match.strip() or "True"
        self.broken = ""
        if kwargs.get("update_fields") is not None:
            kwargs["update_fields"] = {*kwargs["update_fields"], "broken"}
        super().save(*args, **kwargs)

    def matches(self, instance: models.Model) -> bool:
        """Tell whether an object belongs on the host; RouteBroken when the expression cannot tell."""
        try:
            return compile_expression(self.match, self._names(instance)).matches(instance)
        except (UnsafeExpression, ExpressionFailed) as error:
            raise broken(self.pk or 0, str(self), instance, error) from error

    def enable(self) -> None:
        """Let it match again."""
        self.is_active = True
        self.save(update_fields=["is_active"])

    def disable(self) -> None:
        """Let it match nothing; what waits already is not touched."""
        self.is_active = False
        self.save(update_fields=["is_active"])

    def action_is_async(self, action: str) -> bool:
        """Tell whether no request waits for this action."""
        return self.run_async or action in self.async_actions

    def _names(self, instance: models.Model) -> tuple[str, ...]:
        try:
            return names_of(backends.find(self.backend))
        except BackendUnknown:
            return (str(instance._meta.model_name),)

    def _installed_backend(self) -> type[ServiceBackend] | None:
        """Return the backend; None for one that was uninstalled since the route was made."""
        try:
            return backends.find(self.backend)
        except BackendUnknown as error:
            before = type(self)._base_manager.filter(pk=self.pk, backend=self.backend)
            if not self._state.adding and before.exists():
                return None
            raise ValidationError({"backend": str(error)}) from error

    def _clean_async_actions(self, backend: type[ServiceBackend]) -> None:
        if not isinstance(self.async_actions, list):
            raise ValidationError({"async_actions": _("Give a list of actions.")})
        known = backend.get_actions()
        unknown = [str(action) for action in self.async_actions if action not in known]
        if unknown:
            message = _("%(backend)s has no action %(unknown)s; it has %(known)s.")
            words = {"backend": self.backend, "unknown": ", ".join(unknown), "known": ", ".join(known)}
            raise ValidationError({"async_actions": message % words})

    def _try_expression(self, backend: type[ServiceBackend]) -> None:
        expression = compile_expression(self.match, names_of(backend))
        model = backend.model_class()
        using = router.db_for_write(model)
        with transaction.atomic(using=using):
            for instance in sample(model, using):
                _try_on(instance, expression)
            transaction.set_rollback(True, using=using)


def _try_on(instance: models.Model, expression: Expression) -> None:
    try:
        expression.matches(instance)
    except (UnsafeExpression, ExpressionFailed) as error:
        message = _("It fails for %(object)s: %(error)s")
        params = {"object": _describe(instance), "error": explain(error)}
        raise ValidationError({"match": message % params}) from error


def sample(model: type[models.Model], using: str) -> Iterator[models.Model]:
    """Yield the oldest and the newest objects of a model, `SAMPLE` of each at most."""
    rows = model._base_manager.using(using)
    oldest = list(rows.order_by("pk")[:SAMPLE])
    yield from oldest
    yield from [instance for instance in rows.order_by("-pk")[:SAMPLE] if instance not in oldest]


def names_of(backend: type[ServiceBackend]) -> tuple[str, ...]:
    """Return the names that expressions of a backend's routes may use besides the general ones."""
    return (backend.model.rpartition(".")[2].lower(),)


def broken(
    route: int, title: str, instance: models.Model, error: UnsafeExpression | ExpressionFailed
) -> RouteBroken:
    """Return the error that names route, object and position."""
    what = _describe(instance)
    message = f"The expression of route {title} failed for {what}: {explain(error)}"
    return RouteBroken(message, route=route, instance=what, position=error.position)


def explain(error: UnsafeExpression | ExpressionFailed) -> str:
    """Return the message of an error with its position, for people: they count from 1."""
    if error.position is None:
        return str(error)
    return f"{error} (character {error.position + 1})"


def _describe(instance: models.Model) -> str:
    kind = str(instance._meta.verbose_name)
    try:
        return f"{kind} '{instance}'"[:200]
    except Exception:  # noqa: BLE001  a broken __str__ must not hide what was wrong before
        return f"{kind} {instance.pk}"
