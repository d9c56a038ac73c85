"""Sets up what all tests share: hypothesis profiles without a deadline, no CI service around them, and no process left."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.checks.registry import registry
from hypothesis import settings as hypothesis_settings
from pytest_django import Settings

from django_runbook.process import isolation
from tests import slowness
from tests.examples import examples
from tests.executors import processes
from tests.ordering import LONG, long_first
from tests.patience import eventually, scaled
from tests.syntax import forget_trees

hypothesis_settings.register_profile("default", deadline=None)
hypothesis_settings.register_profile("deep", deadline=None, max_examples=examples(100))
hypothesis_settings.register_profile("fast", deadline=None, max_examples=examples(100))
hypothesis_settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# Python's argparse has no translations, and would look for them at each message.
os.environ["LANGUAGE"] = "C"

# Memory that a test has freed belongs to the system again: each fork copies the table of what the process still holds.
_MALLOC_OPTION_MMAP_THRESHOLD = -3
with contextlib.suppress(AttributeError):  # only the C library of GNU has it
    ctypes.CDLL(None).mallopt(_MALLOC_OPTION_MMAP_THRESHOLD, 256 * 1024)

# The commands that tests start would write for the log of GitHub's runner, as they do for users.
for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
    os.environ.pop(name, None)


# The behaviour of a run does not depend on where its steps run, but for what the docs list.
BOTH_WAYS = {
    "tests.journal.test_connection",
    "tests.journal.test_listener",
    "tests.journal.test_new_run",
    "tests.journal.test_steps",
    "tests.journal.test_success_write",
    "tests.planning.test_dry_run",
    "tests.planning.test_listing",
    "tests.planning.test_selection",
    "tests.process.test_stopping",
    "tests.resume.test_changes",
    "tests.resume.test_choices",
    "tests.resume.test_in_doubt",
    "tests.resume.test_loop_items",
    "tests.resume.test_remaining",
    "tests.resume.test_resumed_run",
    "tests.resume.test_rows",
    "tests.resume.test_read_outputs",
    "tests.resume.test_unfinished",
    "tests.runner.test_calls",
    "tests.runner.test_data",
    "tests.runner.test_handlers",
    "tests.runner.test_locking",
    "tests.runner.test_loops",
    "tests.runner.test_questions",
    "tests.runner.test_run",
    "tests.test_signals",
}


# What their parameters name: services, and processes of their own for steps.
SLOW_PARAMETERS = {"isolated", "postgresql", "mariadb", "redis", "cache"}
# They start processes, or connect to services.
SLOW_FIXTURES = {"postgresql", "mariadb", "server", "site", "chromium"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__ in BOTH_WAYS:
        only = metafunc.definition.get_closest_marker("only")
        database = metafunc.definition.get_closest_marker("django_db")
        if only is not None:
            ways = only.args
        elif database is not None and not database.kwargs.get("transaction"):
            # The transaction around the test forces each step into its process.
            ways = ("inline",)
        else:
            ways = ("inline", "isolated")
        metafunc.parametrize("way", ways, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what says itself, by a parameter or a fixture, that it needs more than this process, and order the tests."""
    for item in items:
        assert isinstance(item, pytest.Function)
        values = item.callspec.params.values() if hasattr(item, "callspec") else ()
        named = {value for value in values if isinstance(value, str)}
        if named & SLOW_PARAMETERS or SLOW_FIXTURES.intersection(item.fixturenames):
            item.add_marker(pytest.mark.slow)
    long = [item for item in items if isinstance(item, pytest.Function) and item.module.__name__ in LONG]
    items[:] = long_first(items, long, process_count=int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


slowness.watch()


def pytest_runtest_setup() -> None:
    slowness.begin()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    # Not before: the first test sets up what all others share.
    slowness.start_clock()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Fail a test that is slow and not marked as such, and one whose steps should run in processes, and do not."""
    # After the last test, what all tests share is torn down too.
    reasons = slowness.reasons() if nextitem is None else []
    yield
    if nextitem is not None:
        reasons = slowness.reasons()
    if reasons and item.get_closest_marker("slow") is None:
        pytest.fail(f"it is not marked as slow: {', '.join(reasons)}", pytrace=False)
    is_isolated = hasattr(item, "callspec") and item.callspec.params.get("way") == "isolated"
    if is_isolated and not reasons:
        pytest.fail('it runs no step in a process: mark it as only("inline")', pytrace=False)


@pytest.fixture(scope="module", autouse=True)
def trees_are_freed() -> Iterator[None]:
    """After each module, no syntax tree that its tests have read makes the forks of later tests slower."""
    yield
    forget_trees()


@pytest.fixture(autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the steps of the test in the process of the run, or each in one of its own."""
    chosen: str = getattr(request, "param", "inline")
    monkeypatch.setitem(settings.RUNBOOK, "ISOLATE", chosen == "isolated")
    if "fresh_interpreter" not in request.fixturenames:
        # The process of the tests may be forked, though it has threads of its own: they hold no lock that a step needs.
        monkeypatch.setattr(isolation, "can_fork", lambda *, owns_process: True)
    return chosen


@pytest.fixture(autouse=True)
def nothing_is_left_running(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After each test that runs runbooks no process that it started is alive, and no lock is held."""
    if request.path.parent.name not in {"runner", "executors", "process"}:
        yield
        return
    # Each program that a test starts inherits the mark, whatever becomes of who started it.
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    monkeypatch.setenv("MARK_OF_TEST", mark)
    yield
    left: list[str] = []

    def is_nothing_left() -> bool:
        left[:] = [*(processes.marked(mark) if slowness.noted else ()), *processes.held_locks()]
        return not left

    # A killed process is there for a moment more, until its parent has waited for it.
    assert eventually(is_nothing_left, within=scaled(5), pause_seconds=0.05), left


@pytest.fixture(scope="session", autouse=True)
def django_checks_once() -> None:
    """Keep the results of Django's own checks: each run repeats them, and no test changes what they check."""
    checks: set[Any] = registry.registered_checks
    for check in [check for check in checks if check.__module__.startswith("django.")]:
        checks.remove(check)
        checks.add(_checked_once(check))


def _checked_once(check: Any) -> Any:
    found: dict[str, Any] = {}

    @functools.wraps(check)
    def checked_once(**options: Any) -> Any:
        key = repr(options)
        if key not in found:
            found[key] = check(**options)
        return found[key]

    return checked_once


@pytest.fixture
def history(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Record the runs of the test, which starts in an empty directory."""
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": True}
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fresh_interpreter() -> None:
    """Has steps forked from a fresh interpreter, as in a host, and not from the process of the tests."""


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """Keep the name of the database: each worker has a folder of its own."""
