from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from django_runbook import conf
from django_runbook.locks import factory
from django_runbook.locks.file import FileLocks
from django_runbook.models import Run, StepRun
from tests.journal.support import die, effects, resume
from tests.runner.support import run
from tests.testapp.models import Row

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _journal(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": True}
    monkeypatch.chdir(tmp_path)


def fail_now(directory: Path) -> None:
    (directory / "broken").touch()


def mend(directory: Path) -> None:
    (directory / "broken").unlink()


# -- the seven wrong resumes of the field ---------------------------------------------------------------------------------


def test_handlers_and_finally_never_count_as_done(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: group, steps: [effect a --log log --fail-if broken], finally: [effect inner --log log]}
on_failure: [effect alarm --log log]
finally: [effect clean --log log]
"""
    assert run(tmp_path, text).exit_code == 1
    assert resume(tmp_path).exit_code == 1
    mend(tmp_path)
    assert resume(tmp_path).exit_code == 0
    failed = ["a", "inner", "alarm", "clean"]
    assert effects(tmp_path) == [*failed, *failed, "a", "inner", "clean"]


def test_a_condition_that_was_true_when_the_step_began_is_not_asked_again(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: before, command: effect before --log log --output 1, capture: json}
  - {id: late, command: effect late --log log --fail-if broken, when: steps.before.output == 1}
"""
    assert run(tmp_path, text).exit_code == 1
    row = StepRun.objects.get(step_id="before")
    row.output = [2]
    row.save()
    mend(tmp_path)
    assert resume(tmp_path).statuses == {"before": "succeeded", "late": "succeeded"}


def test_a_condition_that_was_false_stays_false(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: before, command: effect before --log log --output 1, capture: json}
  - {id: maybe, command: effect maybe --log log, when: steps.before.output == 2}
  - {id: late, command: effect late --log log --fail-if broken}
"""
    run(tmp_path, text)
    StepRun.objects.filter(step_id="before").update(output=[2])
    mend(tmp_path)
    assert resume(tmp_path).statuses["maybe"] == "skipped"


def test_a_loop_goes_on_after_its_finished_items(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - id: load
    command: effect ${{ item }} --log log
    options: {fail-if: "${{ 'broken' if item == 'b' else 'nothing' }}", output: "out ${{ item }}"}
    capture: text
    for_each: [a, b, c]
  - id: tell
    command: effect tell --log log
    options: {output: "${{ steps.load.output | join('+') }}"}
"""
    assert run(tmp_path, text).exit_code == 1
    mend(tmp_path)
    told = resume(tmp_path)
    assert told.exit_code == 0
    assert effects(tmp_path) == ["a", "b", "b", "c", "tell"]
    assert told.output("tell") == ["out a+out b+out c"]


def test_parameters_and_the_time_come_from_the_run(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
params:
  day: {type: date, default: "${{ today }}"}
  words: [x, y]
  count: 3
  at: "${{ now.isoformat() }}"
steps:
  - id: tell
    command: effect tell --log log --fail-if broken
    options: {output: "${{ params.day }} ${{ params.words | join(',') }} ${{ params.count + 1 }} ${{ params.at }} ${{ now.isoformat() }} ${{ run.id }}"}
"""
    run(tmp_path, text, param=["day=2013-01-31", "words=p,q"])
    row = Run.objects.get()
    mend(tmp_path)
    changed = text.replace("count: 3", "count: 7")
    assert resume(tmp_path, changed, param=["count=9"]).exit_code == 2
    told = resume(tmp_path, changed)
    at = row.began().isoformat()
    assert told.output("tell") == [f"2013-01-31 p,q 4 {at} {at} {row.pk}"]


def test_a_finished_step_that_has_changed_is_refused_with_what_has_changed(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "steps:\n  - {id: one, command: effect one --log log}\n  - {id: two, command: effect two --log log --fail-if broken}\n"
    run(tmp_path, text)
    mend(tmp_path)
    changed = text.replace("effect one", "effect uno")
    told = resume(tmp_path, changed)
    assert told.exit_code == 2
    assert "-command: effect one --log log" in told.errors
    assert "+command: effect uno --log log" in told.errors
    assert "--accept-changes" in told.errors
    assert effects(tmp_path) == ["one", "two"]
    assert resume(tmp_path, changed, accept_changes=True).exit_code == 0
    assert effects(tmp_path) == ["one", "two", "two"]


def test_the_output_of_a_finished_step_is_what_it_was(tmp_path: Path) -> None:
    fail_now(tmp_path)
    output = {"count": 10**20, "b": [1.0, None, "ü\0"], "a": True}
    (tmp_path / "data").write_text(json.dumps(output))
    text = """\
steps:
  - {id: first, command: show_file data, capture: json}
  - {id: second, command: effect second --log log --fail-if broken}
  - {id: third, command: effect third --log log, options: {output: "${{ steps.first.output.count }} ${{ steps.first.output.b | length }} ${{ steps.first.output.b[2] | length }} ${{ steps.first.output.items() | map('first') | join('') }}"}}
"""
    assert run(tmp_path, text).exit_code == 1
    mend(tmp_path)
    told = resume(tmp_path)
    assert told.errors == ""
    assert told.output("third") == [f"{10**20} 3 2 countba"]


@pytest.mark.parametrize(
    "text", ["steps: [noop]", "steps: [{command: fail, continue_on_error: true}]"], ids=["succeeded", "warning"]
)
def test_a_finished_run_is_not_resumed(tmp_path: Path, text: str) -> None:
    run(tmp_path, text)
    told = resume(tmp_path)
    assert told.exit_code == 2
    assert "there is nothing to resume" in told.errors
    assert Run.objects.get().attempt_count == 1


# -- which run -------------------------------------------------------------------------------------------------------------

TWO = "steps:\n  - {id: one, command: effect one --log log}\n  - {id: two, command: effect two --log log --fail-if broken}\n"


def test_older_runs_that_are_unfinished_are_named(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    older = Run.objects.get()
    mend(tmp_path)
    run(tmp_path, TWO)
    told = resume(tmp_path)
    assert told.exit_code == 2
    assert f"--resume {older.pk}" in told.errors
    assert resume(tmp_path, resume=older.pk[:10]).exit_code == 0
    assert effects(tmp_path) == ["one", "two", "one", "two", "two"]


@contextlib.contextmanager
def held(name: str) -> Iterator[None]:
    """While somebody else has the lock of this name."""
    lock = factory.new_factory(conf.read(), what="the other one")(name)
    assert lock.acquire() is None
    try:
        yield
    finally:
        lock.release()


LOCKED = f"lock: theirs\n{TWO}"


def refuse(directory: Path, *, on_conflict: str = "fail") -> Run:
    """Have a run refused by its own lock."""
    with held("theirs"):
        told = run(
            directory, f"lock: {{name: theirs, on_conflict: {on_conflict}}}\n{TWO}finally: [effect last --log log]"
        )
    assert (told.status, told.exit_code) == ("refused", 75 if on_conflict == "fail" else 0)
    return Run.objects.newest_first()[0]


@pytest.mark.parametrize("on_conflict", ["fail", "skip"])
def test_a_refused_run_is_recorded_hides_no_other_and_is_never_resumed(tmp_path: Path, on_conflict: str) -> None:
    fail_now(tmp_path)
    run(tmp_path, LOCKED)
    older = Run.objects.get()
    mend(tmp_path)
    refused = refuse(tmp_path, on_conflict=on_conflict)
    assert (refused.status, refused.attempt_count) == ("refused", 1)
    assert refused.reason.startswith('the lock "theirs" is held by the other one, process ')
    told = resume(tmp_path, LOCKED, resume=refused.pk)
    assert told.exit_code == 2
    assert f"run {refused.pk} was refused before any step began: start a new run, without --resume" in told.errors
    assert resume(tmp_path, LOCKED).exit_code == 0
    assert effects(tmp_path) == ["one", "two", "two"]
    assert [row.status for row in Run.objects.newest_first()] == ["refused", "succeeded"]
    older.refresh_from_db()
    assert older.attempt_count == 2


def test_where_nothing_had_begun_there_is_nothing_to_resume(tmp_path: Path) -> None:
    refused = refuse(tmp_path)
    told = resume(tmp_path, LOCKED)
    assert told.exit_code == 2
    assert f"the newest run, {refused.pk}, was refused; start a new run, without --resume" in told.errors
    Run.objects.update(status="interrupted")
    told = resume(tmp_path, LOCKED)
    assert f"the newest run, {refused.pk}, had not begun; start a new run" in told.errors


def stop_before_the_first_step(directory: Path) -> None:
    """Leave what a run leaves that was stopped while it waited for its lock, or before its first step."""
    row = refuse(directory)
    Run.objects.filter(pk=row.pk).update(status="interrupted", exit_code=143, reason="the run was stopped")


def stop_with_finally(directory: Path) -> None:
    stop_before_the_first_step(directory)
    row = Run.objects.newest_first()[0]
    StepRun.objects.create(
        run=row, step_id="last", role="finally", kind="command", status="succeeded", started_at=row.started_at
    )


def stop_in_a_group(directory: Path) -> None:
    stop_before_the_first_step(directory)
    row = Run.objects.newest_first()[0]
    for status in ("interrupted", "skipped", "not_run"):
        StepRun.objects.create(
            run=row, step_id=status, role="step", kind="group", status=status, started_at=row.started_at
        )


def die_before_the_first_step(directory: Path) -> None:
    row = refuse(directory)
    StepRun.objects.filter(run=row).delete()
    Run.objects.filter(pk=row.pk).update(status="running", exit_code=None, finished_at=None, reason="")
    with held(row.lock_name):
        """Its process takes its lock, and dies."""


def fail_for_want_of_locks(directory: Path) -> None:
    lock = factory.new_factory(conf.read(), what="")("theirs")
    path: Path = getattr(lock, "path")  # noqa: B009 - of the file backend, which the tests use
    path.unlink()
    path.mkdir()
    try:
        assert run(directory, LOCKED).exit_code == 1
    finally:
        path.rmdir()


@pytest.mark.parametrize(
    "end",
    [
        stop_before_the_first_step,
        stop_with_finally,
        stop_in_a_group,
        die_before_the_first_step,
        fail_for_want_of_locks,
    ],
    ids=lambda end: end.__name__,
)
def test_a_run_that_ended_before_it_began_hides_no_other(tmp_path: Path, end: Callable[[Path], None]) -> None:
    fail_now(tmp_path)
    run(tmp_path, LOCKED)
    older = Run.objects.get()
    end(tmp_path)
    mend(tmp_path)
    newer = Run.objects.newest_first()[0]
    assert newer != older
    told = resume(tmp_path, LOCKED, resume=newer.pk)
    assert told.exit_code == 2
    assert f"run {newer.pk} ended before any step began: start a new run" in told.errors
    assert resume(tmp_path, LOCKED).exit_code == 0
    older.refresh_from_db()
    assert (older.status, older.attempt_count) == ("succeeded", 2)
    assert effects(tmp_path) == ["one", "two", "two"]


@pytest.mark.parametrize("status", ["succeeded", "failed", "timed_out"])
def test_a_run_of_which_a_step_has_ended_had_begun(tmp_path: Path, status: str) -> None:
    row = refuse(tmp_path)
    Run.objects.update(status="failed")
    for other in ("skipped", "not_run", "interrupted"):
        StepRun.objects.create(run=row, step_id=other, role="step", kind="command", status=other)
    assert not Run.objects.begun().exists()
    StepRun.objects.create(run=row, step_id="x", role="step", kind="command", status=status)
    assert Run.objects.begun().get() == row


@pytest.mark.parametrize("status", ["running", "interrupted"])
def test_a_run_of_which_a_command_was_called_had_begun(tmp_path: Path, status: str) -> None:
    row = refuse(tmp_path)
    step = {"step_id": "x", "role": "step", "kind": "command", "started_at": row.started_at}
    StepRun.objects.create(run=row, status=status, **step)
    assert Run.objects.begun().get() == row


def test_only_runs_that_had_begun_are_named_as_unfinished(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, LOCKED)
    older = Run.objects.get()
    stop_before_the_first_step(tmp_path)
    stopped = Run.objects.newest_first()[0]
    mend(tmp_path)
    run(tmp_path, LOCKED)
    told = resume(tmp_path, LOCKED)
    assert told.exit_code == 2
    assert f"there is nothing to resume; older unfinished runs: --resume {older.pk}" in told.errors
    assert stopped.pk not in told.errors


def test_a_run_that_waits_for_its_lock_hides_no_other(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, LOCKED)
    mend(tmp_path)
    die_before_the_first_step(tmp_path)
    waiting = Run.objects.newest_first()[0]
    with held(waiting.lock_name):
        assert resume(tmp_path, LOCKED, resume=waiting.pk).exit_code == 75
        assert resume(tmp_path, LOCKED).exit_code == 0
    assert effects(tmp_path) == ["one", "two", "two"]


@pytest.mark.parametrize("change", ["other folder", "other backend"])
def test_a_run_under_other_locks_is_resumed_only_where_a_person_says_that_it_is_dead(
    tmp_path: Path, settings: Settings, change: str
) -> None:
    run(tmp_path, TWO)
    row = die("two")
    before = row.lock_backend
    if change == "other folder":
        settings.RUNBOOK = {**settings.RUNBOOK, "LOCK": {"BACKEND": "file", "OPTIONS": {"directory": tmp_path / "new"}}}
        # A file of an earlier attempt, which somebody ran with these locks, proves nothing.
        with held(row.lock_name):
            pass
    else:
        settings.RUNBOOK = {**settings.RUNBOOK, "LOCK": "tests.resume.test_all_wip.OwnLocks"}
    told = resume(tmp_path, rerun=["two"])
    assert told.exit_code == 2
    assert f"run {row.pk} may still be running: process {row.pid} of " in told.errors
    assert f'because it is in "{before}" and not in "' in told.errors
    assert f"once that process has ended, pass the id: --resume {row.pk}" in told.errors
    assert resume(tmp_path, resume=row.pk, rerun=["two"]).exit_code == 0
    row.refresh_from_db()
    # From now on, these are its locks.
    assert row.lock_backend == factory.new_factory(conf.read(), what="").identity != before


class OwnLocks(FileLocks):
    """The locks of a project, which are files in another place."""

    def __init__(self, *, what: str) -> None:
        super().__init__(what=what, directory=Path.cwd() / "own-locks")


def test_there_must_be_a_run(tmp_path: Path) -> None:
    assert "there is no run of" in resume(tmp_path, TWO).errors
    assert "no run whose id begins with 123" in resume(tmp_path, TWO, resume="123").errors


def test_a_run_of_another_runbook_is_refused(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    (tmp_path / "other").mkdir()
    told = resume(tmp_path / "other", TWO, resume=Run.objects.get().pk)
    assert told.exit_code == 2
    assert "test.yml, not to" in told.errors


def test_a_run_that_is_at_work_is_not_resumed(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    lock = factory.new_factory(conf.read(), what="the other one")(Run.objects.get().lock_name)
    assert lock.acquire() is None
    try:
        told = resume(tmp_path)
    finally:
        lock.release()
    assert told.exit_code == 75
    assert "the other one" in told.errors


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
def test_options_that_a_resume_cannot_have_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    assert resume(tmp_path, **options).exit_code == 2
    assert effects(tmp_path) == ["one", "two"]


@pytest.mark.parametrize("options", [{"rerun": ["one"]}, {"accept_changes": True}], ids=["rerun", "accept"])
def test_options_of_a_resume_are_refused_elsewhere(tmp_path: Path, options: dict[str, Any]) -> None:
    assert run(tmp_path, TWO, **options).exit_code == 2
    assert effects(tmp_path) == []


def test_the_selection_stays_as_it_was(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO, only=["two"])
    mend(tmp_path)
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path) == ["two", "two"]


# -- what was interrupted ------------------------------------------------------------------------------------------------------


def test_a_step_that_was_cut_off_is_in_doubt(tmp_path: Path) -> None:
    run(tmp_path, TWO)
    die("two")
    told = resume(tmp_path)
    assert told.exit_code == 2
    assert "--rerun two" in told.errors
    assert "--skip two" in told.errors
    assert effects(tmp_path) == ["one", "two"]
    assert Run.objects.get().attempt_count == 1


def test_a_handler_that_was_cut_off_is_not_in_doubt(tmp_path: Path) -> None:
    run(tmp_path, "steps: [effect one --log log]\nfinally: [{id: clean, command: effect clean --log log}]\n")
    die("clean")
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path) == ["one", "clean", "clean"]


def test_rerun_runs_it_again(tmp_path: Path) -> None:
    run(tmp_path, TWO)
    die("two")
    assert resume(tmp_path, rerun=["two"]).exit_code == 0
    assert effects(tmp_path) == ["one", "two", "two"]
    assert [(row.attempt, row.run_attempt, row.status) for row in StepRun.objects.filter(step_id="two")] == [
        (1, 1, "interrupted"),
        (2, 2, "succeeded"),
    ]


def test_skip_counts_it_as_done_for_ever(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, "steps:\n  - {id: zero, command: effect zero --log log}\n" + TWO.removeprefix("steps:\n"))
    die("one")
    told = resume(tmp_path, skip=["one"])
    assert told.statuses == {"zero": "succeeded", "one": "skipped", "two": "failed"}
    mend(tmp_path)
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path) == ["zero", "one", "two", "two", "two"]


def test_skip_counts_a_step_as_done_that_was_not_begun(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: one, command: effect one --log log --fail-if broken}
  - {id: two, command: effect two --log log}
"""
    run(tmp_path, text)
    mend(tmp_path)
    told = resume(tmp_path, skip=["two"])
    assert (told.exit_code, told.statuses) == (0, {"one": "succeeded", "two": "skipped"})
    assert effects(tmp_path) == ["one", "one"]


def test_a_run_whose_lock_cannot_be_seen_goes_on_only_where_a_person_names_it(
    tmp_path: Path, settings: Settings
) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    dead = die("one")
    # As another user, or another host, has it.
    elsewhere = {"BACKEND": "file", "OPTIONS": {"directory": tmp_path / "locks"}}
    settings.RUNBOOK = {**settings.RUNBOOK, "LOCK": elsewhere}
    told = resume(tmp_path, rerun=["one"])
    assert told.exit_code == 2
    assert "has a lock that cannot be seen from here" in told.errors
    assert f"--resume {dead.id}" in told.errors
    mend(tmp_path)
    assert resume(tmp_path, resume=dead.id, rerun=["one"]).exit_code == 0


def test_a_step_that_is_new_in_a_group_that_is_done_is_not_left_out_silently(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: group, steps: [{id: a, command: effect a --log log}]}
  - {id: after, command: effect after --log log --fail-if broken}
"""
    run(tmp_path, text)
    mend(tmp_path)
    more = text.replace("--log log}]", "--log log}, {id: new, command: effect new --log log}]")
    told = resume(tmp_path, more)
    assert told.exit_code == 2
    assert 'step "new" is new in a completed group' in told.errors
    assert resume(tmp_path, more, accept_changes=True).exit_code == 0
    assert effects(tmp_path) == ["a", "after", "after"]


@pytest.mark.parametrize(
    ("answer", "exit_code", "effects_after"),
    [
        ("r", 0, ["one", "two", "two"]),
        ("s", 0, ["one", "two"]),
        ("", 2, ["one", "two"]),
        ("?", 2, ["one", "two"]),
        ("x\nwhat\nR", 0, ["one", "two", "two"]),
    ],
    ids=["rerun", "skip", "nothing", "else", "asked again"],
)
def test_a_person_at_the_terminal_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, exit_code: int, effects_after: list[str]
) -> None:
    run(tmp_path, TWO)
    die("two")
    terminal = io.StringIO(f"{answer}\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    told = resume(tmp_path)
    assert told.exit_code == exit_code
    assert effects(tmp_path) == effects_after
    assert "[r]un it again" in "".join(told.shown)


def test_an_item_that_was_cut_off_is_named_by_its_number_or_by_its_loop(tmp_path: Path) -> None:
    text = "steps:\n  - {id: load, command: 'effect ${{ item }} --log log', for_each: [a, b, c]}\n"
    for answer in ("load[2]", "load"):
        run(tmp_path, text)
        die("load[2]", "load")
        assert "--rerun load[2]" in resume(tmp_path).errors
        assert resume(tmp_path, skip=[answer]).exit_code == 0
    # The loop as a whole counts as done with what had not begun.
    assert effects(tmp_path) == ["a", "b", "c", "c", "a", "b", "c"]


@pytest.mark.parametrize("key", ["idempotent", "atomic"])
def test_a_step_that_says_so_runs_again(tmp_path: Path, key: str) -> None:
    run(tmp_path, f"steps:\n  - {{id: one, command: effect one --log log, {key}: true}}\n")
    die("one")
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path) == ["one", "one"]


def test_a_command_that_django_makes_safe_to_repeat_runs_again_without_a_question(tmp_path: Path) -> None:
    run(tmp_path, "steps: [{id: one, command: clearsessions}, {id: two, command: check, tags: [a]}]")
    die("one", "two")
    told = resume(tmp_path)
    assert (told.exit_code, told.result("one")["is_past"], told.result("one")["status"]) == (0, False, "succeeded")


@pytest.mark.parametrize(
    "text",
    [
        "steps: [{id: one, command: clearsessions, idempotent: false}]",
        "defaults: {idempotent: false}\nsteps: [{id: one, command: clearsessions}]",
        "steps: [{id: one, command: prune_runs, idempotent: false}]",
    ],
    ids=["step", "defaults", "batch command"],
)
def test_what_a_step_says_is_stronger_than_what_is_known_of_its_command(tmp_path: Path, text: str) -> None:
    run(tmp_path, text)
    die("one")
    told = resume(tmp_path)
    assert told.exit_code == 2
    assert "--rerun one" in told.errors
    assert resume(tmp_path, rerun=["one"]).exit_code == 0


@pytest.mark.parametrize(("step", "code"), [("", 0), (", idempotent: false", 2), (", idempotent: true", 0)])
def test_a_project_names_commands_that_are_safe_to_repeat(
    tmp_path: Path, settings: Settings, step: str, code: int
) -> None:
    run(tmp_path, f"steps:\n  - {{id: one, command: effect one --log log{step}}}\n")
    die("one")
    settings.RUNBOOK = {**settings.RUNBOOK, "IDEMPOTENT": ["effect"]}
    assert resume(tmp_path).exit_code == code
    assert effects(tmp_path) == ["one"] * (1 if code else 2)


def test_a_batch_command_continues(tmp_path: Path) -> None:
    run(tmp_path, "steps:\n  - {id: rows, command: prune_runs}\n")
    die("rows")
    assert resume(tmp_path).exit_code == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("until", "attempts", "is_killed", "count"),
    [
        ("steps.seen.output.ready", 1, False, 2),
        ("steps.seen.output.other", 1, False, 2),
        ("steps.seen.output.ready", 3, True, 5),
    ],
    ids=["not-met", "no-value", "killed-behind-the-last-call"],
)
def test_a_batch_command_that_waits_for_a_condition_does_each_of_its_calls_once(
    tmp_path: Path, until: str, attempts: int, count: int, *, is_killed: bool
) -> None:
    Row.objects.bulk_create([Row() for _ in range(6)])
    text = f"""\
steps:
  - {{id: seen, command: show_file seen, capture: json}}
  - {{id: rows, command: count_rows, retry: {{attempts: {attempts}, delay: 0s, until: {until}}}}}
"""
    (tmp_path / "seen").write_text('{"ready": false}')
    run(tmp_path, text)
    if is_killed:
        die("rows")
        StepRun.objects.filter(attempt__lt=attempts).update(status="failed")
    assert resume(tmp_path).exit_code == 1
    assert set(Row.objects.values_list("count", flat=True)) == {count}


@pytest.mark.parametrize("option", ["rerun", "skip"])
def test_an_answer_to_nothing_is_refused(tmp_path: Path, option: str) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    told = run(tmp_path, TWO, resume="", **{option: ["three"]})
    assert told.exit_code == 2
    assert f"--{option} three" in told.errors


def test_a_finished_step_runs_again_where_a_person_wants_it(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "steps:\n  - {id: group, steps: [{id: inner, command: effect inner --log log}]}\n" + TWO.removeprefix(
        "steps:\n"
    )
    run(tmp_path, text)
    mend(tmp_path)
    assert resume(tmp_path, rerun=["inner"]).exit_code == 0
    assert effects(tmp_path) == ["inner", "one", "two", "inner", "two"]


# -- changes ---------------------------------------------------------------------------------------------------------------


def test_a_step_that_failed_can_be_mended_in_the_file(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    assert resume(tmp_path, TWO.replace(" --fail-if broken", "")).exit_code == 0
    assert effects(tmp_path) == ["one", "two", "two"]


def test_a_finished_step_that_is_gone_is_refused(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    told = resume(tmp_path, "steps:" + TWO.partition("log}")[2])
    assert told.exit_code == 2
    assert 'step "one" is no longer in the runbook' in told.errors


def test_a_variable_that_a_finished_step_used_is_part_of_it(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "vars: {inner: x, word: '${{ vars.inner }}y', other: z}\n" + TWO.replace(
        "effect one", "effect '${{ vars.word }}'"
    ).replace("command: effect '${{ vars.word }}' --log log", 'command: "effect ${{ vars.word }} --log log"')
    assert run(tmp_path, text).exit_code == 1
    mend(tmp_path)
    assert "+vars.inner: new" in resume(tmp_path, text.replace("inner: x", "inner: new")).errors
    assert resume(tmp_path, text.replace("other: z", "other: new")).exit_code == 0


def test_names_and_descriptions_may_change(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    mend(tmp_path)
    changed = TWO.replace("{id: one,", "{id: one, name: The first, description: new, tags: [a],")
    assert resume(tmp_path, changed).exit_code == 0


def test_other_items_of_a_loop_are_refused(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "steps:\n  - {id: load, command: 'effect ${{ item }} --log log', for_each: [a, b]}\n" + TWO.removeprefix(
        "steps:\n"
    )
    run(tmp_path, text)
    told = resume(tmp_path, text.replace("[a, b]", "[x, a, b]"), accept_changes=True)
    assert told.exit_code == 2
    assert 'number 1 was "effect (a)" and is "x" now' in told.errors


@pytest.mark.parametrize("items", ["[hidden-c]", "[]"])
def test_other_items_of_a_loop_with_no_log_are_refused_by_their_numbers(tmp_path: Path, items: str) -> None:
    text = "steps: [{no_log: true, steps: [{id: load, command: fail, for_each: [hidden-a]}]}]"
    run(tmp_path, text)
    told = resume(tmp_path, text.replace("[hidden-a]", items), accept_changes=True)
    assert 'number 1 was "fail (1)"' in told.errors
    assert "hidden" not in told.errors


def test_items_are_told_apart_behind_what_is_shown_of_them(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - id: load
    command: effect ${{ item.day }} --log log --fail-if broken
    for_each:
      - {path: PATH, day: 1}
      - {path: PATH, day: 2}
""".replace("PATH", "x" * 80)
    run(tmp_path, text)
    told = resume(tmp_path, text.replace("day: 1", "day: 3"), accept_changes=True)
    assert (told.exit_code, effects(tmp_path)) == (2, ["1"])
    assert 'the items of "load" have changed: number 1' in told.errors


@pytest.mark.parametrize("name", ["Load", "Load ${{ item }}"])
def test_a_loop_may_be_renamed(tmp_path: Path, name: str) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - id: load
    name: Take ${{ item }}
    command: effect ${{ item }} --log log
    options: {fail-if: "${{ 'broken' if item == 'b' else 'nothing' }}"}
    for_each: [a, b]
"""
    run(tmp_path, text)
    mend(tmp_path)
    assert resume(tmp_path, text.replace("Take ${{ item }}", name)).exit_code == 0
    assert effects(tmp_path) == ["a", "b", "b"]


# -- attempts that ended before they came to a step again -----------------------------------------------------------------

FIRST_AND_GROUP = """\
steps:
  - {id: first, command: effect first --log log --fail-if first-broken --output 1, capture: json}
  - id: group
    steps:
      - {id: one, command: effect one --log log}
      - {id: two, command: effect two --log log --fail-if broken, when: steps.first.output == 1}
"""
FIRST_AND_LOOP = """\
steps:
  - {id: first, command: effect first --log log --fail-if first-broken}
  - id: load
    command: effect ${{ item }} --log log
    options: {fail-if: "${{ 'broken' if item == 'b' else 'nothing' }}"}
    for_each: [a, b, c]
"""


def fail_and_end_early(directory: Path, text: str) -> None:
    """Fail in the last step, and in a second attempt before anything that stands behind the first one."""
    fail_now(directory)
    assert run(directory, text).exit_code == 1
    mend(directory)
    (directory / "first-broken").touch()
    assert resume(directory, rerun=["first"]).exit_code == 1
    (directory / "first-broken").unlink()


def test_what_is_done_stays_done_where_an_attempt_did_not_come_to_it(tmp_path: Path) -> None:
    fail_and_end_early(tmp_path, FIRST_AND_GROUP)
    told = resume(tmp_path)
    assert told.exit_code == 0
    assert effects(tmp_path) == ["first", "one", "two", "first", "first", "two"]


def test_what_succeeded_behind_a_failure_stays_done(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "steps:\n  - {id: one, command: effect one --log log --fail-if broken}\n  - {id: two, command: effect two --log log}\n"
    run(tmp_path, text, keep_going=True)
    Run.objects.update(options={})
    assert resume(tmp_path).statuses == {"one": "failed", "two": "succeeded"}
    mend(tmp_path)
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path) == ["one", "two", "one", "one"]


def test_what_was_counted_as_done_stays_so_behind_a_failure(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "steps:\n  - {id: one, command: effect one --log log --fail-if broken}\n  - {id: two, command: effect two --log log}\n"
    run(tmp_path, text)
    assert resume(tmp_path, skip=["two"]).exit_code == 1
    mend(tmp_path)
    assert resume(tmp_path).exit_code == 0
    assert "two" not in effects(tmp_path)


def test_a_condition_is_not_asked_again_after_an_attempt_that_did_not_come_to_it(tmp_path: Path) -> None:
    fail_and_end_early(tmp_path, FIRST_AND_GROUP)
    told = resume(tmp_path, FIRST_AND_GROUP.replace("output 1", "output 2"), accept_changes=True)
    assert told.statuses["two"] == "succeeded"


def test_other_items_are_refused_after_an_attempt_that_did_not_come_to_them(tmp_path: Path) -> None:
    fail_and_end_early(tmp_path, FIRST_AND_LOOP)
    told = resume(tmp_path, FIRST_AND_LOOP.replace("[a, b", "[x, b"), accept_changes=True)
    assert told.exit_code == 2
    assert "number 1 was" in told.errors


@pytest.mark.parametrize(
    "text",
    [
        """\
steps:
  - id: group
    lock: {name: theirs, on_conflict: skip}
    steps: ["effect one --log log --fail-if broken"]
""",
        "steps: [{id: one, lock: {name: theirs, on_conflict: skip}, command: effect one --log log --fail-if broken}]\n",
        "lock: {name: theirs, on_conflict: skip}\nsteps:\n  - {id: one, command: effect one --log log --fail-if broken}\n",
    ],
    ids=["group", "step", "file"],
)
def test_a_lock_that_is_held_does_not_make_a_success_of_what_has_failed(tmp_path: Path, text: str) -> None:
    fail_now(tmp_path)
    assert run(tmp_path, text).exit_code == 1
    mend(tmp_path)
    lock = factory.new_factory(conf.read(), what="the other one")("theirs")
    assert lock.acquire() is None
    try:
        told = resume(tmp_path)
    finally:
        lock.release()
    # The lock of the run: nothing was run. That of a step: the run had begun.
    assert told.exit_code == (75 if text.startswith("lock") else 1)
    # It had begun in an earlier attempt, so it is not "refused", and can be resumed.
    assert Run.objects.get().status == "failed"
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path) == ["one", "one"]


def test_a_look_at_a_dead_run_does_not_keep_it_from_being_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    mend(tmp_path)
    lock = factory.new_factory(conf.read(), what="show_runs")(Run.objects.get().lock_name)
    assert lock.acquire() is None
    monkeypatch.setattr("time.sleep", lambda seconds: lock.release())
    assert resume(tmp_path).exit_code == 0


@pytest.mark.parametrize("is_broken", [False, True])
def test_a_run_that_has_ended_leaves_no_lock_file(tmp_path: Path, settings: Settings, *, is_broken: bool) -> None:
    directory = tmp_path / "locks"
    settings.RUNBOOK = {**settings.RUNBOOK, "LOCK": {"BACKEND": "file", "OPTIONS": {"directory": directory}}}
    if is_broken:
        fail_now(tmp_path)
    assert run(tmp_path, TWO).exit_code == is_broken
    assert [path for path in directory.iterdir() if Run.objects.get().id in path.name] == []
    if is_broken:
        mend(tmp_path)
        assert resume(tmp_path).exit_code == 0
        assert [path for path in directory.iterdir() if Run.objects.get().id in path.name] == []


def test_other_items_that_only_the_run_knows_fail_the_loop(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: source, command: show_file items, capture: lines}
  - id: load
    command: effect ${{ item }} --log log
    options: {fail-if: "${{ 'broken' if item == 'b' else 'nothing' }}"}
    for_each: ${{ steps.source.output }}
"""
    (tmp_path / "items").write_text("a\nb\n")
    assert run(tmp_path, text).exit_code == 1
    mend(tmp_path)
    (tmp_path / "items").write_text("new\na\nb\n")
    told = resume(tmp_path, rerun=["source"])
    assert told.exit_code == 1
    assert 'number 1 was "effect (a)" and is "new" now' in told.result("load")["failure"]["message"]
    assert effects(tmp_path) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        (
            """\
steps:
  - {id: source, command: show_file items, capture: lines}
  - id: load
    for_each: ${{ steps.source.output }}
    steps: ["effect a-${{ item }} --log log", "effect b-${{ item }} --log log --fail-if broken"]
""",
            {},
        ),
        (
            """\
steps:
  - {id: source, command: show_file items, capture: lines}
  - {id: load, command: "effect ${{ item }} --log log --fail-if broken", for_each: "${{ steps.source.output }}"}
""",
            {"skip": ["load[2]"]},
        ),
    ],
    ids=["done in a group that failed", "counted as done"],
)
def test_no_other_item_is_taken_for_one_of_which_something_is_done(
    tmp_path: Path, text: str, answers: dict[str, Any]
) -> None:
    fail_now(tmp_path)
    (tmp_path / "items").write_text("x\ny\nz\n")
    assert run(tmp_path, text).exit_code == 1
    if answers:
        assert resume(tmp_path, **answers).exit_code == 1
    mend(tmp_path)
    before = effects(tmp_path)
    (tmp_path / "items").write_text("x\nnew\ny\nz\n" if answers else "new\nx\ny\nz\n")
    told = resume(tmp_path, rerun=["source"])
    assert (told.exit_code, effects(tmp_path)) == (1, before)
    assert 'the items of "load" have changed' in told.result("load")["failure"]["message"]


def test_a_parameter_that_is_new_in_the_file_is_given(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "params: {old: 1}\nsteps: [effect one --log log --fail-if broken]\n"
    run(tmp_path, text)
    mend(tmp_path)
    text = (
        text.replace("old: 1", "old: 1, new: {type: string}")
        .replace("one", '"${{ params.new }}"')
        .replace("[effect", "['effect")
        .replace("broken]", "broken']")
    )
    assert "--param new" in resume(tmp_path, text).errors
    assert resume(tmp_path, text, param=["new=two"]).exit_code == 0
    assert effects(tmp_path) == ["one", "two"]


def test_a_parameter_that_is_gone_is_left_out_where_changes_are_accepted(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "params: {old: 1, kept: 2}\nsteps: ['effect ${{ params.kept }} --log log --fail-if broken']\n"
    run(tmp_path, text, param=["old=5", "kept=6"])
    mend(tmp_path)
    text = text.replace("old: 1, ", "")
    told = resume(tmp_path, text)
    assert told.exit_code == 2
    assert 'began with the parameter "old", which the runbook no longer has; --accept-changes' in told.errors
    assert resume(tmp_path, text, accept_changes=True).exit_code == 0
    assert effects(tmp_path) == ["6", "6"]


def test_an_item_that_was_left_out_has_no_name_to_be_known_by(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - id: load
    name: Load ${{ item }}
    command: effect ${{ item }} --log log
    options: {fail-if: "${{ 'broken' if item == 'b' else 'nothing' }}"}
    for_each: [a, b, c, d]
"""
    assert run(tmp_path, text).exit_code == 1
    mend(tmp_path)
    assert resume(tmp_path, skip=["load[3]"]).exit_code == 0
    assert effects(tmp_path) == ["a", "b", "b", "d"]


# -- answers for groups and handlers ---------------------------------------------------------------------------------------


def test_rerun_of_a_group_runs_all_of_it(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: group, steps: [effect a --log log, effect b --log log]}
  - effect c --log log --fail-if broken
"""
    run(tmp_path, text)
    mend(tmp_path)
    assert resume(tmp_path, rerun=["group"]).exit_code == 0
    assert effects(tmp_path) == ["a", "b", "c", "a", "b", "c"]


@pytest.mark.parametrize("answer", [{"skip": ["group"]}, {"skip": ["clean"]}, {"rerun": ["clean"]}])
def test_an_answer_that_would_mean_nothing_is_refused(tmp_path: Path, answer: dict[str, Any]) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: group, steps: [effect a --log log --fail-if broken]}
finally: [{id: clean, command: effect clean --log log}]
"""
    run(tmp_path, text)
    told = resume(tmp_path, **answer)
    assert told.exit_code == 2
    assert "with this id" in told.errors


# -- secrets ---------------------------------------------------------------------------------------------------------------


def test_an_output_with_a_secret_is_not_stored_and_its_step_can_be_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "s3cret-token")
    fail_now(tmp_path)
    text = """\
secrets: [TOKEN]
steps:
  - {id: one, command: effect one --log log, options: {output: "${{ secrets.TOKEN }}"}, capture: text}
  - {id: two, command: effect two --log log --fail-if broken, options: {output: "${{ steps.one.output | length }}"}}
"""
    run(tmp_path, text)
    row = StepRun.objects.get(step_id="one")
    assert (row.output, row.is_output_secret) == (None, True)
    mend(tmp_path)
    told = resume(tmp_path)
    assert told.exit_code == 2
    assert "--rerun one" in told.errors
    told = resume(tmp_path, rerun=["one"])
    assert told.output("two") == ["12"]
    assert "s3cret" not in repr([*Run.objects.values(), *StepRun.objects.values()])


def test_a_parameter_with_a_secret_is_not_stored_and_is_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "s3cret-token")
    fail_now(tmp_path)
    text = "secrets: [TOKEN]\nparams: {url: ''}\n" + TWO
    assert run(tmp_path, text, param=["url=http://s3cret-token@host"]).exit_code == 1
    assert Run.objects.get().params == {}
    mend(tmp_path)
    assert "--param url" in resume(tmp_path).errors
    assert resume(tmp_path, param=["url=http://s3cret-token@host"]).exit_code == 0


# -- groups, and what has moved ---------------------------------------------------------------------------------------

MOVED = """\
steps:
  - id: group
    steps:
      - {id: a, command: effect a --log log}
  - {id: b, command: effect b --log log --fail-if broken}
  - {id: c, command: effect c --log log}
"""


def test_a_step_that_was_moved_into_a_group_that_is_done_is_not_left_out(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, MOVED)
    mend(tmp_path)
    told = resume(
        tmp_path, MOVED.replace("\n  - {id: b", "\n      - {id: b").replace("\n  - {id: c", "\n      - {id: c")
    )
    assert told.exit_code == 2
    assert 'step "b" is new in a completed group\nstep "c" is new in a completed group' in told.errors
    assert effects(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("items", ["[x, y]", "${{ ['x', 'y'] }}"])
def test_a_step_that_is_new_in_the_items_that_are_done_is_not_left_out(tmp_path: Path, items: str) -> None:
    fail_now(tmp_path)
    text = f"""\
steps:
  - id: group
    for_each: "{items}"
    steps:
      - {{id: a, command: "effect a-${{{{ item }}}} --log log"}}
      - {{id: none, for_each: [], steps: [noop]}}
      - {{id: b, command: effect b --log log, options: {{fail-if: "${{{{ 'broken' if item == 'y' else 'no' }}}}"}}}}
"""
    if items.startswith("["):
        text = text.replace(f'"{items}"', items)
    run(tmp_path, text)
    mend(tmp_path)
    added = text + "      - {id: new, command: effect new --log log}\n"
    told = resume(tmp_path, added)
    assert (told.exit_code, 'step "new" is new in a completed group' in told.errors) == (2, True)
    assert resume(tmp_path, added, accept_changes=True).exit_code == 0
    assert effects(tmp_path) == ["a-x", "b", "a-y", "b", "b", "new"]


@pytest.mark.parametrize(("before", "after"), [("", "for_each: [1, 2], "), ("for_each: [1, 2], ", "")])
def test_a_step_that_is_done_does_not_move_into_a_loop_or_out_of_one(tmp_path: Path, before: str, after: str) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: outer, %ssteps: [{id: inner, steps: [effect a --log log]}, {id: b, command: effect b --log log --fail-if broken}]}
"""
    run(tmp_path, text % before)
    mend(tmp_path)
    told = resume(tmp_path, text % after)
    assert told.exit_code == 2
    assert "outer" in told.errors
    assert 'step "inner" is in a different loop now, or no longer in a loop' in told.errors
    assert effects(tmp_path) == ["a", "b"]


def test_a_group_whose_until_was_not_true_begins_anew(tmp_path: Path) -> None:
    text = """\
steps:
  - id: group
    retry: {attempts: 2, delay: 0s, until: steps.check.output == 2}
    steps: [{id: check, command: show_file state, capture: json}]
"""
    (tmp_path / "state").write_text("1")
    assert run(tmp_path, text).exit_code == 1
    (tmp_path / "state").write_text("2")
    assert resume(tmp_path).exit_code == 0
    assert StepRun.objects.filter(step_id="check").count() == 3


INNER = "{id: b, command: effect b --log log --output no, capture: text, retry: {attempts: 1, until: steps.b.output == 'yes'}}"

LOOPED = """\
steps:
  - id: g
    for_each: [a, b]
    command: effect ${{ item }} --log log
    retry: {attempts: 1, until: item == 'a'}
"""


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        (f"steps: [{{id: g, steps: [effect a --log log, {INNER}]}}]\n", ["a", "b"], ["b"]),
        ("steps: [{id: g, runbook: other.yml}]\n", ["a", "b"], ["b"]),
        (LOOPED, ["a", "b"], ["b"]),
    ],
    ids=["group", "call", "loop"],
)
def test_the_until_of_a_step_does_not_have_the_groups_around_it_begin_anew(
    tmp_path: Path, text: str, before: list[str], after: list[str]
) -> None:
    (tmp_path / "other.yml").write_text(f"steps: [effect a --log log, {INNER}]\n")
    run(tmp_path, text)
    assert resume(tmp_path).exit_code == 1
    assert effects(tmp_path) == before + after


def test_a_group_that_begins_anew_does_so_after_every_attempt_of_the_run(tmp_path: Path) -> None:
    text = """\
steps:
  - id: g
    retry: {attempts: 1, until: steps.two.output == 'yes'}
    steps:
      - {id: one, command: effect one --log log, idempotent: true}
      - {id: two, command: effect two --log log --output no, capture: text}
"""
    run(tmp_path, text)
    resume(tmp_path)
    die("g", "one")
    StepRun.objects.filter(run_attempt=1, step_id="one").update(status="succeeded")
    StepRun.objects.filter(run_attempt=1, step_id="g").update(status="failed")
    resume(tmp_path)
    assert effects(tmp_path) == ["one", "two"] * 3


def test_a_called_runbook_whose_until_was_not_true_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "other.yml").write_text("steps: [effect a --log log]\n")
    run(tmp_path, "steps: [{id: call, runbook: other.yml, retry: {attempts: 2, delay: 0s, until: 1 == 2}}]\n")
    assert resume(tmp_path).exit_code == 1
    assert effects(tmp_path) == ["a"] * 4


RETRIED = """\
steps:
  - id: group
    retry: {attempts: 2, delay: 0s}
    steps:
      - {id: prepare, command: effect prepare --log log, idempotent: true}
      - {id: middle, command: effect middle --log log}
      - {id: work, command: effect work --log log --fail-if broken}
"""


def test_a_group_that_is_tried_again_in_a_resumed_run_begins_with_its_first_step(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, RETRIED)
    assert effects(tmp_path) == ["prepare", "middle", "work"] * 2
    resume(tmp_path)
    # It goes on where it was, and is tried again from its start.
    assert effects(tmp_path)[6:] == ["work", "prepare", "middle", "work"]
    mend(tmp_path)
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path)[10:] == ["work"]


def test_what_was_done_before_a_group_was_tried_again_does_not_count(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, RETRIED)
    mend(tmp_path)
    # Killed in the first step of the second attempt.
    die("group", "prepare")
    StepRun.objects.filter(step_id="prepare", attempt=1).update(status="succeeded")
    StepRun.objects.filter(step_id="group", attempt=1).update(status="failed")
    assert list(StepRun.objects.filter(status="succeeded").values_list("step_id", flat=True)) == ["prepare", "middle"]
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path)[6:] == ["prepare", "middle", "work"]


def test_what_failed_in_a_group_that_is_done_has_failed_after_a_resume_too(tmp_path: Path) -> None:
    text = """\
steps:
  - {id: allowed, continue_on_error: true, steps: [{id: bad, command: fail}, {id: behind, command: noop}]}
  - {id: late, command: effect late --log log --fail-if broken}
  - {id: alarm, command: effect alarm --log log, when: steps.bad.status == 'failed' and steps.behind.status == 'not_run'}
"""
    whole = run(tmp_path, text)
    fail_now(tmp_path)
    run(tmp_path, text)
    mend(tmp_path)
    resumed = resume(tmp_path)
    assert (whole.status, whole.statuses) == (resumed.status, resumed.statuses)
    assert (resumed.status, resumed.statuses["bad"]) == ("warning", "failed")
    assert effects(tmp_path).count("alarm") == 2


@pytest.mark.parametrize(
    ("handler", "status"),
    [("fail", "warning"), ("{command: fail, continue_on_error: true}", "warning"), ("noop", "succeeded")],
)
def test_a_failed_handler_of_a_group_that_is_done_is_a_warning_after_a_resume_too(
    tmp_path: Path, handler: str, status: str
) -> None:
    fail_now(tmp_path)
    text = f"""\
steps:
  - {{id: group, steps: [noop], finally: [{handler}]}}
  - {{id: late, command: effect late --log log --fail-if broken}}
"""
    run(tmp_path, text)
    mend(tmp_path)
    told = resume(tmp_path, strict=True)
    assert (told.status, told.exit_code) == (status, int(status == "warning"))


@pytest.mark.parametrize(("output", "count"), [(1, 1), (0, 2)])
def test_the_until_of_an_atomic_step_is_asked_though_the_run_ended_before_it(
    tmp_path: Path, output: int, count: int
) -> None:
    text = """\
steps:
  - id: one
    command: effect one --log log --output 1
    capture: json
    atomic: true
    retry: {attempts: 3, delay: 0s, until: steps.one.output == 1}
"""
    run(tmp_path, text)
    die("one")
    StepRun.objects.update(status="succeeded", output=[output])
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path) == ["one"] * count


def test_a_group_whose_until_failed_stays_as_it_was_in_a_group_that_is_done(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - id: outer
    continue_on_error: true
    steps:
      - id: sub
        retry: {attempts: 1, until: 1 == 2}
        steps:
          - {id: x, command: effect x --log log --output hello, capture: text}
  - {id: late, command: "effect ${{ steps.x.output }} --log log --fail-if broken"}
"""
    run(tmp_path, text)
    mend(tmp_path)
    new = "          - {id: z, command: noop}\n  - {id: late"
    assert resume(tmp_path, text.replace("  - {id: late", new)).exit_code == 2
    assert resume(tmp_path, text).exit_code == 0
    assert effects(tmp_path) == ["x", "hello", "hello"]


def test_a_loop_in_a_group_that_is_done_has_its_items_after_a_resume_too(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - id: allowed
    continue_on_error: true
    steps:
      - {id: load, command: "effect ${{ item }} --log log", for_each: [a, b, c], options: {fail-if: "${{ 'broken' if item == 'b' else 'no' }}"}}
  - {id: late, command: "effect ${{ steps.load.results | map(attribute='status') | join('+') }} --log log --fail-if broken"}
"""
    run(tmp_path, text)
    mend(tmp_path)
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path)[-2:] == ["succeeded+failed+not_run"] * 2


@pytest.mark.parametrize(
    "inside",
    [
        "steps: [{id: bad, command: fail}, {id: l, for_each: [x, y], steps: [noop]}]",
        "for_each: '${{ steps.o.output.nothing }}', steps: [noop]",
        "lock: held, steps: [noop]",
        "when: steps.o.output.nothing, steps: [noop]",
        "parallel: [{id: quick, command: fail}, {id: slow, command: effect slow --log log --until never}]",
    ],
    ids=["loop", "items", "lock", "condition", "branch"],
)
def test_what_was_never_gone_into_is_no_reason_to_refuse_a_resume(tmp_path: Path, inside: str) -> None:
    fail_now(tmp_path)
    text = f"""\
steps:
  - {{id: o, command: "say 1", capture: json}}
  - {{id: g, continue_on_error: true, {inside}}}
  - {{id: late, command: effect late --log log --fail-if broken}}
"""
    lock = factory.new_factory(conf.read(), what="the other one")("held")
    assert lock.acquire() is None
    try:
        assert run(tmp_path, text).statuses["late"] == "failed"
    finally:
        lock.release()
    mend(tmp_path)
    told = resume(tmp_path)
    assert told.exit_code == 0, told.errors


def test_what_a_group_leaves_out_is_recorded_before_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "steps: [{id: g, steps: [noop, {id: t, command: noop, tags: [t]}]}, {id: late, command: noop}]\n"
    seen: list[list[str]] = []
    finish = StepRun.finish

    def look(row: StepRun, status: Any, **more: Any) -> bool:
        if row.step_id == "g":
            seen.append(list(StepRun.objects.values_list("step_id", flat=True)))
        return finish(row, status, **more)

    monkeypatch.setattr(StepRun, "finish", look)
    assert run(tmp_path, text, skip_tags=["t"]).exit_code == 0
    assert seen == [["g", "noop", "t"]]


# -- answers ----------------------------------------------------------------------------------------------------------


def test_the_narrower_of_two_answers_holds(tmp_path: Path) -> None:
    text = "steps:\n  - {id: load, command: 'effect ${{ item }} --log log', for_each: [a, b, c]}\n"
    run(tmp_path, text)
    die("load[2]", "load")
    told = resume(tmp_path, rerun=["load[2]"], skip=["load"])
    assert (told.exit_code, "--rerun load[2]: --skip marks it as done" in told.errors) == (2, True)
    assert resume(tmp_path, rerun=["load"], skip=["load[2]"]).exit_code == 0
    assert effects(tmp_path) == ["a", "b", "c", "a", "c"]


def test_a_step_that_the_run_began_without_is_not_run_again(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(
        tmp_path,
        "steps:\n  - {id: a, command: noop}\n  - {id: b, command: effect b --log log --fail-if broken}\n",
        skip=["a"],
    )
    told = resume(tmp_path, rerun=["a"])
    assert (told.exit_code, "--rerun a: the run began without this step (--skip)" in told.errors) == (2, True), (
        told.errors
    )


def test_an_answer_does_not_outlive_the_attempt_that_it_was_given_for(tmp_path: Path) -> None:
    text = "steps:\n  - {id: first, command: effect first --log log}\n  - {id: one, command: effect one --log log}\n"
    run(tmp_path, text)
    die("one")
    fail_now(tmp_path)
    changed = text.replace("effect first --log log", "effect first --log log --fail-if broken")
    assert resume(tmp_path, changed, rerun=["first", "one"], accept_changes=True).statuses["one"] == "not_run"
    told = resume(tmp_path, changed)
    assert (told.exit_code, 'step "one" was interrupted' in told.errors) == (2, True)
    mend(tmp_path)
    assert resume(tmp_path, changed, rerun=["one"]).exit_code == 0
    assert effects(tmp_path) == ["first", "one", "first", "first", "one"]


def test_what_a_failed_try_wrote_is_no_output_of_a_step_that_counts_as_done(tmp_path: Path) -> None:
    text = """\
steps:
  - {id: one, command: say 0, capture: json, retry: {attempts: 2, delay: 0s, until: "steps.one.output == 1"}}
  - {id: late, command: effect late --log log, when: steps.one.output is defined}
"""
    assert run(tmp_path, text).exit_code == 1
    assert resume(tmp_path, skip=["one"]).statuses == {"one": "skipped", "late": "skipped"}


# -- what later expressions see -----------------------------------------------------------------------------------------


def test_the_attempts_of_a_step_are_those_of_the_run_that_it_ended_in(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = """\
steps:
  - {id: maybe, command: noop, when: 1 == 2}
  - {id: empty, command: noop, for_each: []}
  - {id: twice, command: effect twice --log log --fail-until 2, retry: {attempts: 3, delay: 0s}}
  - {id: again, command: effect again --log log --fail-if broken}
  - {id: late, command: effect late --log log --fail-if late}
  - id: tell
    command: say
    args: ["${{ steps.maybe.attempts }} ${{ steps.empty.attempts }} ${{ steps.twice.attempts }} ${{ steps.again.attempts }}"]
"""
    run(tmp_path, text)
    mend(tmp_path)
    (tmp_path / "late").touch()
    assert resume(tmp_path).statuses["again"] == "succeeded"
    (tmp_path / "late").unlink()
    assert resume(tmp_path).output("tell") == ["0 0 2 1"]


def test_a_handler_of_a_group_that_is_done_needs_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2hunter2")
    fail_now(tmp_path)
    text = """\
secrets: [TOKEN]
steps:
  - id: group
    steps: [{id: a, command: effect a --log log --output hunter2hunter2, capture: text}]
    finally: [{id: f, command: noop, when: "steps.a.output == 'x'"}]
  - {id: b, command: effect b --log log --fail-if broken}
"""
    run(tmp_path, text)
    mend(tmp_path)
    assert resume(tmp_path).exit_code == 0


# -- what was given -----------------------------------------------------------------------------------------------------


def test_a_parameter_that_is_new_is_kept_from_the_first_resume_on(tmp_path: Path) -> None:
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
    mend(tmp_path)
    told = resume(tmp_path, changed.replace("y: 2", "y: 7"), param=["x=4"])
    assert (told.exit_code, "keeps the parameters" in told.errors) == (2, True)
    assert resume(tmp_path, changed.replace("y: 2", "y: 7")).exit_code == 0
    assert effects(tmp_path) == ["a", "a", "b-3-2", "b-3-2"]
    row = Run.objects.get()
    assert (row.params, row.options["strict"], row.options["withheld_params"]) == ({"x": 3, "y": 2}, True, [])


def test_a_parameter_that_held_a_secret_is_not_stored_when_the_secret_is_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_now(tmp_path)
    text = "secrets: [TOKEN]\nparams: {url: none}\nsteps: [effect a --log log --fail-if broken]\n"
    for secret in ("first-secret", "second-secret"):
        monkeypatch.setenv("TOKEN", secret)
        options = {} if secret.startswith("first") else {"resume": ""}
        assert run(tmp_path, text, param=["url=http://first-secret@host"], **options).exit_code == 1
        assert (Run.objects.get().params, Run.objects.get().options["withheld_params"]) == ({}, ["url"])
    mend(tmp_path)
    assert resume(tmp_path, param=["url=http://first-secret@host"]).exit_code == 0


def test_the_defaults_of_a_runbook_that_is_called_belong_to_what_is_done(tmp_path: Path) -> None:
    fail_now(tmp_path)
    other = """\
params: {n: 1, m: 1, unused: 1}
vars: {both: "${{ params.n }}+${{ params.m }}"}
steps:
  - effect a-${{ vars.both }} --log log
  - effect b --log log --fail-if broken
"""
    (tmp_path / "other.yml").write_text(other)
    run(tmp_path, "steps: [{id: call, runbook: other.yml, params: {m: 5}}]\n")
    mend(tmp_path)
    (tmp_path / "other.yml").write_text(other.replace("n: 1", "n: 2"))
    told = resume(tmp_path)
    assert told.exit_code == 2
    assert "-params.n: 1\n+params.n: 2" in told.errors
    (tmp_path / "other.yml").write_text(other.replace("m: 1", "m: 2").replace("unused: 1", "unused: 2"))
    assert resume(tmp_path).exit_code == 0
    assert effects(tmp_path) == ["a-1+5", "b", "b"]


def test_a_loop_of_which_nothing_is_done_may_be_mended(tmp_path: Path) -> None:
    fail_now(tmp_path)
    text = "steps:\n  - {id: load, command: 'effect ${{ item }} --log log --fail-if broken', for_each: [a, b]}\n"
    run(tmp_path, text, keep_going=True)
    assert resume(tmp_path, text.replace(" --fail-if broken", "")).exit_code == 0
    assert effects(tmp_path) == ["a", "b", "a", "b"]
