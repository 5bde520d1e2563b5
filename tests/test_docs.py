"""The documentation says what the code says: all settings, all checks, and versions that agree."""

import re
from pathlib import Path

import pytest

from orchestration import checks
from orchestration.backends import ServiceBackend
from orchestration.expressions import compile_expression
from orchestration.settings import declared

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"


def rows(page):
    """Return the cells of all rows whose first cell is code: {first: second}."""
    text = (REFERENCE / page).read_text()
    return dict(re.findall(r"^\| `([^`]+)` \| `?(.*?)`? \|", text, re.MULTILINE))


def test_settings_page_names_every_setting_with_its_default():
    assert rows("settings.md") == {name: repr(setting.default) for name, setting in declared().items()}


def test_every_setting_has_a_comment_for_readers():
    source = (ROOT / "orchestration" / "settings.py").read_text()
    uncommented = re.findall(r"(?<!\n)\n(?!    #:).*\n    ([A-Z_]+) = Setting\[", source)
    assert uncommented == []


def test_backends_page_names_every_attribute_with_its_default():
    attributes = [name for name in ServiceBackend.__annotations__ if name != "is_made_anew"]
    defaults = {name: repr(getattr(ServiceBackend, name)) for name in attributes}
    assert rows("backends.md") == defaults


def test_examples_of_route_expressions_are_some():
    example = re.search(r"```python\n(.*?)```", (REFERENCE / "expressions.md").read_text(), re.DOTALL)
    for line in example[1].splitlines():
        compile_expression(line, ("website",))


def test_checks_page_lists_every_id():
    sources = [path.read_text() for path in Path(checks.__file__).parent.glob("*.py")]
    ids = {found for text in sources for found in re.findall(r'id="(orchestration\.[EW]\d+)"', text)}
    assert set(rows("checks.md")) == ids


def test_numbers_of_checks_are_used_once():
    numbers = [name[-3:] for name in rows("checks.md")]
    assert sorted(numbers) == sorted(set(numbers))


@pytest.mark.parametrize("path", ["constraints.txt", "pyproject.toml", "tox.ini", "Makefile", ".ci/run"])
def test_no_file_names_the_host_of_a_registry(path):
    assert "://" not in (ROOT / path).read_text()


def test_hooks_run_the_pinned_versions():
    pins = (ROOT / "constraints.txt").read_text().split()
    hooks = re.findall(r"additional_dependencies: \[(.+)\]", (ROOT / ".pre-commit-config.yaml").read_text())
    assert hooks
    assert set(hooks) <= set(pins)
