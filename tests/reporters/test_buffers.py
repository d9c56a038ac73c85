"""Lines in, buffered lines out."""

from __future__ import annotations

import pytest

from django_runbook.reporters.buffers import HeadTailBuffer, SpooledBuffer


@pytest.mark.parametrize(
    ("count", "kept"),
    [
        (0, []),
        (3, ["0", "1", "2"]),
        (5, ["0", "1", "2", "3", "4"]),
        (6, ["0", "1", "... 1 line omitted ...", "3", "4", "5"]),
    ],
)
def test_a_head_tail_buffer_keeps_the_first_and_the_last_lines(count: int, kept: list[str]) -> None:
    buffer = HeadTailBuffer(head_count=2, tail_count=3)
    for number in range(count):
        buffer.add(str(number))
    assert list(buffer.lines()) == kept


def test_a_buffered_buffer_returns_all_lines_unchanged_even_from_disk() -> None:
    lines = ["", "\ud800 ü \x85 \x0c", " x ", *("y" * 1000 for _ in range(3000))]
    buffer = SpooledBuffer()
    for line in lines:
        buffer.add(line)
    assert list(buffer.lines()) == lines
    buffer.close()
