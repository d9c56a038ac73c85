"""Runs the tests that pages of the documentation show, against the modules that the same page shows.

A Python block whose first line is a path is a module: `# desk/locks.py` is `desk.locks`, `# src/django_runbook/x.py` is
`django_runbook.x`. What is under `tests/` is run.
"""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
import shutil
import subprocess
import sys
import types
import unittest
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import load_command_class

from django_runbook import conf, reporters, testing
from django_runbook.binding import checked
from django_runbook.document.codes import CODES, CodeDefinition, Severity
from django_runbook.document.validation import validate
from django_runbook.document.validation.rules import RULES
from django_runbook.planning import plan
from django_runbook.reporters.notifiers.notices import Notice
from django_runbook.schedules.job import Installation
from django_runbook.schedules.rendering import render
from django_runbook.structs import replace
from tests import test_reporters
from tests.document import test_golden
from tests.documentation import DOCS, PAGES, Block, blocks_of, names_in_table, section_of, write_files
from tests.reporters import test_nasty_text

PACKAGE = DOCS.parent / "src" / "django_runbook"
_MODULE = re.compile(r"# (?:src/)?(\S+)\.py\n")
_ROW_OF_CODE = re.compile(r'^    _(error|warning)\("(RB\d+)", "([^"]+)"\),$', re.MULTILINE)


def modules_of(page: Path) -> list[tuple[str, Block]]:
    """The modules that a page shows, with their names, in the order of the page."""
    found = [(_MODULE.match(block.text), block) for block in blocks_of(page) if block.language == "python"]
    return [(match[1].replace("/", "."), block) for match, block in found if match is not None]


def has_tests(page: Path) -> bool:
    return any(name.startswith("tests.") for name, _ in modules_of(page))


# The tests of locks connect to a server that is not there; those of the guide kill processes.
SLOW = {"lock-backend", "testing"}
# What a page's tests receive by the names of their parameters.
FIXTURES = {"runbook": testing.run}
WITH_TESTS = [page for page in PAGES if has_tests(page)]


def test_each_extension_point_has_a_page_with_tests() -> None:
    pages = {path.stem for path in (DOCS / "extending").glob("*.md")} - {"architecture"}
    assert pages == {page.stem for page in WITH_TESTS if page.parent.name == "extending"}
    assert pages == {"reporter", "lock-backend", "diagnostic-rule", "batch-part", "scheduler", "importer-rule"}


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * (page.stem in SLOW)) for page in WITH_TESTS],
    ids=[page.stem for page in WITH_TESTS],
)
# A test case closes its connections, so it cannot be inside the transaction of another test.
@pytest.mark.django_db(transaction=True)
def test_the_tests_of_a_page_pass(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_files(page, tmp_path)
    add_codes(page, monkeypatch)
    modules = [load(name, block, monkeypatch) for name, block in modules_of(page)]
    if page.stem == "diagnostic-rule":
        add_rules(page, modules, monkeypatch)
    assert sum(run(module) for module in modules if module.__name__.startswith("tests.")) > 0


def load(name: str, block: Block, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Execute a module of a page; until the test ends, it can be imported."""
    module = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(block.text, block.id, "exec"), vars(module))
    return module


def add_codes(page: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Add the codes that a page shows to the table; return each with its severity."""
    rows = _ROW_OF_CODE.findall(page.read_text())
    for severity, code, title in rows:
        monkeypatch.setitem(CODES, code, CodeDefinition(code=code, severity=Severity(severity), title=title))
    return [(severity, code) for severity, code, _ in rows]


def add_rules(page: Path, modules: list[types.ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    """Add each rule that a page shows to the table of its folder, as the modules that use the table see it."""
    users = {"document": validate, "binding": checked, "planning": plan}
    rules = [name for name, _ in shown(page, r"^    (check_\w+)(,)$")]
    added = [(rule, module) for rule in rules for module in modules if hasattr(module, rule)]
    for rule, module in ((rule, module) for rule, module in added if not module.__name__.startswith("tests.")):
        user = users.pop(module.__name__.split(".")[1])
        monkeypatch.setattr(user, "RULES", (*vars(user)["RULES"], getattr(module, rule)))
    assert users == {}


def shown(page: Path, pattern: str) -> list[tuple[str, str]]:
    """Return the rows of tables that a page shows."""
    found: list[tuple[str, str]] = re.findall(pattern, page.read_text(), re.MULTILINE)
    assert found, page
    return found


@pytest.fixture
def reporter_of_the_page(monkeypatch: pytest.MonkeyPatch) -> str:
    """Add the reporter of the page to the table of reporters."""
    page = DOCS / "extending" / "reporter.md"
    ((name, module),) = shown(page, r'^    "(\w+)": "(django_runbook\.reporters\.\w+)",$')
    load(module, dict(modules_of(page))[module], monkeypatch)
    monkeypatch.setitem(reporters.REPORTERS, name, module)
    return name


@pytest.mark.parametrize("verbosity", [0, 1, 2])
def test_the_reporter_of_the_page_passes_the_tests_of_all_reporters(
    reporter_of_the_page: str, verbosity: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = reporter_of_the_page
    test_reporters.test_a_closed_pipe_stops_the_reporter_but_not_the_run(name)
    test_reporters.test_a_failed_run_ends_with_the_command_line_that_resumes_it(name, verbosity)
    test_reporters.test_nothing_is_written_while_a_question_is_at_the_terminal(name)
    test_nasty_text.test_no_reporter_shows_hidden_characters(name, verbosity, tmp_path, monkeypatch)


@pytest.mark.django_db
def test_the_rule_of_the_page_passes_the_tests_of_all_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = DOCS / "extending" / "diagnostic-rule.md"
    severity, code = add_codes(page, monkeypatch)[0]
    module = load(*next(found for found in modules_of(page) if found[0].startswith("django_runbook.")), monkeypatch)
    monkeypatch.setattr(validate, "RULES", (*RULES, module.check_secret_names))
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "secrets.yml"
    file.write_text("secrets: [API_KEY, API_KEY]\nsteps: [check]\n")
    report, exit_code = test_golden.check(file)
    assert f"secrets.yml:1:20: {severity}[{code}]" in report
    assert exit_code == 2
    for golden in (test_golden.GOLDEN / "ok").glob("*.yml"):
        test_golden.test_a_valid_file_has_no_problems(golden, monkeypatch)


def test_the_codes_of_the_examples_are_free() -> None:
    shown = {code for _, code, _ in _ROW_OF_CODE.findall((DOCS / "extending" / "diagnostic-rule.md").read_text())}
    assert not shown & set(CODES), "renumber the examples of docs/extending/diagnostic-rule.md: these codes are taken"


def test_each_folder_that_the_page_names_has_a_table_of_rules() -> None:
    rows = re.findall(r"`([a-z/]+)/` \| `(\w+)` \|", (DOCS / "extending" / "diagnostic-rule.md").read_text())
    assert len(rows) == 3
    for folder, received in rows:
        module = importlib.import_module(f"django_runbook.{folder.replace('/', '.')}.rules")
        assert module.RULES
        assert hasattr(module, received)


def test_each_field_of_a_notice_is_listed() -> None:
    table = section_of(DOCS / "extending" / "reporter.md", "A reporter of a project").partition("| field |")[2]
    properties = {name for name, value in vars(Notice).items() if isinstance(value, property)}
    assert set(names_in_table(table)) == set(Notice.__struct_fields__) | properties


@pytest.mark.slow
def test_the_examples_of_the_pages_for_contributors_have_strict_types(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    root, files = DOCS.parent, []
    for folder in ("src", "tests", "example_project"):
        shutil.copytree(root / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for page in (DOCS / "extending" / f"{name}.md" for name in ("reporter", "diagnostic-rule", "batch-part")):
        for name, block in modules_of(page):
            file = tmp_path / ("src" if name.startswith("django_runbook.") else "") / f"{name.replace('.', '/')}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(block.text)
            files.append(str(file))
    # A cache that knows the modules of the package already.
    output = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            f"--config-file={root}/pyproject.toml",
            f"--cache-dir={root}/.mypy_cache",
            *files,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert output.returncode == 0, output.stdout


def run(module: types.ModuleType) -> int:
    """Runs the test functions and the test cases of a module, and counts them."""
    count = 0
    for name, value in list(vars(module).items()):
        if isinstance(value, type) and issubclass(value, unittest.TestCase) and value.__module__ == module.__name__:
            result = unittest.TestResult()
            unittest.defaultTestLoader.loadTestsFromTestCase(value).run(result)
            assert "".join(text for _, text in (*result.errors, *result.failures)) == ""
            count += result.testsRun
        elif name.startswith("test_") and callable(value):
            value(**{name: FIXTURES[name] for name in inspect.signature(value).parameters})
            count += 1
    return count


def test_each_package_is_described() -> None:
    listed = names_in_table(section_of(DOCS / "extending" / "architecture.md", "Packages"))
    assert set(listed) == {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {"migrations"}


def test_the_files_that_the_pages_for_contributors_name_exist() -> None:
    root, shown = DOCS.parent, set[str]()
    pages = sorted((DOCS / "extending").glob("*.md"))
    for page in pages:
        shown.update(name.replace(".", "/") + ".py" for name, _ in modules_of(page))
    for page in (*pages, root / "CONTRIBUTING.md"):
        for name in re.findall(r"`((?:[a-z_]+/)+(?:[a-z_]+\.py)?)`", page.read_text()):
            places = (root / name, root / "src" / name, PACKAGE / name)
            assert any(place.exists() for place in places) or name in shown, f"{page.name}: {name}"


def test_the_schedulers_of_the_deployment_page_wait_long_enough_and_call_the_command_rightly() -> None:
    text = (DOCS / "guide" / "deployment.md").read_text()
    setting = r"(?:^TimeoutStopSec=|^ +stop_grace_period: |^ +terminationGracePeriodSeconds: )(\d+)"
    waits = [int(seconds) for seconds in re.findall(setting, text, re.MULTILINE)]
    finally_count = 1
    needed_seconds = (conf.DEFAULT_STOP_TIMEOUT_SECONDS + 2) * (1 + finally_count)
    assert len(waits) == 3
    assert min(waits) > needed_seconds
    # A list of a container, or a line of cron and systemd.
    calls = [
        shlex.split(line.replace('"', "").replace(",", " ")) for line in re.findall(r"run_runbook(.*?)[\]\n]", text)
    ]
    lines = [call for call in calls if call[:1] == ["nightly.yml"]]
    assert len(lines) >= 4
    parser = load_command_class("django_runbook", "run_runbook").create_parser("manage.py", "run_runbook")
    assert [parser.parse_args(line).file for line in lines] == ["nightly.yml"] * len(lines)


def test_the_files_of_the_deployment_page_are_those_that_are_rendered(tmp_path: Path, settings: Any) -> None:
    page = DOCS / "guide" / "deployment.md"
    settings.RUNBOOK = {"DIRS": [tmp_path]}
    blocks = {block.text.splitlines()[0].rpartition("/")[2]: block.text for block in blocks_of(page)}
    (tmp_path / "nightly.yml").write_text(blocks["# nightly.yml"])
    place = Installation(python="/srv/desk/venv/bin/python", manage="manage.py", directory="/srv/desk", user="desk")
    table = render((), "crontab", replace(place, mailto="ops@example.com"))["runbooks"]
    units = render((), "systemd", replace(place, env_file="/etc/desk.env"))
    shown = {"desk": table, "nightly.service": units["nightly.service"], "nightly.timer": units["nightly.timer"]}
    for name, text in shown.items():
        assert blocks[name].partition("\n")[2] == text.partition("\n")[2]
    image = "registry.example.com/desk:2013-01-31"
    container = Installation(python="python", manage="manage.py", image=image, secret="desk")
    [job] = render((), "kubernetes", container).values()
    assert yaml.safe_load(blocks["# cronjob.yaml"]) == yaml.safe_load(job)
