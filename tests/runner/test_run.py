"""The order of a run: conditions, retries, policies, groups, handlers, captures and exit codes."""

from __future__ import annotations

import gc
import io
import json
import sys
from collections import Counter
from cProfile import Profile
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test.utils import CaptureQueriesContext

from django_runbook import api, events
from django_runbook.results import RunStatus
from tests.runner.support import run


def test_steps_run_in_order_and_the_run_succeeds(tmp_path: Path) -> None:
    finished = run(tmp_path, "steps: [noop, say hello, noop]")
    assert finished.statuses == {"noop": "succeeded", "say": "succeeded", "noop-2": "succeeded"}
    assert (finished.status, finished.exit_code) == ("succeeded", 0)
    assert finished.output("say") == ["hello"]


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        ("--kind command --code 3", 3, "it went wrong"),
        ("--kind error", 1, "nobody meant this"),
        ("--kind exit --code 4", 4, "the command ended with exit code 4"),
        ("--kind exit --code 256", 1, "the command ended with exit code 256"),
        ("--kind text", 1, "a text as exit code"),
        ("--kind integrity", 1, "a constraint"),
    ],
)
def test_each_way_to_fail_is_a_failure(tmp_path: Path, options: str, exit_code: int, message: str) -> None:
    finished = run(tmp_path, f"steps: [fail {options}, noop]")
    assert finished.statuses == {"fail": "failed", "noop": "not_run"}
    assert (finished.status, finished.exit_code) == ("failed", 1)
    failure = finished.result("fail")["failure"]
    assert (failure["exit_code"], failure["message"]) == (exit_code, message)


def test_exit_with_zero_is_success(tmp_path: Path) -> None:
    assert run(tmp_path, "steps: [fail --kind exit --code 0]").exit_code == 0


@pytest.mark.parametrize(("how", "exit_code"), [("interrupt", 130), ("recurse", 1)])
def test_an_unusual_exception_is_a_failure(tmp_path: Path, how: str, exit_code: int) -> None:
    finished = run(tmp_path, f"steps: [misbehave {how}]")
    assert finished.result("misbehave")["failure"]["exit_code"] == exit_code


def test_a_result_without_text_is_a_warning(tmp_path: Path) -> None:
    finished = run(tmp_path, "steps: [return_five]")
    assert finished.statuses == {"return_five": "succeeded"}
    assert "returned int" in finished.result("return_five")["warnings"][0]
    assert finished.output("return_five") == ["done"]


@pytest.mark.django_db
def test_migrate_check_with_pending_migrations_fails_with_its_exit_code(tmp_path: Path) -> None:
    MigrationRecorder(connection).record_unapplied("sessions", "0001_initial")
    text = "steps: [{command: migrate --check, continue_on_error: %s}, noop]"
    finished = run(tmp_path, text % "false")
    assert finished.statuses == {"migrate": "failed", "noop": "not_run"}
    assert finished.result("migrate")["failure"]["exit_code"] == 1
    finished = run(tmp_path, text % "[1]")
    assert finished.statuses == {"migrate": "failed", "noop": "succeeded"}
    assert (finished.status, finished.exit_code) == ("warning", 0)


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        ("true", "warning"),
        ("[IntegrityError]", "warning"),
        ("[django.db.utils.IntegrityError]", "warning"),
        ("[DatabaseError]", "warning"),
        ("[1]", "warning"),
        ("[75]", "failed"),
        ("[OperationalError]", "failed"),
        ("false", "failed"),
    ],
)
def test_continue_on_error_allows_what_it_names(tmp_path: Path, policy: str, status: str) -> None:
    finished = run(tmp_path, f"steps: [{{command: fail --kind integrity, continue_on_error: {policy}}}, noop]")
    assert finished.status == status
    assert finished.statuses["noop"] == ("succeeded" if status == "warning" else "not_run")
    assert finished.result("fail")["ignored"] == (status == "warning")
    assert finished.statuses["fail"] == "failed"


def test_a_warning_is_a_failure_under_strict(tmp_path: Path) -> None:
    assert run(tmp_path, "steps: [{command: fail, continue_on_error: true}]", strict=True).exit_code == 1


def test_retry_counts_all_attempts_and_stops_at_success(tmp_path: Path) -> None:
    step = f"{{command: fail --counter {tmp_path}/n --until 3, retry: {{attempts: 5, delay: 0}}}}"
    finished = run(tmp_path, f"steps: [{step}]")
    assert finished.exit_code == 0
    assert finished.result("fail")["attempt_count"] == 3
    assert (tmp_path / "n").read_text() == "xxx"
    retries = [event for event in finished.events if event["event"] == "attempt_failed"]
    assert [event["attempt"] for event in retries] == [1, 2]


def test_retry_gives_up_after_the_last_attempt(tmp_path: Path) -> None:
    finished = run(tmp_path, "steps: [{command: fail, retry: {attempts: 2, delay: 0}}]")
    assert (finished.exit_code, finished.result("fail")["attempt_count"]) == (1, 2)


def test_retry_tries_only_the_errors_that_it_names(tmp_path: Path) -> None:
    text = "steps: [{command: fail --kind integrity, retry: {attempts: 3, delay: 0, errors: [%s]}}]"
    assert run(tmp_path, text % "OperationalError").result("fail")["attempt_count"] == 1
    assert run(tmp_path, text % "DatabaseError").result("fail")["attempt_count"] == 3


def test_until_tries_again_until_it_is_true(tmp_path: Path) -> None:
    text = """
    steps:
      - id: poll
        command: say waiting
        capture: text
        retry: {attempts: 2, delay: 0, until: steps.poll.output == "ready"}
    """
    finished = run(tmp_path, text)
    assert finished.result("poll")["failure"]["error_type"] == "UntilNotMet"
    assert run(tmp_path, text.replace("say waiting", "say ready")).exit_code == 0


def test_when_skips_and_says_why(tmp_path: Path) -> None:
    finished = run(tmp_path, "params: {n: 1}\nsteps: [{command: fail, when: params.n > 1}, noop]")
    assert finished.statuses == {"fail": "skipped", "noop": "succeeded"}
    assert finished.result("fail")["reason"] == "when: params.n > 1"


def test_when_that_gives_no_boolean_at_run_time_fails_the_step(tmp_path: Path) -> None:
    finished = run(
        tmp_path, "steps: [{id: one, command: say x, capture: text}, {command: noop, when: steps.one.output}]"
    )
    assert finished.statuses["noop"] == "failed"
    assert "gives a string, not true or false" in finished.result("noop")["failure"]["message"]


@pytest.mark.parametrize(
    ("capture", "command", "expression", "value"),
    [
        ("text", "say --to print 'a b'", "steps.one.output", "a b"),
        ("lines", "say --to print 'a b'", "steps.one.output | join('+')", "a b"),
        ("json", """say '{"count": [1, 2]}'""", "steps.one.output.count | length", "2"),
    ],
)
def test_captured_output_reaches_later_steps(
    tmp_path: Path, capture: str, command: str, expression: str, value: str
) -> None:
    text = f"steps:\n  - id: one\n    capture: {capture}\n    command: >-\n        {command}\n  - say <${{{{ {expression} }}}}>\n"
    assert run(tmp_path, text).output("say")[-1] == f"<{value}>"


def test_output_without_json_fails_the_step(tmp_path: Path) -> None:
    finished = run(tmp_path, "steps: [{command: say hello, capture: json}]")
    assert "is not JSON" in finished.result("say")["failure"]["message"]


def test_output_of_a_step_that_did_not_run_is_absent(tmp_path: Path) -> None:
    text = "params: {n: 1}\nsteps: [{id: one, command: say x, capture: text, when: params.n > 1}, 'say ${{ steps.one.output }}']"
    finished = run(tmp_path, text)
    assert 'step "one" is skipped and has no output' in finished.result("say")["failure"]["message"]


def test_captured_output_is_never_evaluated(tmp_path: Path) -> None:
    text = "steps: [{id: one, command: 'say $${{ secrets.x }}', capture: text}, 'say ${{ steps.one.output }}']"
    assert run(tmp_path, text).output("say") == ["${{ secrets.x }}"]


def test_a_captured_value_cannot_become_an_option(tmp_path: Path) -> None:
    finished = run(
        tmp_path, "steps: [{id: one, command: say, args: [--to=stderr], capture: text}, 'say ${{ steps.one.output }}']"
    )
    assert "would become an option" in finished.result("say")["failure"]["message"]


GROUP = """
steps:
  - name: Group
    id: group
    steps: [{first}, noop]
    on_success: [say good]
    on_failure: ['say bad ${{{{ run.failed_step }}}}']
    finally: [say always]
  - say after
on_failure: [say file failed]
finally: [say end]
"""


def lines(finished: Any) -> list[str]:
    return [event["line"] for event in finished.events if event["event"] == "step_output_written"]


def test_handlers_of_a_group_that_succeeds(tmp_path: Path) -> None:
    finished = run(tmp_path, GROUP.format(first="noop"))
    assert lines(finished) == ["good", "always", "after", "end"]
    assert finished.status == "succeeded"


def test_handlers_of_a_group_that_fails(tmp_path: Path) -> None:
    finished = run(tmp_path, GROUP.format(first="fail"))
    assert lines(finished) == ["about to fail", "bad fail", "always", "file failed", "end"]
    assert finished.status == "failed"
    assert finished.statuses["group"] == "failed"
    assert 'step "fail": it went wrong' in finished.result("group")["failure"]["message"]


def test_a_run_continues_after_the_ignored_failure_of_a_group(tmp_path: Path) -> None:
    text = "steps: [{id: group, continue_on_error: true, steps: [fail, noop]}, say after]"
    finished = run(tmp_path, text)
    assert finished.status == "warning"
    assert finished.statuses == {"fail": "failed", "noop": "not_run", "group": "failed", "say": "succeeded"}


def test_a_group_is_retried_whole(tmp_path: Path) -> None:
    text = f"steps: [{{id: group, retry: {{attempts: 3, delay: 0}}, steps: [say x, fail --counter {tmp_path}/n --until 2]}}]"
    finished = run(tmp_path, text)
    assert finished.status == "succeeded"
    assert lines(finished) == ["x", "about to fail", "x", "about to fail"]
    assert finished.result("group")["attempt_count"] == 2


def test_a_failing_handler_turns_success_into_a_warning(tmp_path: Path) -> None:
    finished = run(tmp_path, "steps: [noop]\nfinally: [fail, say end]")
    assert (finished.status, finished.exit_code) == ("warning", 0)
    assert finished.output("say") == ["end"]


def test_without_fail_fast_the_rest_runs_and_the_run_fails(tmp_path: Path) -> None:
    finished = run(tmp_path, "fail_fast: false\nsteps: [fail, say after]")
    assert (finished.status, finished.exit_code, finished.statuses["say"]) == ("failed", 1, "succeeded")
    assert run(tmp_path, "steps: [fail, say after]", keep_going=True).statuses["say"] == "succeeded"


@pytest.mark.parametrize("to", ["stdout", "stderr", "print", "log", "bytes", "return"])
def test_a_secret_is_masked_in_every_sink(
    tmp_path: Path, to: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    secrets = {"WORD": "hunter22", "LINES": "line one\nline two", "QUOTE": 'quote " and \\', "ODD": "ü–s/e c"}
    for name, secret in secrets.items():
        monkeypatch.setenv(name, secret)
    said = "".join(f"  - command: say --to {to} before ${{{{ secrets.{name} }}}} after\n" for name in secrets)
    named = "".join(
        f"  - {{command: say, name: 'Named ${{{{ secrets.{name} }}}}', args: ['${{{{ secrets.{name} }}}}']}}\n"
        for name in secrets
    )
    text = (
        f"secrets: [{', '.join(secrets)}]\nsteps:\n{said}  - fail --kind command\n  - say never\non_failure:\n{named}"
    )
    for output_format in ("jsonl", "plain", "rich"):
        stdout = io.StringIO()
        (tmp_path / "x.yml").write_text(text)
        with pytest.raises(CommandError):
            call_command("run_runbook", str(tmp_path / "x.yml"), format=output_format, stdout=stdout, verbosity=2)
        written = stdout.getvalue() + "".join(capfd.readouterr())
        for secret in secrets.values():
            for form in (secret, *secret.splitlines(), repr(secret)[1:-1]):
                assert form not in written
        # Each in the output of its step and in the output and the name of its handler.
        assert written.count("***") >= len(secrets) * 3, written


def test_no_log_hides_output_arguments_and_message_and_keeps_the_type(tmp_path: Path) -> None:
    finished = run(tmp_path, "steps: [{command: fail --kind integrity, no_log: true}]")
    written = str(finished.events)
    assert "a constraint" not in written
    assert "about to fail" not in written
    assert "integrity" not in written.replace("IntegrityError", "")
    assert finished.result("fail")["failure"]["error_type"] == "IntegrityError"


def test_no_secret_of_a_condition_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret-token")
    text = """\
secrets: [TOKEN]
steps:
  - {id: one, command: noop, when: secrets.TOKEN != "s3cret-token"}
  - {id: two, command: noop, retry: {attempts: 2, delay: 0s, until: secrets.TOKEN != "s3cret-token"}}
"""
    finished = run(tmp_path, text)
    assert finished.statuses == {"one": "skipped", "two": "failed"}
    assert "s3cret" not in str(finished.events)
    assert finished.result("one")["reason"] == 'when: secrets.TOKEN != "***"'


@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    [
        "{id: x, command: effect x --log log, options: {pause: '${{ steps.a.output }}'}, no_log: true}",
        "{id: x, no_log: true, steps: [{id: y, command: effect x --log log, options: {pause: '${{ steps.a.output }}'}}]}",
        "{id: x, command: noop, for_each: ['${{ steps.a.output }}'], no_log: true}",
        "{id: x, command: noop, for_each: ['${{ steps.a.output }}'], max_parallel: 2, no_log: true}",
        "{id: x, no_log: true, steps: [{id: y, command: fail, for_each: ['${{ steps.a.output }}', '${{ steps.a.output }}']}]}",
        "{id: x, command: noop, when: '[765433, steps.a.output] | first', no_log: true}",
        "{id: x, command: noop, for_each: '${{ (steps.a.output | length) + 765421 }}', no_log: true}",
    ],
    ids=["argument", "group", "loop", "parallel", "items", "when", "for_each"],
)
def test_no_log_hides_the_values_of_a_step_in_its_name_and_its_errors(tmp_path: Path, step: str) -> None:
    text = f"steps:\n  - {{id: a, command: say hidden-value, capture: text, no_log: true}}\n  - {step}\n"
    for output_format in ("jsonl", "plain", "rich", "github"):
        finished = run(tmp_path, text, format=output_format, junit=str(tmp_path / "report.xml"))
        written = "\n".join(finished.shown) + finished.errors + (tmp_path / "report.xml").read_text()
        assert finished.exit_code != 2
        assert "hidden-value" not in written
        assert "765433" not in written


def test_an_item_of_a_step_with_no_log_is_called_by_its_number(tmp_path: Path) -> None:
    finished = run(tmp_path, "steps: [{id: x, command: fail, for_each: [a, b], no_log: true}]")
    assert [finished.result(f"x[{number}]")["name"] for number in (1, 2)] == ["fail (1)", "fail (2)"]


@pytest.mark.parametrize(("code", "exit_code"), [(3, 3), (256, 1), (3_000_000_007, 7), (10**20, 1), (-5, 251)])
def test_the_exit_code_of_a_command_is_one_byte(tmp_path: Path, code: int, exit_code: int) -> None:
    for kind in ("command", "exit"):
        finished = run(tmp_path, f"steps: [fail --kind {kind} --code={code}]")
        assert finished.result("fail")["failure"]["exit_code"] == exit_code


@pytest.mark.parametrize("depth", [101, 480, 100_000])
def test_json_that_is_nested_too_deep_fails_its_step(tmp_path: Path, depth: int) -> None:
    (tmp_path / "deep").write_text("[" * depth + "]" * depth)
    finished = run(tmp_path, f"steps: [{{id: one, command: show_file {tmp_path}/deep, capture: json}}]")
    assert finished.exit_code == 1
    message = finished.result("one")["failure"]["message"]
    assert message == "capture: json: the output is nested more than 100 levels deep"


def test_confirm_without_a_terminal_fails_and_says_what_to_do(tmp_path: Path) -> None:
    finished = run(tmp_path, "steps: [{command: say x, confirm: Sure?}]")
    assert "--yes" in finished.result("say")["failure"]["message"]
    assert run(tmp_path, "steps: [{command: say x, confirm: Sure?}]", yes=True).exit_code == 0


def test_verbosity_goes_to_steps_that_do_not_set_it(tmp_path: Path) -> None:
    finished = run(tmp_path, "steps: [noop, noop --verbosity 0]", verbosity=2)
    argvs = [event["argv"] for event in finished.events if event["event"] == "step_started"]
    assert argvs == [["noop", "--verbosity=2"], ["noop", "--verbosity", "0"]]


def test_parameters_have_their_types(tmp_path: Path) -> None:
    text = """
params: {day: {type: date}, count: 1, loud: false, names: [a], mode: {choices: [x, y], default: x}}
vars: {next: "${{ params.count + 1 }}"}
steps: ["say ${{ params.day.year }} ${{ vars.next }} ${{ params.loud }} ${{ params.names | join('-') }} ${{ params.mode }}"]
"""
    given = ["day=2013-01-31", "count=4", "loud=yes", "names=b, c", "mode=y"]
    assert run(tmp_path, text, param=given).output("say") == ["2013 5 true b-c y"]
    finished = run(tmp_path, text, param=["day=yesterday", "count=many", "loud=maybe", "mode=z"])
    assert finished.exit_code == 2
    for words in (
        '"yesterday" is not a date',
        '"many" is not an integer',
        '"maybe" is neither',
        '"z" is not one of x, y',
    ):
        assert words in finished.errors
    assert 'the parameter "day" has no value' in run(tmp_path, text).errors


def test_a_missing_or_short_secret_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "secrets: [TOKEN]\nsteps: ['say ${{ secrets.TOKEN }}']"
    monkeypatch.delenv("TOKEN", raising=False)
    assert "is not in the environment" in run(tmp_path, text).errors
    monkeypatch.setenv("TOKEN", "abc")
    assert "shorter than 4" in run(tmp_path, text).errors


@pytest.mark.django_db(transaction=True)
def test_a_command_whose_table_an_earlier_step_makes_is_checked_before_it_runs(tmp_path: Path) -> None:
    finished = run(tmp_path, "steps: [parse_table --choice a]")
    assert "cannot be checked yet" in finished.errors
    assert finished.statuses == {"parse_table": "failed"}


# It counts the work of hundreds of steps.
@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["steps", "items"])
def test_a_run_grows_with_its_steps_and_with_the_items_of_a_loop(tmp_path: Path, settings: Any, kind: str) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": True}

    def counted(count: int) -> Counter[str]:
        names = [f"s{number}" for number in range(1000, 1000 + count)]
        loop = f"steps: [{{id: loop, command: noop, for_each: {json.dumps(names)}}}]\n"
        steps = "steps:\n" + "".join(f"  - {{id: {name}, command: noop}}\n" for name in names)
        # It counts calls of Python functions without calling one itself.
        profile = Profile(subcalls=False, builtins=False)
        with CaptureQueriesContext(connection) as queries, profile:
            ended = run(tmp_path, steps if kind == "steps" else loop)
        assert ended.exit_code == 0
        found = Counter(calls=sum(entry.callcount for entry in profile.getstats()))
        found["queries"], found["events"] = len(queries), len(ended.events)
        found["bytes"] = sum(len(json.dumps(event)) for event in ended.events)
        return found

    counted(1)
    few, more, many = (counted(count) for count in (50, 100, 150))
    for what in few:
        first, second = more[what] - few[what], many[what] - more[what]
        assert first > 0
        # The same number of steps costs the same wherever it is in the run.
        assert second == pytest.approx(first, rel=0.05), what


class KeptBlocks:
    """Counts the blocks of memory that Python has, at the start and at the end of a run."""

    def __init__(self) -> None:
        self.before = self._count()
        self.at_start = self.at_end = 0

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.RunStarted):
            self.at_start = self._count()
        elif isinstance(event, events.RunFinished):
            self.at_end = self._count()

    def close(self) -> None:
        pass

    def _count(self) -> int:
        gc.collect()
        return sys.getallocatedblocks()


# It counts the memory of hundreds of steps.
@pytest.mark.slow
@pytest.mark.only("inline")
@pytest.mark.parametrize("kind", ["steps", "items"])
def test_a_step_keeps_few_blocks_of_memory_until_its_run_ends(tmp_path: Path, kind: str) -> None:
    def kept(count: int) -> tuple[int, int]:
        names = [f"s{number}" for number in range(1000, 1000 + count)]
        loop = f"steps: [{{id: loop, command: noop, for_each: {json.dumps(names)}}}]\n"
        steps = "steps:\n" + "".join(f"  - {{id: {name}, command: noop}}\n" for name in names)
        (tmp_path / "it.yml").write_text(steps if kind == "steps" else loop)
        blocks = KeptBlocks()
        result = api.run(api.RunRequest(file=str(tmp_path / "it.yml"), inline=True), reporters=[blocks])
        assert result.status is RunStatus.SUCCEEDED
        return blocks.at_start - blocks.before, blocks.at_end - blocks.at_start

    kept(90)
    # The collections look at the objects of the run only.
    gc.freeze()
    try:
        sizes = [kept(count) for count in (30, 60, 90)]
    finally:
        gc.unfreeze()
    # A step is 11 blocks in the file and in the plan, and 5 in the results; an item is 8 and 6.
    for limit, counts in zip((20, 10), zip(*sizes, strict=True), strict=True):
        few, more, many = counts
        assert 0 < more - few <= limit * 30
        assert 0 < many - more <= limit * 30
