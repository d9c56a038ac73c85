from __future__ import annotations

from pathlib import Path

import pytest

from django_runbook.reviews.change_reports import as_markdown, as_text
from django_runbook.reviews.comparison import Comparison, Version
from django_runbook.reviews.plan_changes import compare
from tests.planning.support import plan_of

OLD = """
steps:
  - noop
  - {id: greet, command: say hello --name a, timeout: 5}
  - say old
"""
NEW = """
timeout: 2h
steps:
  - noop
  - {id: greet, command: say hello --name b, tags: [x]}
  - {command: say, args: ["a | b", "`c`"], when: 1 < 2}
"""


def comparison(old: str | None, new: str | None) -> Comparison:
    before, after = (None if text is None else plan_of(text) for text in (old, new))
    return Comparison(
        before=Version(path="" if before is None else "nightly.yml", plan=before),
        after=Version(path="" if after is None else "nightly.yml", plan=after),
        changes=compare(before, after),
    )


def test_the_text_has_each_change_before_and_after() -> None:
    assert as_text(comparison(OLD, NEW)) == (
        "nightly.yml: 2 changed, 1 setting of the file changed\n"
        "  timeout: not set → 2h\n"
        "    1 step unchanged\n"
        "  ~ greet\n"
        "    - say hello --name a\n"
        "    + say hello --name b\n"
        "      timeout: 5s → not set\n"
        "      tags: not set → x\n"
        "  ~ say\n"
        "    - say old\n"
        "    + say 'a | b' '`c`'\n"
        "      when: not set → 1 < 2\n"
    )


def test_the_markdown_is_a_table_whose_cells_are_not_markdown() -> None:
    assert as_markdown(comparison(OLD, NEW)) == (
        "### <code>nightly.yml</code>: 2 changed, 1 setting of the file changed\n"
        "\n"
        "| | step | before | after |\n"
        "|---|---|---|---|\n"
        "| | timeout |  | <code>2h</code> |\n"
        "| changed | <code>greet</code> | <code>say hello --name a</code> | <code>say hello --name b</code> |\n"
        "| | timeout | <code>5s</code> |  |\n"
        "| | tags |  | <code>x</code> |\n"
        "| changed | <code>say</code> | <code>say old</code> | <code>say 'a &#124; b' '&#96;c&#96;'</code> |\n"
        "| | when |  | <code>1 &lt; 2</code> |\n"
        "\n"
        "1 step unchanged.\n"
        "\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, "steps: [noop]", "nightly.yml: new, 1 step"),
        ("steps: [noop]", None, "nightly.yml: removed"),
        ("steps: [noop]", "# More\nsteps: [noop]", "nightly.yml: no change of what it does"),
        ("steps: [noop, say a]", "steps: [say a, noop]", "nightly.yml: 1 moved"),
        ("steps: [noop, say a]", "steps: [noop]", "nightly.yml: 1 removed"),
    ],
)
def test_the_first_line_counts_the_changes(old: str | None, new: str | None, expected: str) -> None:
    assert as_text(comparison(old, new)).splitlines()[0] == expected
    assert as_markdown(comparison(old, new)).startswith("### <code>nightly.yml</code>: ")


def test_the_settings_of_a_new_or_removed_step_are_shown() -> None:
    step = "steps: [{command: noop, timeout: 5}]"
    assert "  + noop\n    + noop\n      timeout: 5s\n" in as_text(comparison(None, step))
    assert "| | timeout |  | <code>5s</code> |" in as_markdown(comparison(None, step))
    assert "| | timeout | <code>5s</code> |  |" in as_markdown(comparison(step, None))


def test_a_step_that_has_only_moved_is_shown_once(tmp_path: Path) -> None:
    assert "  > say: moved\n      say a\n" in as_text(comparison("steps: [noop, say a]", "steps: [say a, noop]"))
