"""A copy of the database elsewhere has another name, and must not act."""

import pytest

from orchestration.exceptions import ForeignInstallation
from orchestration.lanes import installation
from orchestration.models import Installation

pytestmark = [pytest.mark.databases, pytest.mark.django_db]


def stored():
    return Installation.objects.values_list("name", flat=True).first()


def test_the_name_is_kept_at_first_use():
    installation.check()
    installation.check()
    assert stored() == installation.name()
    assert len(stored()) == 32


def test_the_name_does_not_tell_the_secret_key(settings):
    assert settings.SECRET_KEY not in installation.name()
    before = installation.name()
    settings.SECRET_KEY = "another"
    assert installation.name() != before


def test_a_process_of_another_name_is_refused_with_the_remedy(settings):
    installation.check()
    settings.SECRET_KEY = "another"
    with pytest.raises(ForeignInstallation, match=r"manage\.py orchestrate --adopt"):
        installation.check()


def test_a_configured_name_is_used(settings):
    settings.ORCHESTRATION_INSTALLATION = "production"
    installation.check()
    assert stored() == "production"
    settings.ORCHESTRATION_INSTALLATION = "staging"
    with pytest.raises(ForeignInstallation, match=r"'production'.*'staging'"):
        installation.check()


def test_a_copy_with_the_same_secret_key_and_a_name_of_its_own_is_refused(settings):
    installation.check()
    settings.ORCHESTRATION_INSTALLATION = "staging"
    with pytest.raises(ForeignInstallation):
        installation.check()


def test_a_rotated_secret_key_renews_the_name(settings):
    installation.check()
    before = stored()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"
    installation.check()
    assert stored() == installation.name() != before
    settings.SECRET_KEY_FALLBACKS = []
    installation.check()


def test_adopting_changes_the_name(settings):
    assert installation.adopt() == (None, installation.name())
    before = installation.name()
    settings.ORCHESTRATION_INSTALLATION = "new"
    assert installation.adopt() == (before, "new")
    installation.check()


def test_the_refusal_is_logged_once(settings, caplog):
    Installation.objects.create(name="theirs")
    settings.ORCHESTRATION_DISABLE_EXECUTION = False
    assert [installation.may_act() for _ in range(3)] == [False] * 3
    assert caplog.text.count("'theirs'") == 1
    installation.adopt()
    assert installation.may_act()


@pytest.mark.parametrize(("value", "expected"), [(None, True), (True, True), (False, False)])
def test_execution_is_off_in_tests_unless_asked_for(settings, value, expected):
    settings.ORCHESTRATION_DISABLE_EXECUTION = value
    assert installation.is_disabled() is expected
