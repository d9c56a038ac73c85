"""Events in, the log of a job of GitHub Actions and its summary out."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable
from pathlib import Path

import pytest

from django_runbook import events, reporters
from django_runbook.events import Event
from django_runbook.reporters import github
from django_runbook.reporters.github import GitHubReporter
from django_runbook.reporters.step_tree import Tree
from django_runbook.results import Failure, RunResult, RunStatus, StepStatus
from tests.reporters.scenes import AT, BUG, CONCURRENT, QUEUED, RUN, ended, finished, progressed, send, started, wrote


def log(listed: Iterable[Event], *, verbosity: int = 1) -> str:
    stream = io.StringIO()
    numbers = itertools.count(1)
    reporter = GitHubReporter(stream, verbosity=verbosity, new_token=lambda: f"token{next(numbers)}")
    send(reporter, listed)
    reporter.close()
    return stream.getvalue()


def test_github_shows_each_step_as_a_group_and_problems_as_annotations() -> None:
    assert (
        log(RUN)
        == """\
runbook: Daily: 5 steps (daily.yml)
::group::One (one)
::stop-commands::token1
$ noop
quiet please
::token1::
::endgroup::
succeeded: One (one, 1.2s)
group: Group (group)
::group::Flaky (flaky)
::stop-commands::token2
$ flaky
::token2::
::endgroup::
ignored: Flaky (flaky, 1.2s): ValueError: oops
::group::Two (two)
::stop-commands::token3
$ fail --code=3
retry: two: attempt 1 of 2 failed: it went wrong ... (exit 3); next in 21s
[bold]not markup[/bold] ü
::token3::
::endgroup::
failed: Two (two, 1.2s): it went wrong ... (exit 3); 2 attempts
not run: Later (later): "two" failed
skipped: Never (never): when: params.n > 1
stopping: SIGTERM: stopping after the current command
::error title=Two (two)%3A failed::it went wrong (exit 3)%0Aand more
::warning title=Flaky (flaky)%3A failed but ignored::ValueError: oops%0AFile "a.py", line 3, in handle
failed: 1 succeeded, 1 failed but ignored, 1 failed, 1 not run, 1 skipped in 1m23s, exit code 1
run 1f0d898b failed; resume with: python manage.py run_runbook daily.yml --resume 1f0d898b
"""
    )


def test_github_writes_concurrent_steps_one_after_the_other() -> None:
    assert (
        log(CONCURRENT)
        == """\
runbook: Nightly: 3 steps (nightly.yml)
loop: Import (import): 3 items
::group::Import[2] (import[2], 1.2s)
::stop-commands::token1
$ import --n=2
first of 2
second of 2
::token1::
::endgroup::
succeeded: Import[2] (import[2], 1.2s)
::group::Import[3] (import[3], 1.2s)
::stop-commands::token2
$ import --n=3
first of 3
second of 3
::token2::
::endgroup::
failed: Import[3] (import[3], 1.2s): ValueError: oops
::group::Import[1] (import[1], 1.2s)
::stop-commands::token3
$ import --n=1
first of 1
second of 1
third of 1
::token3::
::endgroup::
succeeded: Import[1] (import[1], 1.2s)
failed: Import (import, 1.2s): "Import[3]" (import[3]) failed
::error file=nightly.yml,line=4,title=Import[3] (import[3])%3A failed::ValueError: oops%0AFile "a.py", line 3, in handle
failed: 2 succeeded, 1 failed in 2.0s, exit code 1
"""
    )


def commands(text: str) -> list[str]:
    """The workflow commands in a log: `::name …::` at the start of a line, `##[name]` anywhere."""
    found, token = [], ""
    for line in text.splitlines():
        output = line.lstrip()
        name = output[2:].split("::")[0].split(" ")[0] if output.startswith("::") and "::" in output[2:] else ""
        if not name and "##[" in line:
            name = line.split("##[")[1].split("]")[0].split(" ")[0]
        if token:
            token = "" if name == token else token
        elif name == "stop-commands":
            token = output.split("::")[2]
        elif name:
            found.append(name)
    return found


@pytest.mark.parametrize("is_concurrent", [False, True], ids=["alone", "concurrent"])
@pytest.mark.parametrize(
    "evil", ["::set-env name=X::1", "  ::error::no", "x ##[add-path]/tmp", "::token1x::", "::endgroup::"]
)
def test_no_text_of_a_run_is_interpreted_as_a_workflow_command(evil: str, is_concurrent: bool) -> None:  # noqa: FBT001 - a parameter of the test
    wrong = Failure(error_type=evil, message=f"{evil}\n{evil}", exit_code=1, traceback=f"{evil}\n{evil}")
    listed: list[Event] = [
        events.RunStarted(at=AT, run_id="1", name=evil, file=evil, step_count=1),
        events.LockAwaited(at=AT, step_id="", name=evil, holder=evil),
        events.StepStarted(at=AT, step_id="g", name=evil, item_count=1),
        events.StepStarted(at=AT, step_id="a", name=evil, argv=("a", evil), is_concurrent=is_concurrent),
        wrote("a", evil),
        events.AttemptFailed(at=AT, step_id="a", attempt=1, attempt_count=2, delay_seconds=1, failure=wrong),
        events.AttemptFailed(at=AT, step_id="g", attempt=1, attempt_count=2, delay_seconds=1, failure=wrong),
        finished("a", StepStatus.FAILED, failure=wrong, warnings=(evil,)),
        finished("b", StepStatus.NOT_RUN, reason=evil),
    ]
    output = log([*listed, ended(listed, RunStatus.FAILED, 1, reason=evil)], verbosity=2)
    assert commands(output) == ["group", "endgroup", "error", "warning", "error"]


def test_each_group_has_its_own_random_token() -> None:
    stream = io.StringIO()
    reporter = reporters.build("github", stream=stream)
    send(reporter, RUN)
    tokens = [line.split("::")[2] for line in stream.getvalue().splitlines() if line.startswith("::stop-commands::")]
    assert len(set(tokens)) == 3
    assert {len(token) for token in tokens} == {64}


def test_github_escapes_characters_that_would_end_a_command_or_a_property() -> None:
    wrong = Failure(error_type="CommandError", message="100%,\r\nat 3:4", exit_code=1)
    step = finished("a", StepStatus.FAILED, failure=wrong, file="dir,a/b:c%.yml", line=3)
    output = log([step, ended([step], RunStatus.FAILED, 1)])
    assert "::error file=dir%2Ca/b%3Ac%25.yml,line=3,title=A (a)%3A failed::100%25,%0Aat 3:4\n" in output


def test_a_failure_in_an_ignored_group_is_a_warning() -> None:
    listed = [
        finished("a", StepStatus.FAILED, failure=BUG, group_ids=("g",)),
        finished("g", StepStatus.FAILED, failure=BUG, ignored=True, is_group=True),
    ]
    output = log([*listed, ended(listed, RunStatus.WARNING)])
    assert "::error" not in output
    assert output.count("::warning title=A (a)%3A failed but ignored::") == output.count("::warning") == 1


def test_a_group_that_failed_itself_is_reported_although_a_failure_in_it_was_ignored() -> None:
    listed = [
        finished("a", StepStatus.FAILED, failure=BUG, ignored=True, group_ids=("out", "g")),
        finished("g", StepStatus.TIMED_OUT, failure=BUG, is_group=True, group_ids=("out",)),
        finished("out", StepStatus.TIMED_OUT, failure=BUG, is_group=True),
    ]
    output = log([*listed, ended(listed, RunStatus.FAILED, 124)])
    assert "::error title=G (g)%3A timed out::" in output
    assert "title=Out" not in output


def test_a_refused_run_is_an_error() -> None:
    refused = RunResult(status=RunStatus.FAILED, exit_code=75, reason='the lock "daily" is held by X')
    output = log([RUN[0], events.RunFinished(at=AT, result=refused)])
    assert '::error title=Daily%3A nothing was run::the lock "daily" is held by X\n' in output


def test_github_shows_partial_output_if_the_run_is_aborted() -> None:
    output = log([*CONCURRENT[:11], finished("x", StepStatus.FAILED, failure=BUG)])
    assert "::group::Import[3] (import[3]) (aborted)\n::stop-commands::token3\n$ import --n=3\nfirst of 3\n" in output
    assert output.count("::group::") == output.count("::endgroup::") == 3
    assert output.count("::error title=X (x)") == 1


def test_github_shows_the_progress_of_a_step_in_the_encoding_of_its_stream() -> None:
    raw = io.BytesIO()
    reporter = GitHubReporter(io.TextIOWrapper(raw, encoding="ascii"), new_token=lambda: "t")
    send(
        reporter,
        [
            started("a"),
            progressed("a", 0, 9000, seconds=0),
            wrote("a", "ü"),
            progressed("a", 9000, 9000, seconds=9),
            finished("a"),
        ],
    )
    assert b"\\xfc\nprogress: 9,000 of 9,000 (100%), 1,000/s\n::t::\n" in raw.getvalue()


def test_no_name_breaks_the_table_of_the_summary(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    listed: list[Event] = [
        started("g", argv=None, item_count=2),
        finished("g[1]", group_ids=("g",), name="a|b <i>`c`</i>\nd"),
        finished("g[2]", StepStatus.FAILED, failure=BUG, ignored=True, group_ids=("g",), name="x" * 400),
        finished("g", is_group=True),
        finished("late", StepStatus.NOT_RUN, reason="*why*"),
    ]
    reporter = GitHubReporter(io.StringIO(), summary=path)
    send(reporter, [RUN[0], *listed, ended(listed, RunStatus.WARNING)])
    assert path.read_text() == (
        "before\n"
        "### Daily: warning\n"
        "\n"
        "1 succeeded, 1 failed but ignored, 1 not run in 2.0s\n"
        "\n"
        "| | Step | Status | Time | Note |\n"
        "|---|---|---|---:|---|\n"
        "| :warning: | **G (g)** | warning | 1.2s | 2 items |\n"
        "| :white_check_mark: | &emsp;a\\|b &lt;i&gt;\\`c\\`&lt;/i&gt; d (g\\[1\\]) | succeeded | 1.2s |  |\n"
        f"| :warning: | &emsp;{'x' * 299}… (g\\[2\\]) | ignored | 1.2s | ValueError: oops |\n"
        "| :white_circle: | Late (late) | not run |  | \\*why\\* |\n"
        "\n"
    )


def test_a_long_summary_stays_below_the_limit_and_keeps_failures() -> None:
    listed = [finished(f"s{n}", name="<" * 400) for n in range(2000)]
    result = ended([*listed, finished("bad", StepStatus.FAILED, failure=BUG)], RunStatus.FAILED).result
    text = github.summary("Long", result, Tree())
    assert "| Bad (bad) | failed |" in text
    assert "Not shown: 2,000 more steps." in text
    wordy = [finished(f"s{n}", name="<" * 400, warnings=("|" * 400,)) for n in range(2000)]
    text = github.summary("Long", ended(wordy, RunStatus.SUCCEEDED).result, Tree())
    assert "more steps." in text
    assert len(text.encode()) < 1024 * 1024


def test_annotations_name_files_from_the_root_of_the_repository() -> None:
    def place(file: str, workspace: str = "/repo") -> str:
        return github.in_workspace(file, workspace=workspace, directory=Path("/repo/site"))

    assert place("runbooks/a.yml") == "site/runbooks/a.yml"
    assert place("../a.yml") == "a.yml"
    assert place("/repo/b.yml") == "b.yml"
    assert place("/else/b.yml") == "/else/b.yml"
    assert place("a.yml", workspace="") == "a.yml"


def test_the_path_of_the_summary_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    reporter = reporters.build("github", stream=io.StringIO())
    send(reporter, CONCURRENT)
    reporter.close()
    assert (tmp_path / "summary.md").read_text().startswith("### Nightly: failed\n")


def test_github_writes_nothing_between_a_question_and_its_answer() -> None:
    stream = io.StringIO()
    reporter = GitHubReporter(stream)
    send(reporter, [events.ConfirmationRequested(at=AT, step_id="two", text="Sure?"), finished("one")])
    assert stream.getvalue() == ""
    reporter(events.ConfirmationEnded(at=AT, step_id="two"))
    assert stream.getvalue().startswith("succeeded: One")


def test_github_shows_deferred_lines_if_the_run_is_aborted_during_a_question() -> None:
    stream = io.StringIO()
    reporter = GitHubReporter(stream)
    send(reporter, [events.ConfirmationRequested(at=AT, step_id="two", text="Sure?"), finished("one")])
    reporter.close()
    assert stream.getvalue().startswith("succeeded: One")


def test_github_reports_the_queue_and_the_worker_inside_the_group_of_a_step() -> None:
    output = log([*QUEUED, *(finished(f"import[{n}]") for n in (1, 2, 3))])
    place = "queued: on heavy\nclaimed: by process {} on {}\n"
    assert f"$ one\n{place.format(4242, 'worker-1')}::token1::\n::endgroup::\n" in output
    assert f"$ import\n{place.format(1, 'worker-2')}::token2::\n" in output
    # It never ran.
    assert "$ import\nqueued: on heavy\n::token4::\n" in output
