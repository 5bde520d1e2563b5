"""Lanes in the admin: read-only, with what waits and who works."""

import pytest
from django.urls import reverse

from orchestration.models import Lane, Lease, Server

pytestmark = pytest.mark.django_db


def test_the_list_says_what_waits_and_who_works(page, make_log):
    log = make_log()
    make_log(state="SUCCESS")
    Lease.objects.create(lane=log.lane, owner="worker-7")
    answer = page("lane_changelist")
    assert [lane.waiting_count for lane in answer.context["cl"].result_list] == [1]
    assert "worker-7" in answer.content.decode()


def test_the_list_takes_the_same_queries_for_any_number_of_lanes(page, make_log, count_queries):
    make_log()
    few = count_queries(lambda: page("lane_changelist"))
    for number in range(10):
        make_log(server=Server.objects.create(name=f"host{number}"))
    assert len(count_queries(lambda: page("lane_changelist"))) == len(few)


def test_a_lane_without_lease_is_shown_and_cannot_be_changed(admin_client, page, server):
    lane = Lane.objects.create(server=server, name="backup")
    assert "web1/backup" in page("lane_change", lane.pk).content.decode()
    url = reverse("admin:orchestration_lane_delete", args=[lane.pk])
    assert admin_client.post(url, {"post": "yes"}).status_code == 403
