"""The database's clock on every database."""

import datetime

import pytest
from django.db import connection, transaction
from django.utils import timezone

from orchestration.models import Lane, Lease, Server
from orchestration.models.clock import now_plus

pytestmark = [pytest.mark.databases, pytest.mark.django_db]


@pytest.fixture
def lease():
    lane = Lane.objects.create(server=Server.objects.create(name="web1"))
    return Lease.objects.create(lane=lane)


def stored(lease):
    lease.refresh_from_db()
    return lease.expires_at


def is_expired(lease):
    return Lease.objects.filter(pk=lease.pk, expires_at__lt=now_plus()).exists()


@pytest.mark.parametrize("seconds", [0, 60, -60, 0.25, 86400])
def test_stores_this_moment_plus_some_seconds(lease, seconds):
    before = timezone.now() - datetime.timedelta(milliseconds=2)
    Lease.objects.update(expires_at=now_plus(seconds))
    after = timezone.now() + datetime.timedelta(milliseconds=2)
    assert before <= stored(lease) - datetime.timedelta(seconds=seconds) <= after


@pytest.mark.parametrize(("seconds", "expected"), [(-0.05, True), (-60, True), (5, False), (60, False)])
def test_compares_with_itself(lease, seconds, expected):
    Lease.objects.update(expires_at=now_plus(seconds))
    assert is_expired(lease) is expected


def test_compares_with_a_time_stored_by_django(lease):
    Lease.objects.update(expires_at=timezone.now().replace(microsecond=0) - datetime.timedelta(seconds=1))
    assert is_expired(lease)
    Lease.objects.update(expires_at=timezone.now() + datetime.timedelta(seconds=5))
    assert not is_expired(lease)


def test_runs_on_inside_a_transaction(lease):
    with transaction.atomic():
        Lease.objects.update(expires_at=now_plus())
        deadline = timezone.now() + datetime.timedelta(seconds=10)
        while not is_expired(lease):
            assert timezone.now() < deadline


def test_can_be_read_beside_a_row(lease):
    clock = Lease.objects.annotate(clock=now_plus()).get().clock
    assert abs(clock - timezone.now()) < datetime.timedelta(seconds=1)


def test_is_utc_whatever_the_zone_of_the_session(lease):
    if connection.vendor == "mysql":
        connection.cursor().execute("SET time_zone = '+05:00'")
    Lease.objects.update(expires_at=now_plus())
    assert abs(stored(lease) - timezone.now()) < datetime.timedelta(seconds=1)
