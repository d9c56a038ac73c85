"""The commands from outside: what they print, with which exit code, and where they look for files."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError

from tests.patience import PATIENCE_SECONDS
from tests.runner.support import run, start

BAD = "steps:\n  - noop --verbosty 2\n"


def check(*names: str, **options: Any) -> tuple[str, int]:
    stdout = io.StringIO()
    try:
        call_command("check_runbooks", *names, stdout=stdout, **options)
    except CommandError as error:
        # What could not be checked at all has no report.
        if not stdout.getvalue():
            raise
        return stdout.getvalue(), error.returncode
    return stdout.getvalue(), 0


@pytest.fixture
def folder(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "books" / "deep").mkdir(parents=True)
    settings.RUNBOOK = {**settings.RUNBOOK, "DIRS": [tmp_path / "books"]}
    return tmp_path / "books"


def test_all_runbooks_are_checked_when_none_is_named(folder: Path) -> None:
    (folder / "good.yml").write_text("steps: [noop]")
    (folder / "deep" / "bad.yaml").write_text(BAD)
    (folder / ".hidden.yml").write_text("not: a runbook")
    text, exit_code = check()
    assert exit_code == 2
    assert "books/good.yml: no problems" in text
    assert ".hidden" not in text
    assert 'books/deep/bad.yaml:2:10: error[RB403]: "noop" has no option "--verbosty"' in text


def test_json_and_github_formats(folder: Path) -> None:
    (folder / "bad.yml").write_text(BAD)
    (item,) = json.loads(check("bad.yml", format="json")[0])
    assert (item["file"], item["line"], item["column"], item["end_column"], item["code"]) == (
        "books/bad.yml",
        2,
        10,
        20,
        "RB403",
    )
    assert check("bad.yml", format="github")[0].startswith(
        "::error file=books/bad.yml,line=2,col=10,endLine=2,endColumn=20,title=RB403::"
    )


def test_a_file_is_found_in_the_working_directory_first(folder: Path) -> None:
    (folder / "same.yml").write_text("steps: [noop]")
    assert "books/same.yml" in check("same.yml")[0]
    Path("same.yml").write_text("steps: [noop]")
    assert check("same.yml")[0].startswith("same.yml")


@pytest.mark.parametrize("suffix", [".yml", ".yaml"])
def test_the_suffix_of_a_runbook_is_optional(folder: Path, suffix: str) -> None:
    (folder / f"same{suffix}").write_text("steps: [noop]")
    assert f"books/same{suffix}: no problems" in check("same")[0]
    # A folder of that name is not meant.
    Path("same").mkdir()
    Path(f"same{suffix}").write_text("steps: [noop]")
    assert check("same")[0].startswith(f"same{suffix}:")


def test_no_runbook_anywhere_is_an_error(folder: Path) -> None:
    with pytest.raises(CommandError, match="no runbook was found"):
        check()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "must be a dictionary"),
        ({"DIR": []}, 'did you mean "DIRS"\\?'),
        ({"DIRS": "x"}, "must be a list"),
        ({"STOP_TIMEOUT": "8"}, "must be a number"),
    ],
)
def test_a_wrong_setting_is_reported(settings: Any, value: object, words: str) -> None:
    settings.RUNBOOK = value
    with pytest.raises(CommandError, match=words) as caught:
        check()
    assert caught.value.returncode == 2


def test_the_system_check_reports_invalid_runbooks(folder: Path) -> None:
    (folder / "bad.yml").write_text(BAD)
    with pytest.raises(SystemCheckError, match=r"django_runbook\.E403") as caught:
        call_command("check")
    assert "books/bad.yml:2:10" in str(caught.value)
    (folder / "bad.yml").write_text("steps: [noop]")
    call_command("check", stdout=io.StringIO())


def test_a_secret_is_masked_in_diagnostics_and_in_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter22")
    finished = run(tmp_path, "secrets: [TOKEN]\nsteps: ['say --to ${{ secrets.TOKEN }}']")
    assert finished.exit_code == 2
    assert '--to cannot be "***"' in finished.errors
    assert "hunter22" not in finished.errors


@pytest.mark.slow
def test_the_exit_code_is_the_runs_where_nobody_reads(tmp_path: Path) -> None:
    process = start(tmp_path, "steps: [noop, say words, fail --code 3]", "--format", "plain")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        errors = process.stderr.read()
    assert process.wait(PATIENCE_SECONDS) == 1
    assert errors.count("was disabled") == 1
    assert "Traceback" not in errors


@pytest.mark.slow
def test_nothing_is_imported_for_other_commands() -> None:
    code = (
        "import django, sys; django.setup(); from django.core.management import call_command; call_command('noop'); "
        "print([name for name in ('yaml', 'pydantic', 'rich', 'jinja2', 'django_runbook.checking') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_environ())
    assert done.stdout == "[]\n"


def _environ() -> dict[str, str]:
    root = Path(__file__).parent.parent
    paths = os.pathsep.join(str(path) for path in (root / "src", root, root / "example_project"))
    return {**os.environ, "PYTHONPATH": paths, "DJANGO_SETTINGS_MODULE": "tests.settings"}


# What a run of a command without typed keys, expressions or a terminal leaves alone: each makes every start slower.
NOT_FOR_A_PLAIN_RUN = (
    "cronsim",
    "django_runbook.configured_reporters",
    "django_runbook.describing",
    "django_runbook.document.cron",
    "django_runbook.document.evaluation.analysis",
    "django_runbook.document.evaluation.evaluator",
    "django_runbook.document.syntax.quoting",
    "django_runbook.document.validation.schema",
    "django_runbook.journal.opening",
    "django_runbook.locks.mysql",
    "django_runbook.locks.postgresql",
    "django_runbook.locks.redis",
    "django_runbook.planning.dry_run",
    "django_runbook.process.secret_masker",
    "django_runbook.reporters.github",
    "django_runbook.reporters.junit",
    "django_runbook.reporters.log_dir",
    "django_runbook.reporters.rich_",
    "django_runbook.resume",
    "django_runbook.row_counting.connection_counter",
    "django_runbook.row_counting.statement_text",
    "django_runbook.schedules",
    "importlib.metadata",
    "jinja2",
    "pydantic",
    "pydantic_core",
    "rich",
)
# What a run in one process leaves alone too.
NOT_FOR_AN_INLINE_RUN = (
    "ctypes",
    "django_runbook.executors.keeper",
    "django_runbook.executors.process",
    "django_runbook.executors.server",
    "django_runbook.executors.spawner",
    "django_runbook.process.manage_script",
)
# Prints the modules and functions that lead to the import of an unwanted module, the outermost first.
WATCH_IMPORTS = """
import os, sys, traceback
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in unwanted:
            frames = [frame for frame in traceback.extract_stack() if "importlib" not in frame.filename]
            chain = [f"{os.path.relpath(frame.filename)}:{frame.lineno}" for frame in frames[:-1]]
            print("unwanted", " > ".join([*chain, name]), flush=True)
sys.meta_path.insert(0, Watch())
import django; django.setup()
from django.core.management import call_command
call_command("run_runbook", *sys.argv[1:], format="plain")
"""


def _unwanted_imports(path: Path, unwanted: tuple[str, ...], *options: str) -> list[str]:
    code = f"unwanted = {unwanted}\n{WATCH_IMPORTS}"
    command = [sys.executable, "-c", code, str(path), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=_environ())
    assert "succeeded" in done.stdout
    return [line for line in done.stdout.splitlines() if line.startswith("unwanted ")]


@pytest.mark.slow
def test_the_times_of_a_schedule_are_not_computed_in_a_run(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("schedule: {cron: 15 2 * * *, timezone: UTC}\nsteps: [noop]")
    assert _unwanted_imports(tmp_path / "x.yml", ("cronsim", "django_runbook.schedules")) == []


@pytest.mark.slow
def test_a_plain_run_imports_nothing_that_only_other_runs_need(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("steps: [noop]")
    unwanted = _unwanted_imports(tmp_path / "x.yml", NOT_FOR_A_PLAIN_RUN)
    assert not unwanted, "\n".join(unwanted)


@pytest.mark.slow
def test_a_plain_run_in_one_process_imports_nothing_that_starts_others(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("steps: [noop]")
    unwanted = _unwanted_imports(tmp_path / "x.yml", (*NOT_FOR_A_PLAIN_RUN, *NOT_FOR_AN_INLINE_RUN), "--inline")
    assert not unwanted, "\n".join(unwanted)


@pytest.mark.slow
def test_an_unwanted_import_is_reported_with_what_leads_to_it(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("steps: [{id: one, command: noop}]")
    (line,) = _unwanted_imports(tmp_path / "x.yml", ("django_runbook.document.validation.schema",))
    assert "api.py:" in line
    assert line.endswith(" > django_runbook.document.validation.schema")
    assert "document/validation/reading.py:" in line.split(" > ")[-2]


# Prints the modules that are loaded when a command of a project with the admin has ended.
LIST_MODULES = """
import sys
from django.conf import settings
from django.core.management import execute_from_command_line
apps = ["admin", "auth", "contenttypes", "messages", "sessions"]
settings.configure(
    SECRET_KEY="x",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[*(f"django.contrib.{app}" for app in apps), "tests.testapp", *OWN_APPS],
    RUNBOOK={"JOURNAL": False},
)
execute_from_command_line(sys.argv)
print(*sys.modules)
"""
# PyYAML and the core of our data classes, and modules of Python that are written in C or tiny.
FOR_A_PLAIN_RUN = {"yaml", "_yaml", "msgspec", "typing_extensions", "encodings", "gc", "pwd", "resource", "shlex"}


def _modules(own_apps: list[str], *words: str) -> set[str]:
    code = f"OWN_APPS = {own_apps}\n{LIST_MODULES}"
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=_environ())
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.slow
def test_a_plain_run_needs_nothing_beyond_django_but_yaml_and_ourselves(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("steps: [noop]")
    ours = _modules(["django_runbook"], "run_runbook", str(tmp_path / "x.yml"), "--inline", "--format", "plain")
    packages = {name.partition(".")[0] for name in ours - _modules([], "noop")}
    # Compiled modules of PyYAML bring those of Cython.
    cython = {name for name in packages if "cython" in name}
    assert "yaml" in packages
    assert packages - FOR_A_PLAIN_RUN - cython - {"django_runbook", "django"} == set()


def test_a_runbook_can_run_a_runbook_and_a_thread_can_run_one(tmp_path: Path) -> None:
    (tmp_path / "inner.yml").write_text("steps: [say inside]")
    finished = run(tmp_path, f"steps: ['run_runbook {tmp_path}/inner.yml --format plain', say outside]")
    assert finished.exit_code == 0, finished.shown
    assert "succeeded: 1 succeeded" in finished.output("run_runbook")[-1]
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(run(tmp_path, "steps: [noop]").exit_code))
    thread.start()
    thread.join(PATIENCE_SECONDS)
    assert results == [0]


def test_plan_and_list(tmp_path: Path) -> None:
    path = tmp_path / "x.yml"
    path.write_text(
        "params: {n: 1}\nsteps: [noop, {name: A group, tags: [red], steps: [{id: two, command: 'say ${{ params.n }}', when: params.n > 1}]}]\n"
        "finally: [say end]\n"
    )
    stdout = io.StringIO()
    call_command("run_runbook", str(path), plan=True, stdout=stdout, skip=["two"])
    assert stdout.getvalue().splitlines()[1:] == [
        "  n = 1",
        "  noop",
        "  A group:",
        "    say 1  # when params.n > 1, excluded by --skip",
        "finally:",
        "  say end",
    ]
    stdout = io.StringIO()
    call_command("run_runbook", str(path), list=True, stdout=stdout)
    assert [line.split() for line in stdout.getvalue().splitlines()] == [
        ["noop"],
        ["a_group", "A", "group", "[red]"],
        ["two", "say"],
        ["say", "(finally)"],
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("options", "code"), [((), 0), (("--strict",), 1)], ids=["plain", "strict"])
def test_a_report_that_cannot_be_written_is_a_warning_of_the_run(
    tmp_path: Path, options: tuple[str, ...], code: int
) -> None:
    process = start(tmp_path, "steps: [noop]", "--junit", "/dev/full/report.xml", "--format", "plain", *options)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == code, stdout + stderr
    assert "warning: --junit could not be written: " in stdout
    assert "warning: 1 succeeded" in stdout
