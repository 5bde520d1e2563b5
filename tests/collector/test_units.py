"""Units of work: one transaction, one thread, stored with what they changed."""

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction

from orchestration import orchestrate, sh
from orchestration.collector.outside import find_unit
from orchestration.exceptions import BackendFailed, RouteBroken, UnitClosed
from orchestration.models import Lane, Route, ScriptLog
from orchestration.signals import unit_failed
from tests.services.collecting import disconnected, rolled_back
from tests.webapps.models import Unwatched, WebApp

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]


@pytest.fixture
def backend(define, everywhere, woken, web1):
    # Nobody waits for a server that is inactive.
    web1.is_active = False
    web1.save()
    made = define("Apps", "webapps.WebApp")
    everywhere(made)
    return made


@pytest.fixture
def stored():
    """Return a function that says what all logs will do."""

    def stored():
        logs = ScriptLog.objects.order_by("pk").prefetch_related("operations")
        return [[f"{each.action} {each.instance_repr}" for each in log.operations.all()] for log in logs]

    return stored


def in_thread(call):
    """Run a call in a thread of its own; its errors are ours."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(disconnected(call)).result(timeout=10)


# with


def test_a_block_is_stored_with_its_changes_and_its_lane_is_woken(backend, stored, woken):
    with orchestrate(origin="import") as unit:
        WebApp.objects.create(name="one")
        WebApp.objects.create(name="two")
        assert ScriptLog.objects.count() == 0
    assert stored() == [["save one", "save two"]]
    assert woken == [[Lane.objects.get().pk]]
    log = ScriptLog.objects.get()
    assert (log.unit, log.origin) == (unit.uuid, "import")
    assert unit.logs == [log]


def test_a_block_without_changes_stores_and_wakes_nothing(backend, woken):
    with orchestrate() as unit:
        Unwatched.objects.create(name="one")
    assert (unit.logs, woken) == ([], [])


@pytest.mark.lesson(1)
@pytest.mark.lesson(4)
def test_a_block_that_raises_leaves_nothing_and_nobody_collecting(backend, stored, woken, caplog):
    with rolled_back(orchestrate()):
        WebApp.objects.create(name="one")
    WebApp.objects.create(name="outside")
    assert (stored(), woken) == ([], [])
    assert [app.name for app in WebApp.objects.all()] == ["outside"]
    assert connection.execute_wrappers == []


def test_a_block_marked_for_rollback_stores_nothing(backend, stored):
    with orchestrate():
        WebApp.objects.create(name="one")
        transaction.set_rollback(True)
    assert (stored(), WebApp.objects.count()) == ([], 0)


@pytest.mark.lesson(3)
def test_an_inner_block_is_a_savepoint_of_the_outer_one(backend, stored, woken):
    with orchestrate() as outer:
        WebApp.objects.create(name="one")
        with orchestrate() as inner:
            WebApp.objects.create(name="two")
        assert inner is outer
        assert (stored(), woken) == ([], [])
    assert stored() == [["save one", "save two"]]
    assert len(woken) == 1


@pytest.mark.lesson(2)
def test_an_inner_block_that_raises_contributes_nothing(backend, stored):
    with orchestrate():
        WebApp.objects.create(name="one")
        with rolled_back(orchestrate()):
            WebApp.objects.create(name="two")
        WebApp.objects.create(name="three")
    assert stored() == [["save one", "save three"]]


@pytest.mark.lesson(3)
def test_inside_a_foreign_transaction_it_runs_after_their_commit(backend, stored, woken):
    with transaction.atomic():
        with orchestrate() as unit:
            WebApp.objects.create(name="one")
        assert stored() == [["save one"]]
        assert [log.state for log in unit.logs] == ["RECEIVED"]
        assert woken == []
    assert len(woken) == 1


def test_a_foreign_transaction_that_is_rolled_back_takes_it_along(backend, stored, woken):
    with rolled_back(), orchestrate():
        WebApp.objects.create(name="one")
    assert (stored(), woken) == ([], [])


def test_in_a_transaction_that_is_not_atomic_it_runs_after_their_commit(backend, stored, woken):
    transaction.set_autocommit(False)
    try:
        with orchestrate():
            WebApp.objects.create(name="one")
        assert woken == []
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert stored() == [["save one"]]
    assert len(woken) == 1


def test_the_lane_is_woken_although_a_callback_of_somebody_else_raised(backend, stored, woken):
    def fail():
        raise ZeroDivisionError

    @orchestrate()
    def save():
        transaction.on_commit(fail)
        WebApp.objects.create(name="one")

    with pytest.raises(ZeroDivisionError):
        save()
    assert stored() == [["save one"]]
    assert len(woken) == 1


def test_callbacks_after_commit_are_outside(backend, stored, caplog):
    with orchestrate():
        WebApp.objects.create(name="one")
        transaction.on_commit(lambda: WebApp.objects.create(name="late"))
    assert stored() == [["save one"]]


def test_a_block_cannot_be_entered_twice():
    block = orchestrate()
    with block, pytest.raises(UnitClosed):
        block.__enter__()
    with block:
        pass
    with pytest.raises(UnitClosed):
        block.__exit__(None, None, None)


# Failures


@pytest.fixture
def failures():
    """Return a list of the units that fail during the test."""
    found = []

    def note(unit, error, **kwargs):
        found.append((str(unit), error, connection.in_atomic_block))

    unit_failed.connect(note)
    yield found
    unit_failed.disconnect(note)


def test_a_route_that_fails_rolls_everything_back_and_is_marked(backend, stored, woken, failures):
    Route.objects.update(match="instance.owner.username == 'ann'")

    @orchestrate(origin="import")
    def save():
        Unwatched.objects.create(name="one")
        WebApp.objects.create(name="one")

    with pytest.raises(RouteBroken) as caught:
        save()
    assert (stored(), woken, Unwatched.objects.count()) == ([], [], 0)
    assert Route.objects.get().broken != ""
    assert failures == [("import", caught.value, False)]


def test_a_route_that_fails_at_a_delete_stops_the_delete(backend, stored, failures):
    app = WebApp.objects.create(name="one")
    Route.objects.update(match="instance.owner.username == 'ann'")
    with pytest.raises(RouteBroken), orchestrate():
        app.delete()
    assert WebApp.objects.get() == app
    assert Route.objects.get().broken != ""
    assert len(failures) == 1


def test_a_backend_that_fails_rolls_everything_back(define, everywhere, stored, woken, failures):
    def save(self, app):
        raise ZeroDivisionError("by zero")

    everywhere(define("Bad", "webapps.WebApp", save=save))
    with pytest.raises(BackendFailed) as caught, orchestrate():
        WebApp.objects.create(name="one")
    assert (caught.value.backend, caught.value.action, caught.value.instance) == ("Bad", "save", "one")
    assert (stored(), woken, WebApp.objects.count(), len(failures)) == ([], [], 0, 1)


def test_a_context_that_fails_before_a_delete_names_backend_and_object(define, everywhere, failures):
    def get_context(self, app):
        raise ZeroDivisionError("by zero")

    everywhere(define("Bad", "webapps.WebApp", get_context=get_context))
    app = WebApp.objects.create(name="one")
    with pytest.raises(BackendFailed, match=r"Bad .*one.*by zero") as caught, orchestrate():
        app.delete()
    assert (caught.value.backend, caught.value.action, caught.value.instance) == ("Bad", "delete", "one")
    assert WebApp.objects.count() == 1


def test_a_template_that_is_not_safe_names_its_backend_before_a_delete(define, everywhere):
    def get_context(self, app):
        return {"line": sh("rm -- '%(name)s'", {"name": app.name})}

    everywhere(define("Bad", "webapps.WebApp", get_context=get_context))
    app = WebApp.objects.create(name="one")
    with pytest.raises(BackendFailed, match=r"Bad .*UnsafeTemplate"), orchestrate():
        app.delete()


# Decorator


def test_a_decorated_function_is_a_block_with_its_name(backend, stored):
    @orchestrate()
    def make(name):
        """Make one."""
        return WebApp.objects.create(name=name)

    assert make("one").name == "one"
    assert make(name="two").name == "two"
    assert make.__doc__ == "Make one."
    assert stored() == [["save one"], ["save two"]]
    assert ScriptLog.objects.first().origin.endswith("make")


async def _make(name):
    await WebApp.objects.acreate(name=name)
    return asyncio.current_task()


def test_a_decorated_coroutine_function_is_a_block(backend, stored):
    asyncio.run(orchestrate()(_make)("one"))
    assert stored() == [["save one"]]


# Async


def test_an_async_block(backend, stored, woken):
    async def run():
        async with orchestrate() as unit:
            await WebApp.objects.acreate(name="one")
            async with orchestrate() as inner:
                await WebApp.objects.acreate(name="two")
            assert inner is unit
        return unit

    unit = asyncio.run(run())
    assert stored() == [["save one", "save two"]]
    assert len(unit.logs) == len(woken) == 1


@pytest.mark.lesson(4)
def test_an_async_block_that_raises_leaves_nothing(backend, stored):
    @orchestrate()
    async def fail():
        await WebApp.objects.acreate(name="one")
        raise ZeroDivisionError

    async def run():
        with pytest.raises(ZeroDivisionError):
            await fail()
        await sync_to_async(disconnected(WebApp.objects.create))(name="outside")

    asyncio.run(run())
    assert stored() == []
    assert [app.name for app in WebApp.objects.all()] == ["outside"]


def test_a_cancelled_async_block_leaves_nothing(backend, stored):
    async def work(is_inside):
        async with orchestrate():
            await WebApp.objects.acreate(name="one")
            is_inside.set()
            await asyncio.Event().wait()

    async def run():
        is_inside = asyncio.Event()
        task = asyncio.create_task(work(is_inside))
        await asyncio.wait_for(is_inside.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert (stored(), WebApp.objects.count()) == ([], 0)


def test_a_late_task_of_an_async_block_is_outside(backend, stored, caplog):
    async def run():
        is_over = asyncio.Event()

        async def late():
            await is_over.wait()
            await sync_to_async(disconnected(WebApp.objects.create), thread_sensitive=False)(name="late")

        async with orchestrate():
            await WebApp.objects.acreate(name="one")
            task = asyncio.create_task(late())
        is_over.set()
        await task

    asyncio.run(run())
    assert stored() == [["save one"]]


def test_concurrent_async_blocks_have_transactions_of_their_own(backend, stored):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time")

    async def work(name, both_are_inside):
        async with orchestrate() as unit:
            await WebApp.objects.acreate(name=name)
            await both_are_inside.wait()
        return unit

    async def run():
        both_are_inside = asyncio.Barrier(2)
        works = [work(name, both_are_inside) for name in ("one", "two")]
        return await asyncio.wait_for(asyncio.gather(*works), 30)

    assert len({unit.uuid for unit in asyncio.run(run())}) == 2
    assert sorted(stored()) == [["save one"], ["save two"]]


# Threads


@pytest.mark.lesson(5)
def test_other_threads_are_outside_of_a_block(backend, stored, caplog):
    with orchestrate() as unit:
        WebApp.objects.create(name="one")
        in_thread(lambda: assert_outside(unit))
    assert stored() == [["save one"]]


def assert_outside(unit):
    assert not unit.collects("default")
    assert find_unit(WebApp, "default") is None


@pytest.mark.lesson(5)
def test_each_thread_has_units_of_its_own(backend, stored):
    make = orchestrate()(WebApp.objects.create)
    in_thread(lambda: make(name="one"))
    in_thread(lambda: make(name="two"))
    assert stored() == [["save one"], ["save two"]]


@pytest.mark.lesson(5)
def test_a_context_carried_to_another_thread_does_not_carry_the_unit(backend, stored, caplog):
    with orchestrate() as unit:
        context = contextvars.copy_context()
        in_thread(lambda: context.run(assert_outside, unit))


# Django's test cases


@pytest.mark.django_db(transaction=False)
def test_a_unit_without_work_registers_no_callback(backend, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as callbacks, orchestrate():
        Unwatched.objects.create(name="one")
    assert callbacks == []


@pytest.mark.django_db(transaction=False)
def test_callbacks_of_a_test_case_wake_the_lane(backend, stored, woken, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as callbacks, orchestrate():
        WebApp.objects.create(name="one")
    assert stored() == [["save one"]]
    assert len(callbacks) == 1


# Odd objects, odd functions


def textless(app):
    return app.owner.username


def test_objects_without_a_text_are_stored_under_their_keys(backend, monkeypatch):
    monkeypatch.setattr(WebApp, "__str__", textless)
    with orchestrate():
        app = WebApp.objects.create(name="one")
    stored = ScriptLog.objects.get().operations.get()
    assert stored.instance_repr == stored.identity == f"webapps.WebApp {app.pk}"


def test_texts_that_databases_cannot_hold_are_stored_all_the_same(backend, monkeypatch):
    monkeypatch.setattr(backend, "identity", lambda app: "a\0\udc80")
    with orchestrate():
        WebApp.objects.create(name="one")
    assert ScriptLog.objects.get().operations.get().identity == "a\ufffd?"


def test_a_backend_that_fails_before_a_delete_is_named_whatever_the_object(backend, monkeypatch):
    monkeypatch.setattr(WebApp, "__str__", textless)
    monkeypatch.setattr(backend, "before_delete", lambda self, app: app.no_such_thing)
    with orchestrate.disabled():
        app = WebApp.objects.create(name="one")
    with (
        pytest.raises(BackendFailed, match=rf"Apps failed before .* webapps\.WebApp {app.pk}"),
        orchestrate(),
    ):
        app.delete()


async def many_later():
    yield WebApp.objects.acreate(name="one")


def many():
    yield WebApp.objects.create(name="one")


@pytest.mark.parametrize("function", [many, many_later])
def test_a_generator_is_refused_since_it_runs_after_its_call(function):
    with pytest.raises(UnitClosed, match="generator"):
        orchestrate()(function)
