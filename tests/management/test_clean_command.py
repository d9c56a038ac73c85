"""Each command survives a stream that encodes ASCII only, and writes files in UTF-8 even there."""

from __future__ import annotations

import io
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from django_runbook.management import commands
from django_runbook.management.clean_command import CleanOutput
from tests.management.commands.stored_runs import made
from tests.runner.support import environ

pytestmark = pytest.mark.django_db
RUNBOOK: Final = """\
name: Nächtliche Prüfung
description: Räumt auf. 🧹
params: {stadt: {default: Köln, help: Für diese Straße}}
schedule: {cron: "15 2 * * *", timezone: UTC}
steps: [{id: one, name: Grüße, command: say grüß}]
"""
# Calls of each command, with a part of the output if there is one; the language server has a protocol of its own.
SCREEN: Final = {
    "run_runbook": [
        ("nächtlich.yml --format plain", r"N\xe4chtliche Pr\xfcfung: 1 step"),
        ("nächtlich.yml --format rich", r"N\xe4chtliche Pr\xfcfung"),
        ("nächtlich.yml --format github", r"N\xe4chtliche Pr\xfcfung"),
        ("nächtlich.yml --format jsonl", r"N\u00e4chtliche"),
        ("nächtlich.yml --plan", r"N\xe4chtliche Pr\xfcfung (runbooks/n\xe4chtlich.yml)"),
        ("nächtlich.yml --describe", r"R\xe4umt auf. \U0001f9f9"),
        ("nächtlich.yml --list", r"Gr\xfc\xdfe"),
        ("fehlt.ä", r'"fehlt.\xe4"'),
    ],
    "check_runbooks": [("", r"n\xe4chtlich.yml: no problems"), ("--format=json", "[]")],
    "list_runbooks": [("", r"N\xe4chtliche Pr\xfcfung"), ("--format=json", r"N\u00e4chtliche")],
    "check_runs": [("", r"n\xe4chtlich.yml"), ("--format=nagios", r"RUNBOOKS"), ("--format=json", r"n\u00e4chtlich")],
    "show_runs": [("", r"n\xe4chtlich.yml"), ("--run ä1", r"\u2713 one"), ("--format=json", r"n\u00e4chtlich")],
    "show_calls": [("", "no calls found")],
    "diff_runbook": [("nächtlich.yml wöchentlich.yml", r"w\xf6chentlich.yml")],
    "new_runbook": [("täglich", r'"t\xe4glich" is not a name')],
    "mail_run_report": [("--to ops@example.com --run ä1", "mailed")],
    "prune_runs": [("--older-than=90d", "0 done")],
    "purge_rows": [("auth.User --field=last_login --older-than=1d", "deleted 0 auth.User")],
    "wait_for": [("file:fehlt.ä --timeout=0", r"fehlt.\xe4")],
    "fail_run": [("Schlüssel", r"Schl\xfcssel")],
}
FILES: Final = {
    "render_schedule": [("--to=crontab", "run_runbook 'nächtlich.yml'")],
    "runbook_schema": [("--generic", "runbook")],
    "import_crontab": [("desk.cron", "description: Sitzungen löschen")],
    "import_script": [("desk.sh", "description: Sitzungen löschen")],
    "runbook_completion": [("bash", "complete"), ("bash --line=manage.py\xa0run_runbook\xa0n", "nächtlich.yml")],
    "check_runs": [("--format=prometheus", 'runbook="nächtlich.yml"')],
    "diff_runbook": [("nächtlich.yml wöchentlich.yml --format=markdown", "wöchentlich.yml")],
}


@pytest.fixture(autouse=True)
def _project(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "runbooks"
    folder.mkdir()
    (folder / "nächtlich.yml").write_text(RUNBOOK)
    (folder / "wöchentlich.yml").write_text(RUNBOOK.replace("grüß", "tschüß"))
    (tmp_path / "desk.cron").write_text("# Sitzungen löschen\n@daily ./manage.py clearsessions\n")
    (tmp_path / "desk.sh").write_text("# Sitzungen löschen\n./manage.py clearsessions\n")
    settings.RUNBOOK = {**settings.RUNBOOK, "DIRS": [folder], "JOURNAL": True}
    monkeypatch.chdir(tmp_path)
    made("nächtlich.yml", days=1, id="ä1")


def written(command: str, words: str) -> bytes:
    """Call a command on streams of ASCII; return what it has written, with its error."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True) for _ in range(2))
    tokens = [token.replace("\xa0", " ") for token in words.split(" ") if token]
    try:
        call_command(command, *tokens, stdout=out, stderr=err)
    except CommandError as error:
        CleanOutput(err).write(str(error))
    return b"".join(stream.buffer.getvalue() for stream in (out, err))


def test_each_command_has_a_call_here() -> None:
    names = {module.name for module in pkgutil.iter_modules(commands.__path__)}
    assert names - {"runbook_lsp"} == set(SCREEN) | set(FILES)


@pytest.mark.parametrize(("command", "words", "part"), [(name, *call) for name in SCREEN for call in SCREEN[name]])
def test_what_an_ascii_stream_cannot_encode_is_escaped(command: str, words: str, part: str) -> None:
    assert part in written(command, words).decode("ascii")


@pytest.mark.parametrize(("command", "words", "part"), [(name, *call) for name in FILES for call in FILES[name]])
def test_a_file_on_standard_output_is_utf_8(command: str, words: str, part: str) -> None:
    text = written(command, words).decode()
    assert part in text
    assert r"\x" not in text


def test_text_is_written_as_it_is_where_the_stream_can_encode_it() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", write_through=True)
    CleanOutput(out).write("Grüße €")
    assert out.buffer.getvalue() == b"Gr\xfc\xdfe \\u20ac\n"


@pytest.mark.slow
@pytest.mark.parametrize("variables", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}], ids=["io", "locale"])  # fmt: skip
def test_a_process_with_an_ascii_standard_output_survives(variables: dict[str, str], tmp_path: Path) -> None:
    words = [sys.executable, "-m", "django", "run_runbook", str(tmp_path / "runbooks" / "nächtlich.yml")]
    run = environ() | {"DJANGO_SETTINGS_MODULE": "tests.settings", **variables}
    done = subprocess.run([*words, "--verbosity=2"], env=run, capture_output=True, check=True)
    assert rb"N\xe4chtliche Pr\xfcfung: 1 step" in done.stdout
    assert rb"gr\xfc\xdf" in done.stdout
    subprocess.run([*words, "--describe"], env=run, capture_output=True, check=True)
