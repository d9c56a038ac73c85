"""Tests the records of Python's logging."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from django_runbook import events
from django_runbook.reporters.logging_ import LoggingReporter
from django_runbook.results import RunStatus
from tests.reporters.scenes import AT, RUN, ended, send


def records_of(listed: list[events.Event], caplog: pytest.LogCaptureFixture, level: int) -> list[Any]:
    caplog.set_level(level, logger="django_runbook")
    send(LoggingReporter(), listed)
    return caplog.records


def test_each_event_is_a_record_with_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    records = records_of(RUN, caplog, logging.DEBUG)
    assert len(records) == len(RUN)
    assert records[0].getMessage() == "Daily: 5 steps (daily.yml)"
    assert {(record.name, record.runbook_name, record.runbook_run_id) for record in records} == {
        ("django_runbook", "Daily", "1")
    }
    finished = [record for record in records if record.runbook_event == "step_finished"]
    assert [json.loads(json.dumps(record.runbook_data))["result"]["status"] for record in finished] == [
        "succeeded",
        "failed",
        "succeeded",
        "failed",
        "not_run",
        "skipped",
    ]


def test_the_level_follows_from_the_status(caplog: pytest.LogCaptureFixture) -> None:
    shown = [f"{record.levelname} {record.getMessage()}" for record in records_of(RUN, caplog, logging.WARNING)]
    assert shown == [
        "WARNING Daily: Flaky (flaky, 1.2s) ignored: ValueError: oops",
        "WARNING Daily: two: attempt 1 of 2 failed: it went wrong ... (exit 3)",
        "ERROR Daily: Two (two, 1.2s) failed: it went wrong ... (exit 3); 2 attempts",
        "WARNING Daily: SIGTERM: stopping after the current command",
        "ERROR Daily: failed: 1 succeeded, 1 failed but ignored, 1 failed, 1 not run, 1 skipped in 1m23s, exit code 1",
    ]


def test_a_run_that_may_be_skipped_is_not_an_error(caplog: pytest.LogCaptureFixture) -> None:
    (record,) = records_of([ended([], RunStatus.REFUSED, 0)], caplog, logging.INFO)
    assert record.levelno == logging.INFO


def test_what_is_unusual_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    noticed = events.UnusualNoticed(at=AT, step_id="one", kind="slow", text="has run for 2h")
    (record,) = records_of([noticed], caplog, logging.WARNING)
    assert record.getMessage() == ": one: has run for 2h"


def test_lines_of_output_are_debug_records(caplog: pytest.LogCaptureFixture) -> None:
    line = events.StepOutputWritten(at=AT, step_id="one", stream="stdout", line="%s is not a format")
    assert records_of([line], caplog, logging.INFO) == []
    (record,) = records_of([line], caplog, logging.DEBUG)
    assert record.getMessage() == ": one: %s is not a format"


def test_a_project_may_name_another_logger(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    send(LoggingReporter(logger="desk.runs"), RUN[:1])
    assert [record.name for record in caplog.records] == ["desk.runs"]
