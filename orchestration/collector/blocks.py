"""orchestrate(): a unit of work outside requests, as ``with`` or ``async with`` block or as decorator."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections, transaction

from orchestration.exceptions import UnitClosed
from orchestration.models.database import alias

from . import outside, units
from .units import Unit

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

P = ParamSpec("P")
R = TypeVar("R")


class orchestrate:  # noqa: N801  used like contextlib's context managers
    """Make a block one unit of work: its changes and the scripts they ask for are committed together.

    Inside another unit it is a savepoint of that one: it gets the same ``Unit``, and what it asks for is
    forgotten when it raises. Else leaving it commits, then waits until its scripts that are not background
    have ended; ``unit.logs`` has them. Inside a transaction of somebody else they run after their COMMIT.
    An ``async with`` block of its own does its ORM in a thread of its own.
    """

    def __init__(self, *, user: AbstractBaseUser | None = None, origin: str = "") -> None:
        self._user, self._origin = user, origin
        self._block: AbstractContextManager[Unit] | None = None
        self._thread: _OwnThread | None = None

    @staticmethod
    def disabled() -> AbstractContextManager[None]:
        """Return a block in which changes ask for nothing."""
        return outside.disabled()

    def __enter__(self) -> Unit:
        if self._block is not None:
            raise UnitClosed("This orchestrate() is in use: call it anew for each block.")
        self._block = self._make_block()
        return self._block.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._block is None:
            raise UnitClosed("This orchestrate() was not entered.")
        block, self._block = self._block, None
        return block.__exit__(kind, error, trace)

    async def __aenter__(self) -> Unit:
        if not await sync_to_async(_is_busy)():
            self._thread = _OwnThread()
            await self._thread.enter()
        try:
            return await sync_to_async(self.__enter__)()
        except BaseException:
            await self._leave_thread()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            return await sync_to_async(self.__exit__)(kind, error, trace)
        finally:
            await self._leave_thread()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Make each call of a function, sync or async, a unit of work."""
        if isgeneratorfunction(function) or isasyncgenfunction(function):
            raise UnitClosed("A generator runs when its call has ended: put the block into it.")
        user, origin = self._user, self._origin or f"{function.__module__}.{function.__qualname__}"

        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            with orchestrate(user=user, origin=origin):
                return function(*args, **kwargs)

        @wraps(function)
        async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:  # what the coroutine returns
            async with orchestrate(user=user, origin=origin):
                return await function(*args, **kwargs)  # type: ignore[misc]  # it is a coroutine function

        return run_async if iscoroutinefunction(function) else run  # type: ignore[return-value]  # as given

    async def _leave_thread(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            await thread.leave()

    def _make_block(self) -> AbstractContextManager[Unit]:
        using = alias()
        outer = units.find(using)
        if outer is not None:
            return _savepoint(outer)
        return _unit(Unit(using, user=self._user, origin=self._origin or _command()))


@contextmanager
def _unit(unit: Unit) -> Iterator[Unit]:
    with units.work(unit):
        yield unit
    if unit.is_committed:
        unit.wait()


@contextmanager
def _savepoint(outer: Unit) -> Iterator[Unit]:
    with transaction.atomic(using=outer.using):
        yield outer


def _command() -> str:
    """Return the name of the management command that runs, if one does."""
    program, *arguments = sys.argv or [""]
    is_command = Path(program).name in ("manage.py", "django-admin", "__main__.py")
    return arguments[0] if is_command and arguments else ""


def _is_busy() -> bool:
    """Tell whether the thread that does the ORM has a transaction already, which the block joins."""
    return bool(transaction.get_connection(alias()).in_atomic_block)


def _disconnect() -> None:
    for connection in connections.all(initialized_only=True):
        connection.close()
        # SQLite in memory keeps the one connection that its data live in; this is another one.
        connection._close()  # type: ignore[attr-defined]  # not in the stubs


class _OwnThread:
    """A thread that does the ORM of one block: two units in one thread would share a transaction."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="orchestrate")
        self._context = ThreadSensitiveContext(executor=self._executor)

    async def enter(self) -> None:
        await self._context.__aenter__()  # type: ignore[no-untyped-call]  # asgiref is not typed here

    async def leave(self) -> None:
        try:
            await sync_to_async(_disconnect)()
        finally:
            await self._context.__aexit__(None, None, None)  # type: ignore[no-untyped-call]  # the same
            self._executor.shutdown(wait=False)
