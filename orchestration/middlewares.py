"""OperationsMiddleware: every request that may change something is one unit of work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.db import transaction
from django.http import HttpRequest, HttpResponseServerError
from django.http.response import HttpResponseBase

from . import collector, executors, failures, notices
from .exceptions import OrchestrationError
from .lanes.installation import is_disabled
from .models.database import alias
from .settings import options

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

View = Callable[..., object]


class OperationsMiddleware:
    """Commit what a request changed together with the scripts that it asks for; then wait for them.

    The last one in MIDDLEWARE: further out it would not see exceptions that others turn into answers.
    Everything is rolled back when the view raised, answered 500 or more, or marked the connection for
    rollback, and when a route or backend failed; safe methods and ``non_atomic_requests`` open nothing.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._using = alias()
        if not is_disabled():
            # Take up what an earlier process left behind, before anything new is saved.
            executors.start()
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
            # Django would run a sync one in a thread, also for the requests that open no unit.
            self.process_view = self.aprocess_view  # type: ignore[assignment]  # as Django calls it

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer a request; its unit ends before the answer leaves."""
        if self._is_async:
            return self._call_async(request)
        with collector.Request(request.path):
            try:
                response: HttpResponseBase = self.get_response(request)
            except BaseException as error:
                if unit := RequestUnit.of(request):
                    unit.abandon(error)
                raise
            unit = RequestUnit.of(request)
            return unit.answer(response) if unit else response

    async def _call_async(self, request: HttpRequest) -> HttpResponseBase:
        with collector.Request(request.path):
            try:
                response: HttpResponseBase = await self.get_response(request)
            except BaseException as error:
                if unit := RequestUnit.of(request):
                    await sync_to_async(unit.abandon)(error)
                raise
            unit = RequestUnit.of(request)
            return await sync_to_async(unit.answer)(response) if unit else response

    def process_view(self, request: HttpRequest, view: View, args: object, kwargs: object) -> None:
        """Open the unit: here, so that rejections before the view (CSRF, login, 404) cost nothing."""
        if self._needs_unit(request, view):
            RequestUnit.enter(request, self._using)

    async def aprocess_view(self, request: HttpRequest, view: View, args: object, kwargs: object) -> None:
        """Do as ``process_view``, in the thread in which async views do their ORM."""
        if self._needs_unit(request, view):
            await sync_to_async(RequestUnit.enter)(request, self._using)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseServerError | None:
        """Remember that the view raised: what comes back to ``__call__`` is an answer already."""
        unit = RequestUnit.of(request)
        if unit is None:
            return None
        unit.error = error
        # An empty answer keeps Django from reporting the failure a second time; a page replaces it.
        return HttpResponseServerError() if isinstance(error, OrchestrationError) else None

    def _needs_unit(self, request: HttpRequest, view: View) -> bool:
        if request.method in SAFE_METHODS:
            return False
        # Where Django keeps what the decorator was given.
        return self._using not in getattr(view, "_non_atomic_requests", ())


class RequestUnit:
    """The unit of a request, from before its view until its answer is ready to be sent."""

    def __init__(self, request: HttpRequest, using: str) -> None:
        self.error: BaseException | None = None
        self._request = request
        self._unit = collector.Unit(using, origin=request.path)
        self._block = collector.work(self._unit)

    @classmethod
    def enter(cls, request: HttpRequest, using: str) -> None:
        """Begin the unit of a request."""
        unit = cls(request, using)
        unit._block.__enter__()
        request._orchestration = unit  # type: ignore[attr-defined]  # ours

    @staticmethod
    def of(request: HttpRequest) -> RequestUnit | None:
        """Return the unit of a request, if it has begun one."""
        return getattr(request, "_orchestration", None)

    def abandon(self, error: BaseException) -> None:
        """Roll back after an error."""
        self._block.__exit__(type(error), error, error.__traceback__)

    def answer(self, response: HttpResponseBase) -> HttpResponseBase:
        """Commit or roll back, and return what the person gets to see."""
        try:
            self._leave(response)
        except Exception as error:
            if self._unit.error is not error:
                failures.drop_messages(self._request)
                raise
        if self._unit.error is not None:
            return failures.respond(self._request, self._unit.error)
        if self._unit.is_committed and self._unit.queued is not None:
            self._unit.wait(options.REQUEST_WAIT)
            notices.add(self._request, self._unit.logs)
        return response

    def _leave(self, response: HttpResponseBase) -> None:
        # Not evaluated here: nobody needs to know when there is nothing to do.
        self._unit.user = getattr(self._request, "user", None)
        if self.error is not None:
            self.abandon(self.error)
            return
        if response.status_code >= 500:
            transaction.set_rollback(True, using=self._unit.using)
        self._block.__exit__(None, None, None)
