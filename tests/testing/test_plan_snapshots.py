from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from django_runbook.testing.plan_snapshots import names_of_runbooks, problems_of, snapshot_of

TEXT = "params: {day: {type: date, default: '${{ today }}'}, n: {type: integer}}\nsteps: ['say ${{ params.day }} ${{ params.n }}']"


def test_all_runbooks_are_found_by_the_path_below_their_folder(tmp_path: Path, settings: Any) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "DIRS": [tmp_path]}
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "nightly.yml").write_text("steps: [noop]")
    assert ("a/nightly.yml", tmp_path / "a" / "nightly.yml") in names_of_runbooks()


def test_a_snapshot_has_a_fixed_date_and_no_parameters(tmp_path: Path) -> None:
    (tmp_path / "nightly.yml").write_text(TEXT)
    assert snapshot_of(tmp_path / "nightly.yml", name="a/nightly.yml") == (
        "nightly (a/nightly.yml)\n  day = 2000-01-01\n  say 2000-01-01 ?\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("steps: [noop]", ""), ("steps: [unknown]", "error[RB401]"), ("[]", "error[RB200]")],
)
def test_errors_are_shown_as_the_check_shows_them(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "nightly.yml").write_text(text)
    found = problems_of(tmp_path / "nightly.yml")
    assert expected in found
    assert bool(found) is bool(expected)
