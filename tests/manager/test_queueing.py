"""Scripts become rows, numbered by the transaction that stores them."""

import threading
import uuid

import pytest
from django.db import IntegrityError, connection, transaction

from orchestration.exceptions import LaneBusy
from orchestration.manager import enqueue
from orchestration.models import Installation, Lane, ScriptLog, Server
from orchestration.models.clock import now_plus
from tests.lanes.scripts import script, section
from tests.services.concurrency import in_threads

pytestmark = pytest.mark.databases
committing = pytest.mark.django_db(transaction=True)


def store(*scripts, **options):
    with transaction.atomic():
        return enqueue(scripts, unit=uuid.uuid4(), **options)


@pytest.mark.django_db
class TestRows:
    def test_each_section_has_a_row_in_its_place(self, recording, server):
        web = server("web1")
        queued = store(script(web, section("A", text="a"), section("B", text="b")), origin="/admin/")
        first, second = ScriptLog.objects.order_by("position")
        assert [log.pk for log in queued.logs] == [first.pk, second.pk]
        assert (first.backend, first.number, first.position) == ("A", 1, 0)
        assert (second.backend, second.number, second.position) == ("B", 1, 1)
        assert first.unit == second.unit == queued.unit
        assert (first.state, first.server, first.server_name) == ("RECEIVED", web, "web1")
        assert first.origin == "/admin/"
        assert first.script == "a"

    def test_an_origin_that_databases_cannot_hold_is_stored_all_the_same(self, recording, server):
        store(script(server("web1"), section("A", text="a")), origin="/a\0b/")
        assert ScriptLog.objects.get().origin == "/a\ufffdb/"

    def test_numbers_go_on_in_each_lane(self, recording, server):
        web, mail = server("web1"), server("mail1")
        store(script(web), script(mail))
        store(script(web))
        store(script(web, lane="backup"))
        places = ScriptLog.objects.order_by("pk").values_list("server_name", "lane__name", "number")
        assert list(places) == [("web1", "", 1), ("mail1", "", 1), ("web1", "", 2), ("web1", "backup", 1)]

    def test_two_scripts_of_one_lane_follow_each_other(self, recording, server):
        web, mail = server("web1"), server("mail1")
        store(script(web), script(web), script(mail))
        store(script(web), script(mail))
        logs = ScriptLog.objects.order_by("pk")
        assert [log.number for log in logs.filter(server=web)] == [1, 2, 3]
        assert [log.number for log in logs.filter(server=mail)] == [1, 2]

    def test_nothing_to_store_costs_nothing(self, django_assert_num_queries):
        with django_assert_num_queries(0):
            queued = enqueue([], unit=uuid.uuid4())
        assert (queued.logs, queued.lanes, queued.waited) == ([], [], [])

    def test_a_section_without_content_is_finished_as_nothing(self, recording, server):
        queued = store(script(server(), section("A", groups=())))
        log = ScriptLog.objects.get()
        assert log.state == ScriptLog.NOTHING
        assert log.finished_at
        assert log.payload is None
        assert queued.lanes == queued.waited == []

    def test_disabled_execution_stores_revoked_scripts(self, server):
        queued = store(script(server(), section("A", text="rm x"), section("B", groups=())))
        revoked, nothing = ScriptLog.objects.order_by("position")
        assert revoked.state == ScriptLog.REVOKED
        assert revoked.reason == "Execution is disabled."
        assert revoked.script == "rm x"
        assert revoked.payload is None
        assert nothing.state == ScriptLog.NOTHING
        assert queued.lanes == queued.waited == []

    @pytest.mark.lesson(28)
    def test_what_runs_is_stored_encrypted(self, recording, server):
        store(script(server(), section("A", text="passwd hunter2", shown="passwd ***")))
        log = ScriptLog.objects.get()
        assert log.script == "passwd ***"
        assert b"hunter2" not in bytes(log.payload)

    def test_big_scripts_are_stored_in_several_statements(
        self, recording, server, django_assert_max_num_queries
    ):
        text = "x" * 3 * 1024 * 1024
        with django_assert_max_num_queries(20) as queries:
            store(*[script(server(f"web{number}"), section("A", text=text)) for number in range(4)])
        inserts = [query for query in queries if "INTO" in query["sql"][:30] and len(query["sql"]) > 10**6]
        assert len(inserts) == 4

    def test_text_that_no_database_takes_is_stored_as_far_as_it_can_be(self, recording, server):
        store(script(server(), section("A", text="echo a\0b\udcff")))
        assert ScriptLog.objects.get().script == "echo a\ufffdb?"

    def test_a_long_origin_is_cut(self, recording, server):
        store(script(server()), origin="/x" * 500)
        assert len(ScriptLog.objects.get().origin) == 255

    def test_a_failing_transaction_leaves_no_number_behind(self, recording, server):
        web = server()
        store(script(web))
        with transaction.atomic():
            enqueue([script(web)], unit=uuid.uuid4())
            transaction.set_rollback(True)
        store(script(web))
        assert list(ScriptLog.objects.order_by("number").values_list("number", flat=True)) == [1, 2]


@pytest.mark.django_db
class TestWaiting:
    def test_lanes_are_to_be_woken_and_their_logs_waited_for(self, recording, server):
        web, mail = server("web1"), server("mail1")
        queued = store(script(web, section("A"), section("B")), script(mail))
        assert queued.lanes == sorted(Lane.objects.values_list("pk", flat=True))
        assert queued.waited == [log.pk for log in queued.logs]

    def test_background_sections_are_not_waited_for(self, recording, server):
        queued = store(script(server(), section("A", background=True), section("B")))
        assert queued.waited == [queued.logs[1].pk]
        assert len(queued.lanes) == 1

    def test_inactive_servers_are_not_waited_for(self, recording, server):
        assert store(script(server(is_active=False))).waited == []

    def test_a_server_that_was_out_of_reach_is_not_waited_for(self, recording, server):
        web = server()
        store(script(web))
        ScriptLog.objects.update(not_before=now_plus(60), attempt=1)
        assert store(script(web)).waited == []

    def test_another_installation_is_not_waited_for(self, recording, server):
        Installation.objects.create(name="production")
        assert store(script(server())).waited == []

    @pytest.mark.lesson(13)
    def test_serialized_sections_follow_the_same_backend_only(self, recording, server):
        one, two, three = server("a"), server("b"), server("c")
        serial = section("A", serialize=True)
        queued = store(script(one, serial), script(two, section("B")), script(three, serial, section("B")))
        first, other, second, beside = ScriptLog.objects.order_by("pk")
        assert second.follows == first
        assert first.follows is other.follows is beside.follows is None
        assert queued.logs[2].follows_id == first.pk


@pytest.mark.django_db
class TestQueries:
    LIMIT = 6

    @pytest.mark.parametrize("count", [1, 30])
    def test_their_number_does_not_depend_on_servers(
        self, recording, server, django_assert_max_num_queries, count
    ):
        servers = [server(f"web{number}") for number in range(count)]
        store(*[script(each) for each in servers])
        with transaction.atomic(), django_assert_max_num_queries(self.LIMIT + 1):
            enqueue([script(each) for each in servers], unit=uuid.uuid4())

    def test_serialized_units_need_as_many(self, recording, server, django_assert_max_num_queries):
        servers = [server(f"web{number}") for number in range(5)]
        store(*[script(each) for each in servers])
        with transaction.atomic(), django_assert_max_num_queries(self.LIMIT + 1):
            enqueue([script(each, section(serialize=True)) for each in servers], unit=uuid.uuid4())


@committing
class TestConcurrency:
    def test_lanes_missing_are_created_by_several_at_once(self, recording, server):
        servers = [server(f"web{number}") for number in range(4)]
        scripts = [script(each) for each in servers]
        results = in_threads(
            *[lambda turn=turn: store(*scripts[turn:], *scripts[:turn]) for turn in range(4)]
        )
        assert [result for result in results if isinstance(result, Exception)] == []
        assert Lane.objects.count() == 4
        for each in servers:
            numbers = ScriptLog.objects.filter(server=each).values_list("number", flat=True)
            assert sorted(numbers) == [1, 2, 3, 4]

    @pytest.mark.lesson(10)
    def test_numbers_follow_the_order_of_commits(self, recording, server):
        """G2: whoever commits first has the lower number, on every lane; nobody leaves a gap."""
        servers = [server(f"web{number}") for number in range(3)]
        store(*[script(each) for each in servers])
        order, lock = [], threading.Lock()

        def commit(turn):
            for _ in range(10):
                with transaction.atomic():
                    targets = servers if turn % 2 else servers[::-1]
                    queued = enqueue([script(each) for each in targets], unit=uuid.uuid4())
                    with lock:  # the lanes' locks are held until COMMIT, so nobody can get in between
                        order.append(queued.unit)

        results = in_threads(*[lambda turn=turn: commit(turn) for turn in range(4)])
        assert results == [None] * 4
        for each in servers:
            logs = ScriptLog.objects.filter(server=each).order_by("number")[1:]
            assert [log.number for log in logs] == list(range(2, 42))
            assert [log.unit for log in logs] == order

    def test_a_lock_that_is_held_too_long_is_an_error_that_says_so(self, recording, server, settings):
        if connection.vendor == "sqlite":
            pytest.skip("SQLite has one lock, and its own limit for it")
        settings.ORCHESTRATION_LOCK_WAIT = 1
        web = server()
        store(script(web))
        with transaction.atomic():
            Lane.objects.select_for_update().get()
            [error] = in_threads(lambda: store(script(web)))
        assert isinstance(error, LaneBusy)
        assert "Try again" in str(error)
        store(script(web))

    def test_the_limit_of_a_lock_is_the_projects_own_again(self, recording, server):
        names = {"postgresql": "SHOW lock_timeout", "mysql": "SELECT @@innodb_lock_wait_timeout"}
        if connection.vendor not in names:
            pytest.skip("SQLite has one lock, and its own limit for it")
        web = server()

        def limit():
            with connection.cursor() as cursor:
                cursor.execute(names[connection.vendor])
                return cursor.fetchone()

        before = limit()
        with transaction.atomic():
            enqueue([script(web)], unit=uuid.uuid4())
            assert limit() == before

    def test_a_lane_made_behind_a_snapshot_is_an_error_that_says_so(self, recording, server):
        """On MariaDB, where a project may ask for snapshots: there the change is to be tried again."""
        if connection.vendor != "mysql":
            pytest.skip("only MariaDB ignores a conflict with rows that it does not show")
        wanted = script(server())
        connection.cursor().execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        try:
            with transaction.atomic():
                Server.objects.get()
                in_threads(lambda: store(wanted))
                with pytest.raises(LaneBusy, match="Try again"):
                    store(wanted)
        finally:
            connection.close()
        assert ScriptLog.objects.count() == 1

    def test_a_server_deleted_meanwhile_fails_the_unit(self, recording, server):
        web = server()
        wanted = script(web)
        Server.objects.filter(pk=web.pk).delete()
        with pytest.raises((IntegrityError, LaneBusy)):
            store(wanted)
        assert not ScriptLog.objects.exists()
