"""Failures: what a person is told when a request was rolled back because orchestration failed."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .exceptions import OrchestrationError

TEMPLATE = "orchestration/failure.html"

#: Attributes of errors that staff sees, with their titles.
DETAILS: dict[str, str | Promise] = {
    "backend": gettext_lazy("Backend"),
    "action": gettext_lazy("Action"),
    "route": gettext_lazy("Route"),
    "instance": gettext_lazy("Object"),
    "character": gettext_lazy("Character"),
}


def respond(request: HttpRequest, error: OrchestrationError) -> HttpResponse:
    """Return the answer with status 500 that says so: a page, or JSON for programs; staff sees why."""
    drop_messages(request)
    message = _("Nothing was changed: the scripts for the servers could not be made.")
    is_staff = _is_staff(request)
    if wants_json(request):
        why = {"reason": str(error), **details(error)} if is_staff else {}
        response: HttpResponse = JsonResponse({"error": message, **why}, status=500)
    else:
        shown = {str(DETAILS[name]): value for name, value in details(error).items()}
        context = {"message": message, "error": error if is_staff else None, "details": shown}
        response = render(request, TEMPLATE, context, status=500)
    # The failure is reported already, with more than Django would say of it.
    response._has_been_logged = True  # type: ignore[attr-defined]  # where Django notes that
    return response


def details(error: OrchestrationError) -> dict[str, object]:
    """Return what an error knows about where it happened, by the names of DETAILS."""
    known = {name: getattr(error, name, None) for name in DETAILS}
    position = getattr(error, "position", None)
    # People count from one.
    known["character"] = None if position is None else position + 1
    return {name: value for name, value in known.items() if value is not None and value != ""}


def drop_messages(request: HttpRequest) -> None:
    """Forget the messages of this request: "was changed successfully" is not true any more."""
    storage = getattr(request, "_messages", None)
    if storage is not None:
        storage._queued_messages.clear()


def wants_json(request: HttpRequest) -> bool:
    """Tell whether a program asks, not a person with a browser."""
    return (
        request.headers.get("X-Requested-With") == "XMLHttpRequest"
        or request.content_type == "application/json"
        or request.get_preferred_type(["text/html", "application/json"]) == "application/json"
    )


def _is_staff(request: HttpRequest) -> bool:
    user = getattr(request, "user", None)
    # Users of a project's own may know neither.
    return bool(getattr(user, "is_active", False) and getattr(user, "is_staff", False))
