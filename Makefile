# Everything here works with Python 3.11 or newer and make, and keeps to the folder of the project.
# `make help` lists what there is.

# Tried in this order; `make test PYTHON=python3.12` asks for one of them.
PYTHON ?= python3.13 python3.12 python3.11 python3
RUNBOOK ?= daily.yml
ARGS ?=
# Many tests wait for processes, so twice the cores of a small machine; WORKERS= runs the tests in one process.
WORKERS ?= --numprocesses=4 --dist=worksteal
export WORKERS

VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
# Pinned, with hashes: pip refuses a download that has another one, and a package that is not in the file.
RUNTIME := requirements/runtime.txt
DEVELOPMENT := requirements/development.txt
PIP := $(VENV_PYTHON) -m pip install --quiet --quiet --disable-pip-version-check
# The build backend is pinned like the rest, so the package is built with what is installed.
INSTALL_PACKAGE := $(PIP) --no-deps --no-build-isolation --editable .

# Without its bytecode, every process that runs tests compiles all of them, and every process that a test starts the package.
unexport PYTHONDONTWRITEBYTECODE

# What runs outside pytest finds the tests' settings and the example's apps as the suite does.
WITH_PROJECT := PYTHONPATH=.:example_project

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: $(VENV)/.runtime-installed ## set up and run the example's runbook (RUNBOOK=daily.yml, ARGS=--plan)
	@$(VENV_PYTHON) example_project/manage.py run_runbook $(RUNBOOK) $(ARGS)

.PHONY: demo-workers
demo-workers: $(VENV)/.runtime-installed ## set up and run the example's backfill on two workers of this host
	@$(VENV_PYTHON) example_project/demo_workers.py

.PHONY: demo-reporters
demo-reporters: $(VENV)/.development-installed ## set up, run the example's runbook, print what its reporters send
	@$(VENV_PYTHON) example_project/receiver.py $(VENV_PYTHON) example_project/manage.py run_runbook $(RUNBOOK) $(ARGS)

.PHONY: test
test: $(VENV)/.development-installed ## set up and run the tests (ARGS="-k yaml")
	@$(VENV_PYTHON) -m pytest $(WORKERS) $(ARGS)

# Tests that start processes, connect to services, open a browser or take long are marked as slow.
# `make test` runs them too, and tries more random examples.
.PHONY: test-fast
test-fast: $(VENV)/.development-installed ## run the tests that are not marked as slow
	@HYPOTHESIS_PROFILE=fast $(VENV_PYTHON) -m pytest --numprocesses=2 --dist=worksteal -m "not slow" $(ARGS)

# What CONTRIBUTING.md asks of the code: imports, sizes, names and words.
HOUSE := tests/test_house.py tests/test_shape.py tests/test_language.py tests/test_suite.py
.PHONY: house
house: $(VENV)/.development-installed ## check imports, sizes, names and words, in seconds
	@$(VENV_PYTHON) -m pytest --quiet $(HOUSE) $(ARGS)

# As many random examples, kills and seeds as a night has time for.
DEEP := HYPOTHESIS_PROFILE=deep KILL_TEST_ROUNDS=100 QUEUE_KILL_ROUNDS=100 RUNBOOK_KILL_ROUNDS=200 RUNBOOK_FUZZ_SEEDS=500 \
        RUNBOOK_YEARS=100
.PHONY: test-deep
test-deep: $(VENV)/.development-installed ## run the tests with many more random examples
	@$(DEEP) $(VENV_PYTHON) -m pytest $(WORKERS) $(ARGS)

# Every process that a test starts is measured too, which makes the suite nearly twice as slow. The report comes after a
# failing suite as well, and the suite's exit code is kept.
.PHONY: coverage
coverage: $(VENV)/.development-installed ## run the tests with branch coverage, and report it
	@$(VENV_PYTHON) -m coverage erase
	@status=0; \
	$(VENV_PYTHON) -m coverage run -m pytest $(WORKERS) $(ARGS) || status=$$?; \
	$(VENV_PYTHON) -m coverage combine --quiet && $(VENV_PYTHON) -m coverage report || [ $$status -ne 0 ] || status=1; \
	exit $$status

.PHONY: lint
lint: $(VENV)/.development-installed ## check the code against ruff's rules and format
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) -m ruff format --check .

.PHONY: format
format: $(VENV)/.development-installed ## fix what ruff can fix, and format the code
	@$(VENV_PYTHON) -m ruff check --fix .
	@$(VENV_PYTHON) -m ruff format .

.PHONY: types
types: $(VENV)/.development-installed ## check the types, strictly
	@$(VENV_PYTHON) -m mypy

.PHONY: migrations
migrations: $(VENV)/.development-installed ## check that every model has its migration
	@$(WITH_PROJECT) DJANGO_SETTINGS_MODULE=tests.settings $(VENV_PYTHON) -m django makemigrations --check --dry-run
	@$(VENV_PYTHON) example_project/manage.py makemigrations --check --dry-run

# Strict: a warning, such as a broken reference, is an error. Every page is read each time: Sphinx warns about a page only
# when it reads it.
.PHONY: docs
docs: $(VENV)/.development-installed ## build the documentation into docs/_build/html
	@$(VENV_PYTHON) -m sphinx --builder html --fresh-env --nitpicky --fail-on-warning --keep-going --quiet \
	  docs docs/_build/html

# The one definition of the checks: nox, .ci/run and pre-commit call these targets.
.PHONY: static
static: lint types migrations docs ## run every check except the tests

.PHONY: check
check: static test ## run every check and the tests, before a commit

.PHONY: matrix
matrix: $(VENV)/.development-installed ## run the tests on each installed Python, with each Django
	@$(VENV_PYTHON) -m nox --session interpreters tests -- $(ARGS)

.PHONY: ends
ends: $(VENV)/.development-installed ## run the tests on the oldest and the newest pair of Python and Django
	@$(VENV_PYTHON) -m nox --tags ends -- $(ARGS)

.PHONY: package
package: $(VENV)/.development-installed ## build the wheel and the sdist into dist/
	@rm -rf dist
	@$(VENV_PYTHON) -m hatchling build

.PHONY: screenshot
screenshot: $(VENV)/.development-installed ## make the README's picture of the admin, with the installed Chromium
	@$(VENV_PYTHON) example_project/screenshot.py

.PHONY: editor-screenshot
editor-screenshot: $(VENV)/.development-installed ## make the picture of an editor, with nvim, tmux and yaml-language-server
	@$(VENV_PYTHON) example_project/editor_screenshot.py

.PHONY: lock
lock: $(VENV)/.development-installed ## pin the dependencies again (ARGS=--upgrade takes the newest)
	@$(VENV_PYTHON) -m nox --session lock -- $(ARGS)

.PHONY: clean
clean: ## remove the environments, caches and build results
	rm -rf $(VENV) .nox .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist docs/_build

# Installing. A stamp is written after a complete installation. `.incomplete` exists until then, so that the next call
# deletes an environment whose installation was interrupted.

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

# The interpreter is a link: when its Python was replaced or removed, the environment is created again.
INTERPRETER := $(shell if test -x $(VENV_PYTHON); then echo $(VENV_PYTHON); else echo missing-interpreter; fi)
.PHONY: missing-interpreter
missing-interpreter:

$(VENV)/.runtime-installed: pyproject.toml $(RUNTIME) $(INTERPRETER)
	$(ensure_venv)
	@echo "Installing django-runbook"
	@$(PIP) --requirement $(RUNTIME)
	@$(INSTALL_PACKAGE)
	@rm $(VENV)/.incomplete
	@touch $@

$(VENV)/.development-installed: pyproject.toml $(DEVELOPMENT) $(INTERPRETER)
	$(ensure_venv)
	@echo "Installing django-runbook and its development tools"
	@$(PIP) --requirement $(DEVELOPMENT)
	@$(INSTALL_PACKAGE)
	@rm $(VENV)/.incomplete
	@touch $@
