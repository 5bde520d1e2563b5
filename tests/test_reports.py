"""Reports to the administrators: one for each unit that failed, and never an error instead of it."""

import logging

import django
import pytest
from django.contrib.auth import get_user_model

from orchestration import orchestrate
from orchestration.collector import Unit
from orchestration.exceptions import BackendFailed
from orchestration.reports import report
from orchestration.signals import unit_failed
from tests.webapps.models import WebApp

from .services.collecting import define, everywhere, web1  # noqa: F401  fixtures

pytestmark = pytest.mark.django_db


@pytest.fixture
def admins(settings):
    address = "ann@example.org"
    settings.ADMINS = [address if django.VERSION >= (6, 0) else ("Ann", address)]


@pytest.fixture
def failure():
    return BackendFailed("Apps failed to save shop.", backend="Apps", action="save", instance="shop")


def unit(**known):
    return Unit("default", **known)


def test_a_failure_is_mailed_with_who_and_what(admins, mailoutbox, failure):
    user = get_user_model()(username="ann")
    unit_failed.send(Unit, unit=unit(user=user, origin="/admin/shop/"), error=failure)
    [mail] = mailoutbox
    assert mail.subject.endswith("A unit of work failed: /admin/shop/")
    assert "Apps failed to save shop." in mail.body
    assert "User: ann" in mail.body


def test_a_failure_is_logged_with_its_error(failure, caplog):
    unit_failed.send(Unit, unit=unit(origin="import"), error=failure)
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info[1] is failure
    assert "import" in record.getMessage()


@pytest.mark.lesson(36)
def test_a_mail_that_cannot_be_sent_does_not_hide_the_failure(admins, settings, failure, caplog):
    if django.VERSION >= (6, 1):
        settings.MAILERS = {"default": {"BACKEND": "no.such.Backend"}}
    else:
        settings.EMAIL_BACKEND = "no.such.Backend"
    report(unit(), failure)
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.ERROR]
    assert "Apps failed to save shop." in caplog.text


def test_line_breaks_in_an_origin_do_not_break_the_mail(admins, mailoutbox, failure):
    report(unit(origin="import\nBcc: all@example.org"), failure)
    assert "\n" not in mailoutbox[0].subject


def test_a_unit_that_fails_outside_requests_is_reported_once(define, everywhere, admins, mailoutbox):  # noqa: F811
    everywhere(define("Bad", "webapps.WebApp", save=lambda self, app: 1 / 0))

    @orchestrate(origin="import")
    def save():
        WebApp.objects.create(name="shop")

    with pytest.raises(BackendFailed):
        save()
    assert len(mailoutbox) == 1
