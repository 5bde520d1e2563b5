"""Methods by name."""

import pytest

from orchestration import methods
from orchestration.methods.local import Local
from orchestration.methods.python import Python


def test_a_method_is_found_by_name_and_by_path():
    assert isinstance(methods.get(methods.Local), Local)
    assert isinstance(methods.get("Python"), Python)
    assert isinstance(methods.get("orchestration.methods.local.Local"), Local)


def test_there_is_one_instance_of_each():
    assert methods.get("Local") is methods.get("orchestration.methods.local.Local")


def test_ssh_means_what_the_setting_says(settings):
    settings.ORCHESTRATION_SSH_METHOD = "Local"
    assert methods.get(methods.SSH) is methods.get("Local")


@pytest.mark.parametrize("name", ["Pigeon", "no.such.Method"])
def test_an_unknown_method_is_an_import_error(name):
    with pytest.raises(ImportError):
        methods.get(name)
