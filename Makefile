# Everything works from a clean clone with only python3 (3.11 or newer, with venv): .venv is made when needed.

PYTHON ?= python3
DJANGO ?= Django~=5.2.0
COVERAGE ?= 97
PYENV_ROOT ?= $(HOME)/.pyenv

BIN := .venv/bin
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable . "$(DJANGO)"
GROUPS := example test databases types lint docs bench tox
# Interpreters that pyenv keeps without offering them on PATH.
INTERPRETERS := $(wildcard $(PYENV_ROOT)/versions/3.12.*/bin $(PYENV_ROOT)/versions/3.13.*/bin)

export UV_PYTHON_DOWNLOADS = never

.PHONY: help demo test quick bench docs lint format types migrations tox constraints clean

help:  ## Show this list.
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

demo: .venv/.example  ## Run the example panel with three hosts of its own; PORT=... for another port.
	$(BIN)/python example_project/manage.py demo $(if $(PORT),--port $(PORT))

test: .venv/.databases .venv/.test  ## Run every test once: SQLite, then PostgreSQL and MariaDB; coverage.
	$(BIN)/coverage erase
	$(BIN)/pytest --cov --cov-report=
	$(BIN)/pytest -m databases --database=postgresql --cov --cov-append --cov-report=
	$(BIN)/pytest -m databases --database=mariadb --cov --cov-append --cov-report=term-missing:skip-covered \
		--cov-fail-under=$(COVERAGE)

quick: .venv/.test  ## Run the tests on SQLite only.
	$(BIN)/pytest

bench: .venv/.bench .venv/.test  ## Measure against the budgets and against other tools; TOPIC=... for one.
	$(BIN)/python -m benchmarks $(TOPIC)

docs: .venv/.docs  ## Build the documentation into docs/_build/html; a warning is an error.
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

lint: .venv/.lint  ## Check style, format and the directions of imports.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

format: .venv/.lint  ## Format the code, and repair what can be repaired.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: .venv/.types .venv/.test  ## Check types strictly.
	$(BIN)/mypy

migrations: .venv/.test  ## Fail when a model changed without its migration.
	$(BIN)/python -m django makemigrations --check --dry-run --settings=tests.settings --pythonpath=.

tox: .venv/.tox  ## Run the tests on SQLite with every supported Python and Django.
	PATH="$(subst $() ,:,$(INTERPRETERS)):$$PATH" $(BIN)/tox run $(if $(ENV),-e $(ENV))

constraints: $(BIN)/uv  ## Renew constraints.txt: the versions that everything is tested with.
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --upgrade --quiet \
		--all-extras $(addprefix --group ,$(GROUPS)) --no-emit-package django \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file constraints.txt

clean:  ## Remove what can be made again.
	rm -rf .venv .tox .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* \
		build dist docs/_build var
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/uv: constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	touch $@

.venv/.%: pyproject.toml constraints.txt | $(BIN)/uv
	$(INSTALL) --group $*
	touch $@

# Services that the tests start themselves, and headers to build a database driver.
.venv/.databases: tests/install.sh pyproject.toml constraints.txt | $(BIN)/uv
	bash tests/install.sh
	$(INSTALL) --group databases
	touch $@
