"""Holds the tests to the folders of the package, and their time limits to one variable."""

from __future__ import annotations

import ast
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests import slowness
from tests.conftest import BOTH_WAYS
from tests.ordering import LONG, long_first
from tests.syntax import nodes_of

ROOT: Final = Path(__file__).parent.parent
TESTS: Final = ROOT / "tests"
PACKAGE: Final = ROOT / "src" / "django_runbook"

# Folders and files that have no module of their name, with what they test instead.
CROSS_CUTTING: Final = {
    "browser": "the pages of the admin, in a browser",
    "example": "the example project",
    "fuzz": "a whole run and all its reports, with random data",
    "hosts": "runs inside workers, servers and projects of other people",
    "importing/test_control_flow.py": "imported scripts, against what a shell runs",
    "importing/test_golden.py": "whole crontabs and scripts, by golden files",
    "importing/test_properties.py": "any text as a script and as a crontab",
    "interruptions": "the table of interruptions in the documentation",
    "admin/test_markup.py": "any text in every page of the admin, and what a page loads",
    "admin/test_run_page.py": "the page of a run, with its steps",
    "batch/test_init.py": "the names that a package exports",
    "binding/test_fidelity.py": "the whole binding, against what manage.py does",
    "binding/test_properties.py": "the whole binding, with random parsers",
    "document/test_golden.py": "every diagnostic, by golden files",
    "test_tracing.py": "traces of whole processes, at a collector",
    "queues/test_traces.py": "traces of whole runs with their workers, at a collector",
    "document/test_bad_input.py": "any text as a file",
    "document/test_hostile_data.py": "any data in any expression",
    "document/evaluation/test_bounds.py": "the limits of every operation",
    "editor/test_properties.py": "the whole schema, with random parsers",
    "editor/test_yaml_language_server.py": "the whole schema, in a language server",
    "executors/test_hostile.py": "commands that attack their process",
    "journal/test_databases.py": "a run and its journal on each database",
    "journal/test_killing.py": "a run that is killed at any moment and resumed",
    "journal/test_outages.py": "a run whose database is away",
    "language_server/test_any_position.py": "every request, at any place of any text",
    "locks/test_every_backend.py": "the promise that all backends make",
    "locks/test_pgbouncer.py": "locks through a pooler",
    "process/test_state.py": "the state that a step leaves to the next",
    "runner/test_standard_input.py": "what a command reads, in each place where commands run",
    "queues/test_breaking.py": "a call whose worker is killed, or loses its database, at any statement",
    "queues/test_killing.py": "steps whose workers, run and broker are killed at any moment",
    "reporters/test_nasty_text.py": "any text in every reporter",
    "resume/test_stopped_blocks.py": "blocks that a stop has left, and that a resume continues",
    "runner/test_calls.py": "runbooks that run runbooks",
    "runner/test_data.py": "any data in a run",
    "runner/test_handlers.py": "what runs after a failure",
    "runner/test_model.py": "random runbooks, against a model",
    "runner/test_parallel.py": "timeouts and signals among steps that run together",
    "runner/test_secrets.py": "secrets in every output",
    "row_counting/test_runs.py": "the rows that steps change, in events, the history and reports",
    "runner/test_standard_streams.py": "a run without its standard descriptors",
    "schedules/test_agreement.py": "the times of schedules, as schedulers read them",
    "test_benchmarks.py": "the benchmarks, with little work",
    "test_commands.py": "the commands, from a shell",
    "test_design_example.py": "the example of the design",
    "test_doc_examples.py": "the examples of the documentation",
    "test_docs.py": "the documentation",
    "test_house.py": "the imports of the package",
    "test_language.py": "the language of the package",
    "test_shape.py": "the sizes and names of the package",
    "test_suite.py": "the tests",
}

# What takes a limit in seconds, by position or by keyword.
_WAITING: Final = {
    *("acquire", "call", "check_call", "check_output", "communicate", "connect", "create_connection", "from_url"),
    *("get", "join", "result", "run", "wait"),
}
_LIMITS: Final = {"timeout", "connect_timeout", "socket_timeout"}
# A file without any of it has no limit, and need not be parsed.
_MAY_LIMIT: Final = re.compile(r"monotonic\(\)\s*\+\s*[\d.]|\b(wait|join)\(\s*[\d.]|timeout\s*=|PATIENCE\w*\s*[:=]")


def _has_module(path: Path) -> bool:
    name = path.stem.removeprefix("test_")
    module = PACKAGE / path.parent / name
    return module.with_suffix(".py").exists() or (module / "__init__.py").exists()


def test_each_file_of_tests_is_named_for_a_module() -> None:
    files = sorted(path.relative_to(TESTS) for path in TESTS.rglob("test_*.py"))
    known = {Path(name) for name in CROSS_CUTTING}
    found = [str(path) for path in files if not known & {path, *path.parents} and not _has_module(path)]
    assert found == []


def test_what_is_cross_cutting_is_there_and_has_no_module() -> None:
    assert [name for name in CROSS_CUTTING if not (TESTS / name).exists() or _has_module(Path(name))] == []


def test_the_modules_that_run_both_ways_are_there() -> None:
    assert [name for name in BOTH_WAYS if not (ROOT / name.replace(".", "/")).with_suffix(".py").exists()] == []


def test_the_modules_that_take_long_are_there() -> None:
    assert [name for name in LONG if not (ROOT / name.replace(".", "/")).with_suffix(".py").exists()] == []


def test_each_process_begins_with_some_of_the_long_tests() -> None:
    tests = [*range(1, 11)]
    assert long_first(tests, [9, 4, 10, 2], process_count=3) == [9, 2, 1, 4, 3, 5, 10, 6, 7, 8]
    assert long_first(tests, [9], process_count=1) == [9, *range(1, 9), 10]
    assert long_first([1, 2, 3], [1, 2, 3], process_count=1) == [1, 2, 3]
    assert sorted(long_first([1, 2, 3], [1, 2, 3], process_count=2)) == [1, 2, 3]


def limits(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the time limits that are written as a number."""
    for node in nodes:
        match node:
            case ast.BinOp(left=ast.Call(func=ast.Attribute(attr="monotonic")), op=ast.Add(), right=ast.Constant()):
                yield node
            case ast.Call(func=ast.Attribute(value=ast.Name(id="command"))):
                # It takes what a test gives it.
                continue
            case ast.Call(func=ast.Attribute(attr="wait" | "join"), args=[ast.Constant(value=int() | float())]):
                yield node
            case ast.Call(func=ast.Attribute(attr=name), keywords=keywords) if name in _WAITING:
                yield from (
                    keyword
                    for keyword in keywords
                    if keyword.arg in _LIMITS and isinstance(keyword.value, ast.Constant) and keyword.value.value
                )
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if "PATIENCE" in name:
                    yield node


@pytest.mark.parametrize(
    ("text", "is_limit"),
    [
        ("deadline = time.monotonic() + 20", True),
        ("deadline = time.monotonic() + PATIENCE_SECONDS", False),
        ("process.communicate(timeout=20)", True),
        ("process.communicate(timeout=scaled(20))", False),
        ("process.wait(20)", True),
        ("thread.join(timeout=PATIENCE_SECONDS)", False),
        ("leaf('c1', timeout=2)", False),
        ("lock.acquire(timeout=0)", False),
        ("PATIENCE_SECONDS = 20.0", True),
    ],
)
def test_limits_are_recognized(text: str, *, is_limit: bool) -> None:
    assert bool(list(limits(ast.walk(ast.parse(text))))) is is_limit
    assert not is_limit or _MAY_LIMIT.search(text)


# It reads all tests, and `make house` runs it in any case.
@pytest.mark.slow
def test_each_time_limit_is_scaled_by_the_one_variable() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        for path in sorted(TESTS.rglob("*.py"))
        if path != TESTS / "patience.py" and _MAY_LIMIT.search(path.read_text())
        for node in limits(nodes_of(path))
    ]
    assert found == []


def test_what_threads_of_earlier_tests_do_is_not_noted() -> None:
    go = threading.Event()

    def connect() -> None:
        go.wait()
        sys.audit("socket.connect")

    earlier = threading.Thread(target=connect)
    earlier.start()
    slowness.begin()
    go.set()
    earlier.join()
    seen_of_earlier = list(slowness.noted)
    own = threading.Thread(target=connect)
    own.start()
    own.join()
    seen = list(slowness.noted)
    # This test does not connect to anything itself.
    slowness.noted.clear()
    assert (seen_of_earlier, seen) == ([], ["socket.connect"])
