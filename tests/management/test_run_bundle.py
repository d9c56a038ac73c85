"""Recorded runs in, archives for a colleague out."""

from __future__ import annotations

import json
import shlex
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from django.core.management import CommandError

from django_runbook.models import Run, StepRun
from tests.management.commands.stored_runs import show
from tests.runner.support import run

pytestmark = pytest.mark.django_db
TEXT = """\
name: Nightly
params: {day: monday}
secrets: [TOKEN]
steps:
  - {id: one, command: say hello}
  - {id: inner, runbook: inner.yml}
  - {id: two, command: fail --kind error}
"""


@pytest.fixture(autouse=True)
def _files(history: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "first-token")
    (tmp_path / "inner.yml").write_text("steps: [{id: quiet, command: say quiet}]\n")


def bundled(*words: str) -> dict[str, str]:
    """Bundle the only run; return the texts of the archive by their names."""
    assert show("--bundle", Run.objects.get().pk, *words).startswith("wrote ")
    path = Path(words[-1] if words else f"run-{Run.objects.get().pk[:8]}.tar.gz")
    with tarfile.open(path) as archive:
        texts = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        return {name.partition("/")[2]: file.read().decode() for name, file in texts.items() if file is not None}


def test_the_archive_holds_files_statuses_outputs_and_errors(tmp_path: Path) -> None:
    run(tmp_path, TEXT)
    texts = bundled()
    assert list(texts) == [
        "summary.txt",
        "run.json",
        "files/test.yml",
        "files/inner.yml",
        *(
            f"steps/{name}.{kind}"
            for name in ("0001-one", "0002-inner", "0003-inner-quiet", "0004-two")
            for kind in ("json", "txt")
        ),
    ]
    assert texts["files/test.yml"] == TEXT
    assert "param     day = monday" in texts["summary.txt"]
    assert "test.yml: unchanged since the run" in texts["summary.txt"]
    assert "  steps/0004-two.txt: failed" in texts["summary.txt"]
    stored = json.loads(texts["run.json"])
    assert (stored["status"], stored["exit_code"], stored["bundle_version"]) == ("failed", 1, 1)
    assert "hello" in texts["steps/0001-one.txt"].splitlines()
    assert "$ fail --kind error" in texts["steps/0004-two.txt"]
    assert "ValueError: nobody meant this" in texts["steps/0004-two.txt"]
    assert json.loads(texts["steps/0004-two.json"])["error_type"] == "ValueError"


def test_the_same_record_gives_the_same_bytes_in_a_private_file(tmp_path: Path) -> None:
    run(tmp_path, TEXT)
    for name in ("a.tgz", "b.tgz"):
        bundled("--output", name)
    assert Path("a.tgz").read_bytes() == Path("b.tgz").read_bytes()
    assert stat.S_IMODE(Path("a.tgz").stat().st_mode) == 0o600


def test_an_existing_file_or_link_is_kept(tmp_path: Path) -> None:
    run(tmp_path, TEXT)
    Path("a.tgz").write_text("mine")
    Path("b.tgz").symlink_to("elsewhere")
    for name, problem in (("a.tgz", "exists"), ("b.tgz", "exists"), ("none/c.tgz", "cannot be written")):
        with pytest.raises(CommandError, match=problem) as caught:
            bundled("--output", name)
        assert caught.value.returncode == 2
    assert Path("a.tgz").read_text() == "mine"
    assert not Path("elsewhere").exists()


def test_values_that_became_secrets_after_the_run_are_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, TEXT.replace("monday", "hunter2hunter2").replace("hello", "hunter2hunter2"))
    StepRun.objects.filter(step_id="two").update(traceback="the token hunter2hunter2 expired")
    assert "hunter2" in "".join(bundled("--output", "a.tgz").values())
    monkeypatch.setenv("TOKEN", "hunter2hunter2")
    texts = bundled("--output", "b.tgz")
    assert "hunter2" not in "".join(texts.values())
    assert "***" in texts["files/test.yml"]
    assert "***" in texts["steps/0001-one.txt"]


def git(*words: str) -> None:
    identity = shlex.split("-c user.name=ops -c user.email=ops@example.com -c commit.gpgsign=false")
    subprocess.run(["git", *identity, *words], check=True, capture_output=True)


@pytest.mark.slow
def test_a_runbook_that_has_changed_is_read_from_the_commit_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "test.yml").write_text(TEXT)
    git("init")
    git("add", ".")
    git("commit", "-m", "Add a runbook")
    run(tmp_path, TEXT)
    for name in ("test.yml", "inner.yml"):
        (tmp_path / name).write_text("steps: [check]\n")
    texts = bundled()
    assert texts["files/test.yml"] == TEXT
    assert "quiet" in texts["files/inner.yml"]
    assert f"as in the commit {Run.objects.get().git_commit[:12]} of the run; changed since" in texts["summary.txt"]


def test_a_runbook_that_is_lost_or_unreadable_is_reported(tmp_path: Path) -> None:
    run(tmp_path, TEXT)
    (tmp_path / "test.yml").write_text("steps: [")
    texts = bundled("--output", "a.tgz")
    assert texts["files/test.yml"] == "steps: ["
    assert "as it is now; changed since the run" in texts["summary.txt"]
    assert "the secrets that it names may be unknown" in texts["summary.txt"]
    (tmp_path / "test.yml").unlink()
    texts = bundled("--output", "b.tgz")
    assert "does not exist any more" in texts["summary.txt"]
    assert not any(name.startswith("files/") for name in texts)


def test_hostile_names_of_steps_stay_in_the_archive(tmp_path: Path) -> None:
    run(tmp_path, TEXT)
    StepRun.objects.filter(step_id="one").update(step_id="../../etc/passwd\x1b[2J")
    names = list(bundled())
    assert "steps/0001-etc-passwd-2J.txt" in names
    assert not any(".." in name for name in names)


@pytest.mark.parametrize(
    "words",
    [
        ("--bundle", "x"),
        ("--output", "a.tgz"),
        ("--bundle", "x", "--run", "y"),
        ("--bundle", "x", "--follow"),
        ("--bundle", "x", "--format", "json"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_bundled_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError) as caught:
        show(*words)
    assert caught.value.returncode == 2
