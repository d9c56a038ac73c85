"""What cleans up: it runs to its end, nobody hides how it ended, and a timeout has its effect once."""

from __future__ import annotations

from pathlib import Path

from tests.runner.support import run
from tests.runner.trees import Block, Case, Command, File, Step


def test_all_items_of_a_loop_in_finally_run_also_where_one_fails(tmp_path: Path) -> None:
    told = run(tmp_path, "steps: [noop]\nfinally: [{id: one, command: 'fail --code ${{ item }}', for_each: [3, 4]}]")
    assert told.statuses == {"noop": "succeeded", "one[1]": "failed", "one[2]": "failed", "one": "failed"}
    assert told.status == "warning"
