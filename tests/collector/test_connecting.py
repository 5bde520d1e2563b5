"""Receivers: for models that backends name, and for no others."""

import pytest
from django.db.models.deletion import Collector
from django.db.models.signals import m2m_changed, post_save, pre_delete, pre_save

from orchestration import ServiceController, backends
from tests.webapps.models import (
    Domain,
    Mailbox,
    MailingList,
    Membership,
    Page,
    StaticApp,
    Unwatched,
    WebApp,
    WordPress,
)

SIGNALS = (pre_save, post_save, pre_delete, m2m_changed)


def heard(model):
    """Return how many of the package's receivers listen to a model."""
    receivers = [receiver for signal in SIGNALS for receiver in signal.receivers]
    return sum(key[0].startswith("orchestration.") and key[1] == id(model) for key, *_ in receivers)


@pytest.mark.lesson(31)
def test_models_that_no_backend_names_keep_fast_deletes(define):
    define("Apps", "webapps.WebApp", related_models=[("webapps.Page", "webapp")])
    assert heard(Unwatched) == heard(Mailbox) == heard(MailingList) == 0
    assert Collector("default").can_fast_delete(Unwatched.objects.all())
    assert not Collector("default").can_fast_delete(Page.objects.all())


def test_no_receiver_listens_to_all_models(define):
    define("Apps", "webapps.WebApp")
    assert heard(None) == 0


def test_a_late_backend_is_heard_and_a_forgotten_one_is_not(define):
    assert heard(Mailbox) == 0
    backend = define("Late", "webapps.Mailbox")
    assert heard(Mailbox) == 3
    backends.forget(backend)
    assert heard(Mailbox) == 0


def test_a_forgotten_backend_takes_nothing_from_the_others(define):
    define("First", "webapps.Mailbox")
    backends.forget(define("Second", "webapps.Mailbox"))
    assert heard(Mailbox) == 3


@pytest.mark.parametrize("model", [WebApp, StaticApp, WordPress, WebApp.domains.through, Domain])
def test_proxies_children_and_links_are_heard(define, model):
    define("Apps", "webapps.WebApp")
    assert heard(model) > 0


def test_explicit_links_are_heard_as_models(define):
    define("Lists", "webapps.MailingList")
    assert heard(Membership) >= 3


@pytest.mark.lesson(30)
@pytest.mark.django_db
def test_many_backends_cost_one_receiver(define, django_assert_num_queries):
    for number in range(50):
        define(f"Backend{number}", "webapps.Mailbox")
    assert heard(Mailbox) == 3


def test_a_backend_without_save_and_delete_is_not_heard(define):
    type_ = type("Probe", (ServiceController,), {"model": "webapps.Mailbox", "actions": ["monitor"]})
    try:
        assert heard(Mailbox) == 0
    finally:
        backends.forget(type_)
