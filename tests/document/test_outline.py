"""Tests what is known of the steps of a runbook before they are bound to commands."""

from __future__ import annotations

import pytest

from django_runbook.document.outline import may_isolate
from tests.document.support import read_file


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("noop", (True, False)),
        ("{command: noop, isolate: false}", (False, False)),
        ("{command: noop, isolate: true}", (True, True)),
        ("{command: noop, timeout: 1s}", (True, True)),
        ("{command: noop, for_each: [1, 2], max_parallel: 2}", (True, True)),
        ("{name: g, parallel: [noop, noop]}", (True, True)),
        ("{name: g, timeout: 1s, steps: [noop]}", (True, True)),
        ("{name: g, for_each: [1, 2], max_parallel: 2, steps: [noop]}", (True, True)),
        ("{command: noop, queue: q}", (False, False)),
        ("{command: noop, queue: q, isolate: true}", (False, False)),
        ("{command: noop, queue: q, timeout: 1s, for_each: [1, 2], max_parallel: 2}", (False, False)),
        ("{name: g, queue: q, timeout: 1s, parallel: [noop, {command: noop, isolate: true}]}", (False, False)),
        ("{name: g, queue: q, steps: [noop, {command: noop, queue: false}]}", (True, False)),
        ("{name: g, queue: q, timeout: 1s, steps: [noop, {command: noop, queue: false}]}", (True, True)),
        ("{name: g, queue: q, steps: [noop], finally: [{command: noop, queue: false, isolate: true}]}", (True, True)),
    ],
)
def test_a_step_needs_a_process_of_this_host_unless_it_runs_on_a_worker(step: str, expected: tuple[bool, bool]) -> None:
    """Compare with what is expected of steps that are isolated by default, and of those that are not."""
    runbook = read_file(f"steps: [{step}]").runbook
    found = [may_isolate(runbook, is_default=is_default, uses_workers=True) for is_default in (True, False)]
    assert tuple(found) == expected


@pytest.mark.parametrize("step", ["{command: noop, queue: q}", "{name: g, queue: q, steps: [noop]}"])
def test_a_queued_step_of_a_dry_run_needs_a_process_of_this_host(step: str) -> None:
    runbook = read_file(f"steps: [{step}]").runbook
    assert may_isolate(runbook, is_default=True, uses_workers=False)
    assert not may_isolate(runbook, is_default=False, uses_workers=False)


def test_the_timeout_of_a_runbook_ends_its_commands() -> None:
    text = "timeout: 1s\nsteps: [STEP]"
    assert may_isolate(read_file(text.replace("STEP", "noop")).runbook, is_default=False, uses_workers=True)
    queued = text.replace("STEP", "{command: noop, queue: q}")
    assert not may_isolate(read_file(queued).runbook, is_default=True, uses_workers=True)
