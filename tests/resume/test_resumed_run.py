"""Tests the lock, the parameters and the selection of a resumed run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from django_runbook import conf
from django_runbook.locks import factory
from django_runbook.locks.file import FileLocks
from django_runbook.models import Run
from django_runbook.resume import resumed_run
from tests.journal.support import die, effects, resume
from tests.resume.support import TWO, fail_now, fix, held
from tests.runner.support import run

pytestmark = pytest.mark.django_db


def test_parameters_and_the_time_are_restored(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
params:
  day: {type: date, default: "${{ today }}"}
  words: [x, y]
  count: 3
  at: "${{ now.isoformat() }}"
steps:
  - id: report
    command: effect report --log log --fail-if broken
    options: {output: "${{ params.day }} ${{ params.words | join(',') }} ${{ params.count + 1 }} ${{ params.at }} ${{ now.isoformat() }} ${{ run.id }}"}
"""
    run(tmp_path, text, param=["day=2013-01-31", "words=p,q"])
    row = Run.objects.get()
    fix(tmp_path)
    changed = text.replace("count: 3", "count: 7")
    assert resume(tmp_path, changed, param=["count=9"]).exit_code == 2
    ended = resume(tmp_path, changed)
    at = row.began().isoformat()
    assert ended.output("report") == [f"2013-01-31 p,q 4 {at} {at} {row.pk}"]


def test_environment_variables_are_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_now(tmp_path)
    text = """\
env: [SET, {name: UNSET, default: no}, {name: HELD_SECRET}]
secrets: [TOKEN]
steps:
  - id: report
    command: effect report --log log --fail-if broken
    options: {output: "${{ env.SET }} ${{ env.UNSET }} ${{ env.HELD_SECRET }}"}
"""
    monkeypatch.setenv("TOKEN", "hunter22")
    monkeypatch.setenv("SET", "first")
    monkeypatch.setenv("HELD_SECRET", "key=hunter22")
    run(tmp_path, text)
    # A value that held a secret is not stored, so it is read again.
    assert Run.objects.get().options["env"] == {"SET": "first", "UNSET": None}
    fix(tmp_path)
    for name in ("SET", "UNSET", "HELD_SECRET"):
        monkeypatch.setenv(name, "second")
    assert resume(tmp_path, text).output("report") == ["first no second"]


def test_a_variable_without_its_recorded_value_is_needed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_now(tmp_path)
    monkeypatch.setenv("SET", "first")
    text = "env: [SET]\nsteps: ['effect one --log log --fail-if broken']\n"
    run(tmp_path, text)
    fix(tmp_path)
    monkeypatch.delenv("SET")
    more = text.replace("[SET]", "[SET, NEW_ONE]")
    ended = resume(tmp_path, more)
    assert ended.exit_code == 2
    assert 'the environment variable "NEW_ONE" is not set' in ended.errors
    assert resume(tmp_path, text).exit_code == 0


@pytest.mark.parametrize("change", ["other folder", "other backend"])
def test_a_run_with_a_lock_in_another_store_is_resumed_only_by_its_id(
    tmp_path: Path, settings: Settings, change: str
) -> None:
    run(tmp_path, TWO)
    row = die("two")
    before = row.lock_backend
    if change == "other folder":
        settings.RUNBOOK = {**settings.RUNBOOK, "LOCK": {"BACKEND": "file", "OPTIONS": {"directory": tmp_path / "new"}}}
        # A lock file of an earlier attempt that used these locks proves nothing.
        with held(row.lock_name):
            pass
    else:
        settings.RUNBOOK = {**settings.RUNBOOK, "LOCK": "tests.resume.test_resumed_run.OwnLocks"}
    ended = resume(tmp_path, rerun=["two"])
    assert ended.exit_code == 2
    assert f"run {row.pk} may still be running: process {row.pid} of " in ended.errors
    assert f'because it is in "{before}" and not in "' in ended.errors
    assert f"once that process has ended, pass the id: --resume {row.pk}" in ended.errors
    assert resume(tmp_path, resume=row.pk, rerun=["two"]).exit_code == 0
    row.refresh_from_db()
    # The resumed run uses the locks of the settings.
    assert row.lock_backend == factory.new_factory(conf.read(), what="").identity != before


class OwnLocks(FileLocks):
    """Keeps the lock files of a project in another folder."""

    def __init__(self, *, what: str) -> None:
        super().__init__(what=what, directory=Path.cwd() / "own-locks")


def test_a_running_run_is_not_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumed_run, "_PROBE_SECONDS", 0.02)
    fail_now(tmp_path)
    run(tmp_path, TWO)
    lock = factory.new_factory(conf.read(), what="the other one")(Run.objects.get().lock_name)
    assert lock.acquire() is None
    try:
        ended = resume(tmp_path)
    finally:
        lock.release()
    assert ended.exit_code == 75
    assert "the other one" in ended.errors


@pytest.mark.parametrize(
    "options",
    [
        {"only": ["one"]},
        {"start_at": "two"},
        {"tags": ["a"]},
        {"skip_tags": ["a"]},
        {"dry_run": True},
        {"plan": True},
        {"list": True},
        {"no_journal": True},
        {"param": ["a=b"]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_that_exclude_resume_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    assert resume(tmp_path, **options).exit_code == 2
    assert effects(tmp_path) == ["one", "two"]


@pytest.mark.parametrize("options", [{"rerun": ["one"]}, {"accept_changes": True}], ids=["rerun", "accept"])
def test_options_of_resume_are_refused_without_it(tmp_path: Path, options: dict[str, Any]) -> None:
    assert run(tmp_path, TWO, **options).exit_code == 2
    assert effects(tmp_path) == []


def test_the_selection_is_restored(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO, only=["two"])
    fix(tmp_path)
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path) == ["two", "two"]


def test_a_run_with_an_invisible_lock_is_resumed_only_by_its_id(tmp_path: Path, settings: Settings) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    dead = die("one")
    # Another user, or another host, has its locks elsewhere.
    elsewhere = {"BACKEND": "file", "OPTIONS": {"directory": tmp_path / "locks"}}
    settings.RUNBOOK = {**settings.RUNBOOK, "LOCK": elsewhere}
    ended = resume(tmp_path, rerun=["one"])
    assert ended.exit_code == 2
    assert "has a lock that cannot be seen from here" in ended.errors
    assert f"--resume {dead.id}" in ended.errors
    fix(tmp_path)
    assert resume(tmp_path, resume=dead.id, rerun=["one"]).exit_code == 0


def test_a_short_probe_of_its_lock_does_not_prevent_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    fix(tmp_path)
    lock = factory.new_factory(conf.read(), what="show_runs")(Run.objects.get().lock_name)
    assert lock.acquire() is None
    monkeypatch.setattr("time.sleep", lambda seconds: lock.release())
    assert resume(tmp_path).exit_code == 0


@pytest.mark.parametrize("is_broken", [False, True])
def test_an_ended_run_leaves_no_lock_file(tmp_path: Path, settings: Settings, *, is_broken: bool) -> None:
    directory = tmp_path / "locks"
    settings.RUNBOOK = {**settings.RUNBOOK, "LOCK": {"BACKEND": "file", "OPTIONS": {"directory": directory}}}
    if is_broken:
        fail_now(tmp_path)
    assert run(tmp_path, TWO).exit_code == is_broken
    assert [path for path in directory.iterdir() if Run.objects.get().id in path.name] == []
    if is_broken:
        fix(tmp_path)
        assert resume(tmp_path).exit_code == 0
        assert [path for path in directory.iterdir() if Run.objects.get().id in path.name] == []


def test_a_new_parameter_needs_a_value(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "params: {old: 1}\nsteps: [effect one --log log --fail-if broken]\n"
    run(tmp_path, text)
    fix(tmp_path)
    text = (
        text.replace("old: 1", "old: 1, new: {type: string}")
        .replace("one", '"${{ params.new }}"')
        .replace("[effect", "['effect")
        .replace("broken]", "broken']")
    )
    assert "--param new" in resume(tmp_path, text).errors
    assert resume(tmp_path, text, param=["new=two"]).exit_code == 0
    assert effects(tmp_path) == ["one", "two"]


def test_a_removed_parameter_is_dropped_if_changes_are_accepted(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "params: {old: 1, kept: 2}\nsteps: ['effect ${{ params.kept }} --log log --fail-if broken']\n"
    run(tmp_path, text, param=["old=5", "kept=6"])
    fix(tmp_path)
    text = text.replace("old: 1, ", "")
    ended = resume(tmp_path, text)
    assert ended.exit_code == 2
    assert 'began with the parameter "old", which the runbook no longer has; --accept-changes' in ended.errors
    assert resume(tmp_path, text, accept_changes=True).exit_code == 0
    assert effects(tmp_path) == ["6", "6"]


def test_a_parameter_with_a_secret_must_be_passed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret-token")
    fail_now(tmp_path)
    text = "secrets: [TOKEN]\nparams: {url: ''}\n" + TWO
    assert run(tmp_path, text, param=["url=http://s3cret-token@host"]).exit_code == 1
    assert Run.objects.get().params == {}
    fix(tmp_path)
    assert "--param url" in resume(tmp_path).errors
    assert resume(tmp_path, param=["url=http://s3cret-token@host"]).exit_code == 0


def test_a_new_parameter_is_kept_after_the_first_resume(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "steps:\n  - {id: a, command: effect a --log log --fail-if broken}\n"
    run(tmp_path, text)
    changed = """\
params: {x: 1, y: 2}
steps:
  - {id: a, command: effect a --log log}
  - {id: b, command: "effect b-${{ params.x }}-${{ params.y }} --log log --fail-if broken"}
"""
    assert resume(tmp_path, changed, param=["x=3"], strict=True).exit_code == 1
    fix(tmp_path)
    ended = resume(tmp_path, changed.replace("y: 2", "y: 7"), param=["x=4"])
    assert (ended.exit_code, "keeps the parameters" in ended.errors) == (2, True)
    assert resume(tmp_path, changed.replace("y: 2", "y: 7")).exit_code == 0
    assert effects(tmp_path) == ["a", "a", "b-3-2", "b-3-2"]
    row = Run.objects.get()
    assert (row.params, row.options["strict"], row.options["withheld_params"]) == ({"x": 3, "y": 2}, True, [])


def test_a_parameter_that_held_a_secret_is_not_stored_after_the_secret_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_now(tmp_path)
    text = "secrets: [TOKEN]\nparams: {url: none}\nsteps: [effect a --log log --fail-if broken]\n"
    for secret in ("first-secret", "second-secret"):
        monkeypatch.setenv("TOKEN", secret)
        options = {} if secret.startswith("first") else {"resume": ""}
        assert run(tmp_path, text, param=["url=http://first-secret@host"], **options).exit_code == 1
        assert (Run.objects.get().params, Run.objects.get().options["withheld_params"]) == ({}, ["url"])
    fix(tmp_path)
    assert resume(tmp_path, param=["url=http://first-secret@host"]).exit_code == 0
