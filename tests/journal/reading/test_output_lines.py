"""Readers that come at any moment, and the lines that they see."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from django_runbook.journal.output import HEAD_LINES, KeptOutput
from django_runbook.journal.reading.output_lines import lines_after
from django_runbook.models import StepRun


@given(st.lists(st.integers(0, 900), min_size=1, max_size=8))
def test_a_reader_sees_each_line_once_in_order_or_how_many_are_missing(sizes: list[int]) -> None:
    kept, seen_count, written = KeptOutput(), 0, 0
    seen: list[str | int] = []
    for size in sizes:
        for _ in range(size):
            kept.add(f"line {written}")
            written += 1
        found = lines_after(StepRun(**kept.columns()), seen_count)
        seen_count = found.seen_count
        seen += [*found.head, *([found.omitted_count] if found.omitted_count else []), *found.tail]
    position = 0
    for one in seen:
        if isinstance(one, int):
            assert position >= HEAD_LINES
            position += one
        else:
            assert one == f"line {position}"
            position += 1
    assert position == seen_count == written


def test_the_omission_is_reported_where_it_is() -> None:
    step = StepRun(output_head="a\nb", output_tail="y\nz", omitted_count=3)
    assert list(lines_after(step, 0)) == ["a", "b", "… 3 lines omitted …", "y", "z"]
    assert list(lines_after(step, 4)) == ["… 1 line omitted …", "y", "z"]
    assert list(lines_after(step, 6)) == ["z"]
    assert list(lines_after(step, 7)) == []
