"""Tests the file for the textfile collector of Prometheus."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from django_runbook.exceptions import InvalidUsage
from django_runbook.reporters.notifiers.notices import Notice, RunbookFacts
from django_runbook.reporters.notifiers.prometheus import PrometheusNotifier
from django_runbook.results import RunStatus, StepStatus
from django_runbook.structs import replace
from tests.reporters import notice_scenes
from tests.reporters.scenes import AT, after, ended, finished

LABELS = '{runbook="Nightly maintenance",file="nightly.yml"}'


def written(folder: Path, *notices: Notice) -> str:
    notifier = PrometheusNotifier(directory=folder)
    for notice in notices:
        notifier.notify(notice)
    (path,) = folder.iterdir()
    assert path.name == "nightly.yml.prom"
    return path.read_text()


def values_of(text: str) -> dict[str, float]:
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name.replace(LABELS, "").removeprefix("django_runbook_last_"): float(value) for name, value in lines}


def test_the_file_has_the_start_the_end_and_the_success_of_a_run(tmp_path: Path) -> None:
    end = replace(notice_scenes.SUCCESS, at=after(90))
    values = values_of(written(tmp_path, notice_scenes.START, end))
    assert values["start_timestamp_seconds"] == AT.timestamp()
    assert values["end_timestamp_seconds"] == values["success_timestamp_seconds"] == AT.timestamp() + 90
    assert (values["duration_seconds"], values["exit_code"]) == (2, 0)
    labels = LABELS.removesuffix("}")
    text = (tmp_path / "nightly.yml.prom").read_text()
    assert f'django_runbook_last_status{labels},status="succeeded"}} 1\n' in text
    assert f'django_runbook_last_status{labels},status="failed"}} 0\n' in text
    assert f'django_runbook_last_steps{labels},status="succeeded"}} 1\n' in text


def test_a_failure_keeps_the_time_of_the_last_success(tmp_path: Path) -> None:
    later = replace(notice_scenes.FAILURE, at=after(86400))
    values = values_of(written(tmp_path, notice_scenes.SUCCESS, later))
    assert values["success_timestamp_seconds"] == AT.timestamp()
    assert values["end_timestamp_seconds"] == AT.timestamp() + 86400
    assert values["exit_code"] == 1


def test_a_runbook_that_never_succeeded_has_no_time_of_success(tmp_path: Path) -> None:
    assert "success_timestamp_seconds" not in values_of(written(tmp_path, notice_scenes.FAILURE))


def test_each_metric_is_explained_once(tmp_path: Path) -> None:
    text = written(tmp_path, notice_scenes.START, notice_scenes.SUCCESS, notice_scenes.SUCCESS)
    helps = [line for line in text.splitlines() if line.startswith("# HELP")]
    assert len(helps) == len(set(helps)) == 7
    assert text.endswith("\n")


def test_names_are_escaped_and_survive_the_next_run(tmp_path: Path) -> None:
    run = replace(notice_scenes.STARTED, name='a "b" \\ c}\nd')
    texts = [written(tmp_path, replace(notice, run=run)) for notice in (notice_scenes.SUCCESS, notice_scenes.FAILURE)]
    assert '{runbook="a \\"b\\" \\\\ c}\\nd",file="nightly.yml"} ' in texts[0]
    assert all("success_timestamp_seconds{" in text for text in texts)


def test_two_runbooks_of_one_name_differ_in_their_file(tmp_path: Path) -> None:
    other = replace(notice_scenes.SUCCESS, runbook=replace(notice_scenes.NIGHTLY, key="shop/" + "x" * 300 + ".yml"))
    notifier = PrometheusNotifier(directory=tmp_path)
    notifier.notify(notice_scenes.SUCCESS)
    notifier.notify(other)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 2
    assert all(name.endswith(".prom") and len(name) < 255 for name in names)


def test_a_file_that_could_not_be_read_changes_nothing(tmp_path: Path) -> None:
    unread = replace(notice_scenes.FAILURE, runbook=RunbookFacts())
    before = written(tmp_path, notice_scenes.SUCCESS)
    assert written(tmp_path, unread) == before


def test_the_collector_can_read_the_file_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        written(tmp_path, notice_scenes.START)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "nightly.yml.prom").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"garbage\n", b'django_runbook_last_exit_code{runbook="x"} NaNa\n']
)
def test_a_damaged_file_is_replaced(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "nightly.yml.prom").write_bytes(content)
    assert "garbage" not in written(tmp_path, notice_scenes.SUCCESS)


def test_handlers_that_are_not_due_are_not_counted(tmp_path: Path) -> None:
    steps = [finished("one"), finished("mail", StepStatus.SKIPPED, reason="not due")]
    notice = notice_scenes.notice(ended(steps, RunStatus.SUCCEEDED).result)
    assert 'status="skipped"} 0\n' in written(tmp_path, notice)


def test_a_directory_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        PrometheusNotifier(directory=tmp_path / "none").notify(notice_scenes.START)
    with pytest.raises(InvalidUsage, match="absolute path"):
        PrometheusNotifier(directory="metrics")
