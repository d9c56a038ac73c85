# Everything here works with Python 3.11 or newer and make, and keeps to the folder of the project.
# `make help` lists what there is.

# Tried in this order; `make test PYTHON=python3.12` asks for one of them.
PYTHON ?= python3.13 python3.12 python3.11 python3
RUNBOOK ?= daily.yml
ARGS ?=
# Many tests wait for processes, so one more than the cores of a small machine; WORKERS= runs the tests in one process.
WORKERS ?= --numprocesses=3 --dist=worksteal

VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
LOCK := requirements/development.txt
PIP := $(VENV_PYTHON) -m pip install --quiet --quiet --disable-pip-version-check
# The build backend is pinned like the rest, so the package is built with what is installed.
INSTALL_PACKAGE := $(PIP) --no-build-isolation --editable .

# What runs outside pytest finds the tests' settings and the example's apps as the suite does.
WITH_PROJECT := PYTHONPATH=.:example_project

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: $(VENV)/.runtime-installed ## set up and run the example's runbook (RUNBOOK=daily.yml, ARGS=--plan)
	@$(VENV_PYTHON) example_project/manage.py run_runbook $(RUNBOOK) $(ARGS)

# The report comes after a failing suite as well, and the suite's exit code is kept.
.PHONY: test
test: $(VENV)/.development-installed ## set up and run the tests, with branch coverage (ARGS="-k yaml")
	@$(VENV_PYTHON) -m coverage erase
	@status=0; \
	$(VENV_PYTHON) -m coverage run -m pytest $(WORKERS) $(ARGS) || status=$$?; \
	$(VENV_PYTHON) -m coverage combine --quiet && $(VENV_PYTHON) -m coverage report || [ $$status -ne 0 ] || status=1; \
	exit $$status

.PHONY: lint
lint: $(VENV)/.development-installed ## hold the code to ruff's rules and format
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) -m ruff format --check .

.PHONY: format
format: $(VENV)/.development-installed ## write the code as ruff has it
	@$(VENV_PYTHON) -m ruff check --fix .
	@$(VENV_PYTHON) -m ruff format .

.PHONY: types
types: $(VENV)/.development-installed ## check the types, strictly
	@$(VENV_PYTHON) -m mypy

.PHONY: migrations
migrations: $(VENV)/.development-installed ## check that no model lacks its migration
	@$(WITH_PROJECT) DJANGO_SETTINGS_MODULE=tests.settings $(VENV_PYTHON) -m django makemigrations --check --dry-run
	@$(VENV_PYTHON) example_project/manage.py makemigrations --check --dry-run

# Strict: a warning, such as a reference that leads nowhere, is a failure; anew each time, or it would be told once only.
.PHONY: docs
docs: $(VENV)/.development-installed ## build the documentation into docs/_build/html
	@$(VENV_PYTHON) -m sphinx --builder html --fresh-env --nitpicky --fail-on-warning --keep-going --quiet \
	  docs docs/_build/html

.PHONY: check
check: lint types migrations docs test ## all of the above, before a commit

.PHONY: matrix
matrix: $(VENV)/.development-installed ## run the tests on each Python that is here, with each Django
	@$(VENV_PYTHON) -m nox --session interpreters tests -- $(ARGS)

.PHONY: screenshot
screenshot: $(VENV)/.development-installed ## make the README's picture of the admin, with the Chromium that is here
	@$(VENV_PYTHON) example_project/screenshot.py

.PHONY: lock
lock: $(VENV)/.development-installed ## pin the dependencies anew (ARGS=--upgrade takes the newest)
	@$(VENV_PYTHON) -m nox --session lock -- $(ARGS)

.PHONY: clean
clean: ## remove the environments and what the tools left
	rm -rf $(VENV) .nox .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist docs/_build

# Installing. A stamp is written when all went well; `.incomplete` is there while it goes on, so that what an
# interrupted installation left is thrown away and not built upon.

FITS := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))

define ensure_venv
	@if [ ! -e $(VENV)/.incomplete ] && $(VENV_PYTHON) -m pip --version >/dev/null 2>&1 \
	    && $(VENV_PYTHON) -c '$(FITS)' 2>/dev/null; then exit 0; fi; \
	for python in $(PYTHON); do \
	  if $$python -c '$(FITS)' >/dev/null 2>&1; then \
	    echo "Making $(VENV) with $$($$python --version)"; \
	    exec $$python -m venv --clear $(VENV); \
	  fi; \
	done; \
	echo "No Python 3.11 or newer that can make virtual environments was found (tried: $(PYTHON))." >&2; \
	echo "Install one (on Debian and Ubuntu with its -venv package), or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; \
	exit 1
	@touch $(VENV)/.incomplete
endef

# The interpreter is a link: when the Python that it leads to is replaced or gone, the environment is made anew.
INTERPRETER := $(shell if test -x $(VENV_PYTHON); then echo $(VENV_PYTHON); else echo missing-interpreter; fi)
.PHONY: missing-interpreter
missing-interpreter:

$(VENV)/.runtime-installed: pyproject.toml $(LOCK) $(INTERPRETER)
	$(ensure_venv)
	@echo "Installing django-runbook"
	@$(PIP) --constraint $(LOCK) hatchling
	@$(INSTALL_PACKAGE) --constraint $(LOCK)
	@rm $(VENV)/.incomplete
	@touch $@

$(VENV)/.development-installed: pyproject.toml $(LOCK) $(INTERPRETER)
	$(ensure_venv)
	@echo "Installing django-runbook and the tools of its development"
	@$(PIP) --requirement $(LOCK)
	@$(INSTALL_PACKAGE) --no-deps
	@rm $(VENV)/.incomplete
	@touch $@
