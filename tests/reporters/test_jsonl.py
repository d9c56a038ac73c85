"""Events in, JSON lines out."""

from __future__ import annotations

import io
import json

from django_runbook import events
from django_runbook.reporters import jsonl
from tests.reporters.scenes import AT, RUN


def test_jsonl_is_one_flushed_object_a_line_with_a_version() -> None:
    stream = io.StringIO()
    reporter = jsonl.JsonLinesReporter(stream)
    for event in RUN:
        reporter(event)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines[:3]] == ["run_started", "step_started", "step_output_written"]
    assert all(line["version"] == 1 and line["at"] == "2013-01-31T06:00:00Z" for line in lines)
    assert lines[-1]["result"]["steps"][2]["failure"]["exit_code"] == 3
    assert lines[-1]["result"]["status"] == "failed"


def test_jsonl_is_ascii_so_that_a_stream_of_any_encoding_can_carry_it() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    text = 'Grüße, "日本" \U0001f600 \\'
    jsonl.JsonLinesReporter(stream)(events.StepOutputWritten(at=AT, step_id="a", stream="stdout", line=text))
    stream.seek(0)
    line = stream.read()
    assert "Gr\\u00fc\\u00dfe" in line
    assert json.loads(line)["line"] == text


def test_jsonl_has_the_names_of_each_event() -> None:
    # Programs read these names: increase jsonl.VERSION if a name is removed or changes its meaning.
    names = {
        jsonl.name_of(kind): [name for name in kind.__struct_fields__ if name not in {"at", "clock_seconds"}]
        for kind in events.Event.__subclasses__()
    }
    assert names == {
        "run_started": ["run_id", "name", "file", "step_count", "dry_run", "inline_reason", "attempt", "done_count"],
        "step_started": [
            "step_id",
            "name",
            "group_ids",
            "role",
            "argv",
            "item_count",
            "is_concurrent",
            "file",
            "line",
        ],
        "confirmation_requested": ["step_id", "text"],
        "confirmation_ended": ["step_id"],
        "lock_awaited": ["step_id", "name", "holder", "reason"],
        "history_awaited": ["reason"],
        "lock_retaken": ["name"],
        "forecast_made": ["usual_seconds", "most_seconds", "run_count", "end_at"],
        "unusual_noticed": ["step_id", "kind", "text"],
        "step_queued": ["step_id", "queue"],
        "step_claimed": ["step_id", "host", "pid"],
        "step_output_written": ["step_id", "stream", "line"],
        "step_progress": ["step_id", "done_count", "total_count", "failed_count"],
        "attempt_started": ["step_id", "attempt"],
        "attempt_failed": ["step_id", "attempt", "attempt_count", "delay_seconds", "failure", "row_account"],
        "step_finished": ["result", "group_ids"],
        "stop_requested": ["signal_name", "is_immediate"],
        "run_finished": ["result"],
    }
