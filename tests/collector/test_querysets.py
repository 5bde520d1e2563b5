"""Bulk changes of models that opted in."""

import pytest
from django.db import connection

from orchestration.collector.querysets import OrchestratedQuerySet
from orchestration.exceptions import OutsideUnit
from tests.services.collecting import rolled_back
from tests.webapps.models import Mailbox

pytestmark = [pytest.mark.django_db, pytest.mark.databases]


@pytest.fixture
def backend(define, everywhere):
    made = define("Mailboxes", "webapps.Mailbox")
    everywhere(made)
    return made


@pytest.fixture
def mailboxes():
    """Return all mailboxes, as a model's manager would that opted in."""
    return OrchestratedQuerySet(Mailbox)


@pytest.fixture
def ann(db):
    return Mailbox.objects.create(address="ann@example.org")


def test_an_update_saves_each_object_with_its_new_state(backend, mailboxes, ann, collected):
    bob = Mailbox.objects.create(address="bob@example.org")
    with collected() as operations:
        assert mailboxes.filter(quota=0).update(quota=7) == 2
    assert {(action, found.pk, found.quota) for action, found in operations} == {
        ("save", ann.pk, 7),
        ("save", bob.pk, 7),
    }


def test_a_bulk_update_saves_each_object(backend, mailboxes, ann, collected):
    ann.quota = 5
    with collected() as operations:
        mailboxes.bulk_update([ann], ["quota"])
    assert [(action, found.quota) for action, found in operations] == [("save", 5)]


def test_a_bulk_create_saves_each_object(backend, mailboxes, collected):
    with collected() as operations:
        made = mailboxes.bulk_create([Mailbox(address=f"{n}@example.org") for n in range(3)])
    assert operations == [("save", each) for each in made]


def test_what_was_created_in_bulk_and_deleted_leaves_nothing(backend, mailboxes, collected):
    with collected() as operations:
        mailboxes.bulk_create([Mailbox(address="ann@example.org")])
        Mailbox.objects.all().delete()
    assert operations == []


def test_a_bulk_create_with_conflicts_saves_what_there_is_then(backend, mailboxes, ann, collected):
    again = Mailbox(address=ann.address, quota=9)
    # MariaDB finds conflicts by itself, and cannot be told by what.
    target = (
        {"unique_fields": ["address"]} if connection.features.supports_update_conflicts_with_target else {}
    )
    with collected() as operations:
        mailboxes.bulk_create([again], update_conflicts=True, update_fields=["quota"], **target)
    assert [(action, found.quota) for action, found in operations] == [("save", 9)]


def test_savepoints_count(backend, mailboxes, ann, collected):
    with collected() as operations, rolled_back():
        mailboxes.update(quota=7)
    assert operations == []


def test_models_that_nobody_watches_cost_no_query(mailboxes, ann, collected, django_assert_num_queries):
    with collected() as operations, django_assert_num_queries(1):
        mailboxes.update(quota=7)
    assert operations == []


def test_outside_units_the_settings_decide(backend, mailboxes, settings):
    settings.ORCHESTRATION_OUTSIDE_UNIT = "raise"
    with pytest.raises(OutsideUnit):
        mailboxes.bulk_create([Mailbox(address="ann@example.org")])
    assert Mailbox.objects.count() == 0
