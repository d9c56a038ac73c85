"""Golden pairs: each `NAME.yml` in `err` and `warn` gives the report in `NAME.out`; the files in `ok` give no diagnostic.

UPDATE_GOLDEN=1 rewrites the reports: read the change before you commit it.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, Final

import pytest
from django.core.management import CommandError, call_command

from django_runbook.document.codes import CODES, Severity
from tests.slow_cases import slow_if

GOLDEN = Path(__file__).parent.parent / "golden"
REPORTS: Final = sorted(path for folder in ("err", "warn") for path in (GOLDEN / folder).glob("*.yml"))
# Codes of what a repository cannot hold as a text file: `test_bad_input` makes such files.
WITHOUT_FILE: Final = {
    "RB101": "the file is missing, a directory or not readable",
    "RB102": "the file is larger than 1 MiB",
    "RB424": "it depends on the process of the run: `test_own_environments` has it",
}
# They have thousands of steps.
SLOW: Final = {"too_many_steps"}
# Keys of the setting RUNBOOK, by the name of the file that needs them.
CONFIGURATIONS: Final[dict[str, dict[str, object]]] = {
    "queues": {"QUEUE": {"BACKEND": "celery", "OPTIONS": {"app": "tests.celery_apps.two_queues"}}},
    "unknown_reporter": {"REPORTERS": {"oncall": "logging", "metrics": "logging"}},
    "local_queue": {"JOURNAL": True, "QUEUE": {"BACKEND": "celery", "OPTIONS": {"app": "tests.celery_apps.eager"}}},
}


def check(path: Path) -> tuple[str, int]:
    stdout, exit_code = io.StringIO(), 0
    try:
        call_command("check_runbooks", path.name, stdout=stdout)
    except CommandError as error:
        exit_code = error.returncode
    return stdout.getvalue(), exit_code


@pytest.mark.parametrize(
    "path", slow_if(lambda path: path.stem in SLOW, REPORTS), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
@pytest.mark.django_db
def test_the_report_equals_the_golden_file(path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.chdir(path.parent)
    settings.RUNBOOK = {**settings.RUNBOOK, **CONFIGURATIONS.get(path.stem, {})}
    text, exit_code = check(path)
    if os.environ.get("UPDATE_GOLDEN"):
        path.with_suffix(".out").write_text(text)
    golden = path.with_suffix(".out")
    shown = golden.read_text() if golden.exists() else ""
    assert text == shown, f"{golden.name} is another report, or missing: UPDATE_GOLDEN=1 writes it; read the change"
    assert exit_code == (2 if path.parent.name == "err" else 0)


@pytest.mark.parametrize("path", sorted((GOLDEN / "ok").glob("*.yml")), ids=lambda path: path.stem)
def test_a_valid_file_has_no_problems(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    assert check(path) == (f"{path.name}: no problems\n", 0)


@pytest.mark.parametrize(("folder", "severity"), [("err", Severity.ERROR), ("warn", Severity.WARNING)])
def test_each_code_has_a_golden_file_of_its_severity(folder: str, severity: Severity) -> None:
    shown = "".join(path.read_text() for path in (GOLDEN / folder).glob("*.out"))
    missing = {code for code, row in CODES.items() if row.severity is severity and f"{severity}[{code}]" not in shown}
    assert missing == {code for code in WITHOUT_FILE if CODES[code].severity is severity}, (
        f"add a file to tests/golden/{folder} that gives each of these codes: docs/extending/diagnostic-rule.md says how"
    )


def test_twenty_errors_are_reported_at_once() -> None:
    text = (GOLDEN / "err" / "twenty_errors.out").read_text()
    assert text.count(": error[RB") == 20
    assert text.endswith("20 errors in twenty_errors.yml\n")
