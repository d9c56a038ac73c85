"""Tests the text of notices."""

from __future__ import annotations

import pytest

from django_runbook.reporters.notifiers import notice_text
from django_runbook.reporters.notifiers.notice_text import summary_of, title_of
from django_runbook.reporters.notifiers.notices import Notice
from django_runbook.results import RunStatus, StepStatus
from tests.reporters import notice_scenes
from tests.reporters.scenes import BUG, ended, finished


@pytest.mark.parametrize(
    ("notice", "title"),
    [
        (notice_scenes.START, "Nightly maintenance has started"),
        (notice_scenes.FAILURE, "Nightly maintenance failed"),
        (notice_scenes.SUCCESS, "Nightly maintenance succeeded"),
        (notice_scenes.RECOVERY, "Nightly maintenance has recovered"),
        (notice_scenes.REFUSED, "Nightly maintenance was refused"),
        (notice_scenes.STOPPED, "Nightly maintenance was stopped"),
        (notice_scenes.UNUSUAL, 'Nightly maintenance is unusual: "one" is slow'),
    ],
)
def test_a_title_says_what_has_happened(notice: Notice, title: str) -> None:
    assert title_of(notice) == title


def test_the_summary_of_a_failure_says_what_failed_and_how_to_continue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notice_text, "host", lambda: "ops-1")
    assert summary_of(notice_scenes.FAILURE).splitlines() == [
        "Nightly maintenance failed",
        "1 succeeded, 1 failed but ignored, 1 failed, 1 not run, 1 skipped in 1m23s, exit code 1",
        "",
        "ignored: Flaky (flaky, 1.2s)",
        "  ValueError: oops",
        '  File "a.py", line 3, in handle',
        "",
        "failed: Two (two, 1.2s)",
        "  it went wrong (exit 3)",
        "  and more",
        "",
        "run 1f0d898b of nightly.yml on ops-1",
        "resume with: python manage.py run_runbook daily.yml --resume 1f0d898b",
    ]


def test_the_summary_of_a_refused_run_has_the_reason() -> None:
    assert 'the lock "nightly" is held by run 7; ' in summary_of(notice_scenes.REFUSED)


def test_the_summary_lists_a_part_of_many_failed_steps() -> None:
    steps = [finished(f"step_{number}", StepStatus.FAILED, failure=BUG) for number in range(notice_text.MAX_STEPS + 2)]
    lines = summary_of(notice_scenes.notice(ended(steps, RunStatus.FAILED, 1).result)).splitlines()
    assert sum(line.startswith("failed: ") for line in lines) == notice_text.MAX_STEPS
    assert "and 2 other steps" in lines
