"""Runs runbooks whose traces a collector receives over its own protocol."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.reporters import loopback
from tests.reporters.loopback import Service, gone, serve
from tests.runner.support import environ
from tests.tracing import VARIABLE, metrics_of, spans_of

pytestmark = pytest.mark.slow
INNER = "name: Inner\nsteps: [{id: deep, command: show_variable TRACEPARENT}]\n"
OUTER = """
name: Outer
steps:
  - id: flat
    name: Flat
    command: show_variable TRACEPARENT
  - id: search
    name: Search
    steps:
      - {name: Nested, id: nested, command: run_runbook inner.yml --format plain --verbosity 2}
  - parallel:
      - {name: Left, command: noop}
      - {name: Right, command: noop}
    name: Both
"""


def run(
    folder: Path, service: Service, *, timeout: float = PATIENCE_SECONDS, text: str = OUTER
) -> tuple[int, str, str]:
    """Run a runbook in a process; return its exit code, its output and its errors."""
    (folder / "inner.yml").write_text(INNER)
    (folder / "outer.yml").write_text(text)
    more = {
        "DJANGO_SETTINGS_MODULE": "tests.tracing_settings",
        VARIABLE: service.url(),
        "TESTS_COLLECTOR_TIMEOUT": str(timeout),
    }
    done = subprocess.run(
        [sys.executable, "-m", "django", "run_runbook", "outer.yml", "--format", "plain", "--verbosity", "2"],
        cwd=folder,
        env=environ() | more,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_spans_of_steps_groups_and_processes_have_their_parents(tmp_path: Path) -> None:
    with serve() as service:
        code, output, errors = run(tmp_path, service)
        spans = spans_of(service)
        assert metrics_of(service) == {f"cicd.pipeline.run.{name}" for name in ("active", "duration")}
    assert (code, errors) == (0, ""), output
    by_id = {span.span_id: name for name, span in spans.items()}
    assert {name: by_id.get(span.parent_span_id, "") for name, span in spans.items()} == {
        "RUN Outer": "",
        "Flat": "RUN Outer",
        "Search": "RUN Outer",
        "Nested": "Search",
        "RUN Inner": "Nested",
        "show_variable": "RUN Inner",
        "Both": "RUN Outer",
        "Left": "Both",
        "Right": "Both",
    }
    assert len({span.trace_id for span in spans.values()}) == 1
    # What the commands have seen are their own spans.
    shown = re.findall(r"TRACEPARENT=00-(\w{32})-(\w{16})-", output)
    assert shown == [(spans[name].trace_id.hex(), spans[name].span_id.hex()) for name in ("Flat", "show_variable")]


def test_a_collector_that_hangs_changes_no_run(tmp_path: Path) -> None:
    with serve(loopback.hangs) as service:
        code, output, errors = run(tmp_path, service, timeout=0.5, text="steps: [fail --code 3]")
        # The process has ended although nothing has answered.
        assert not service.is_released.is_set()
    assert (code, len(errors.splitlines())) == (1, 1), errors
    assert errors.startswith('reporter "traces" ')
    assert "exit code 1" in output


def test_a_collector_that_is_gone_changes_no_run(tmp_path: Path) -> None:
    with gone() as service:
        code, _, errors = run(tmp_path, service, timeout=0.5, text="steps: [noop]")
    assert code == 0
    assert len(errors.splitlines()) == 1, errors
    assert errors.startswith('reporter "traces" ')
