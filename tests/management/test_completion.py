from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from django.core.management import call_command

from django_runbook.management.completion import complete, own_commands

ROOT: Final = Path(__file__).parent.parent.parent
TEXT: Final = """\
params: {day: {type: date}, mode: {choices: [full, delta], default: full}, loud: false}
steps:
  - {id: late, command: noop, tags: [slow]}
  - {id: later, command: noop, tags: [quick, "team:data"]}
finally: [say bye]
"""
SETTINGS: Final = "from tests.settings import *\nRUNBOOK = {'DIRS': ['runbooks']}\n"
MANAGE: Final = f"""\
#!{sys.executable}
import os, sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "example_project")!r}]
os.environ["DJANGO_SETTINGS_MODULE"] = "completion_settings"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
# Calls the function of the script as bash does, without a terminal.
HARNESS: Final = """\
earlier() { COMPREPLY=(earlier); }
complete -F earlier manage.py
source ./completion.bash
try() {
    COMP_LINE="$1"; COMP_POINT=${#1}; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _django_runbook ./manage.py
    echo "${COMPREPLY[*]}"
}
"""


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    books = tmp_path / "runbooks"
    (books / "ops").mkdir(parents=True)
    for name in ("nightly.yml", "ops/two words.yml"):
        (books / name).write_text(TEXT)
    (books / "broken.yml").write_text("")
    (tmp_path / "here.yml").write_text(TEXT)
    settings.RUNBOOK = {"DIRS": [books]}
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("manage.py run_runbook ", ["broken.yml", "here.yml", "nightly.yml", "ops/two words.yml"]),
        ("manage.py run_runbook n", ["nightly.yml"]),
        ("python -m django check_runbooks here.yml op", ["ops/two words.yml"]),
        ("manage.py show_runs nig", ["nightly.yml"]),
        ("manage.py run_runbook nightly --on", ["--only"]),
        ("manage.py run_runbook nightly --only ", ["late", "later", "say"]),
        ("manage.py run_runbook nightly --only=late", ["--only=late", "--only=later"]),
        ("manage.py run_runbook nightly --skip late,", ["late,later", "late,say"]),
        ("manage.py run_runbook --start-at la n", ["nightly.yml"]),
        ("manage.py run_runbook --yes nightly --start-at la", ["late", "later"]),
        ("manage.py run_runbook 'ops/two words.yml' --rerun lat", ["late", "later"]),
        ("manage.py run_runbook 'ops/two w", ["ops/two words.yml"]),
        ("manage.py run_runbook ops/two\\ ", ["ops/two words.yml"]),
        ("manage.py run_runbook ops/two\\\\ ", ["broken.yml", "here.yml", "nightly.yml", "ops/two words.yml"]),
        ("manage.py run_runbook nightly --tags s", ["slow"]),
        ("manage.py run_runbook nightly --param ", ["day=", "loud=", "mode="]),
        ("manage.py run_runbook nightly --param mode=", ["mode=delta", "mode=full"]),
        ("manage.py run_runbook nightly --param=loud=t", ["--param=loud=true"]),
        ("manage.py run_runbook nightly --param other=", []),
        ("manage.py check_runbooks --format j", ["json"]),
        ("manage.py render_schedule --to s", ["systemd"]),
        # What cannot be read has nothing to complete.
        ("manage.py run_runbook broken --only ", []),
        ("manage.py run_runbook missing --only ", []),
        ("manage.py run_runbook --only ", []),
        ("manage.py run_runbook nightly --unknown=", []),
        ("manage.py run_runbook nightly --junit ", []),
        ("manage.py run_run", []),
        ("manage.py migrate fl", []),
        ("run_runbook n", []),
        ("", []),
    ],
)  # fmt: skip
def test_the_last_word_of_a_line_is_completed(line: str, expected: list[str]) -> None:
    assert complete(line)[1] == expected


def test_a_wrong_setting_has_nothing_to_complete(settings: Any) -> None:
    settings.RUNBOOK = {"DIRS": 5}
    assert complete("manage.py run_runbook ") == ("", [])


@pytest.mark.parametrize(
    ("last", "word", "expected"),
    [
        ("--param=loud=t", "t", "true\n"),
        ("--param=loud=t", None, "--param=loud=true\n"),
        ("--param=loud=", "=", "false\ntrue\n"),
        # bash does not split a word that is quoted.
        ('--param="loud=t', '"loud=t', "loud=true\n"),
        ("--param 'loud=t", "'loud=t", "loud=true\n"),
        ("--tags team:", ":", "data\n"),
        ("--tags team:d", "d", "data\n"),
        ("--tags=team:d", "d", "data\n"),
        # COMP_WORDBREAKS without a colon.
        ("--tags team:d", "team:d", "team:data\n"),
        ("--skip lat", "lat", "late\nlater\n"),
        ("--skip ", "", "late\nlater\nsay\n"),
    ],
)
def test_a_shell_gets_what_replaces_the_word_that_it_sees(last: str, word: str | None, expected: str) -> None:
    stdout = io.StringIO()
    more = [] if word is None else [f"--word={word}"]
    line = f"manage.py run_runbook nightly {last}"
    call_command("runbook_completion", "bash", f"--line={line}", *more, stdout=stdout)
    assert stdout.getvalue() == expected


def test_a_name_that_no_line_can_hold_is_left_out(folder: Path) -> None:
    (folder / "two\nlines.yml").write_text(TEXT)
    assert complete("manage.py run_runbook two")[1] == []


def test_the_script_names_all_commands() -> None:
    stdout = io.StringIO()
    call_command("runbook_completion", "bash", stdout=stdout)
    assert f'" {" ".join(own_commands())} "' in stdout.getvalue()
    assert "__" not in stdout.getvalue()


@pytest.mark.slow
def test_bash_completes_with_the_script(folder: Path) -> None:
    (folder / "completion_settings.py").write_text(SETTINGS)
    manage = folder / "manage.py"
    manage.write_text(MANAGE)
    manage.chmod(0o755)
    environ = {**os.environ, "PYTHONPATH": str(folder)}
    (folder / """it's "$HOME".yml""").write_text(TEXT)
    (folder / "completion.bash").write_bytes(
        subprocess.run([manage, "runbook_completion", "bash"], capture_output=True, check=True, env=environ).stdout
    )
    lines = [
        "./manage.py run_runbook op",
        f"{sys.executable} manage.py run_runbook nightly --param mode=d",
        "./manage.py migrate f",
    ]
    # bash takes "=" for a word.
    calls = [shlex.join(["try", line, *line.replace("=", " = ").split()]) for line in lines]
    # The quotes that begin a word belong to it, and stay.
    calls += [
        shlex.join(["try", f"./manage.py run_runbook {word}", "./manage.py", "run_runbook", word])
        for word in ('"ops/two w', "'it", '"it')
    ]
    script = HARNESS + "\n".join(calls)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=environ, cwd=folder)
    assert done.stdout.splitlines() == [
        r"ops/two\ words.yml",
        "delta",
        "earlier",
        "ops/two words.yml",
        r"""it'\''s "$HOME".yml""",
        r"""it's \"\$HOME\".yml""",
    ]
