"""Finds the lines of a step's output that a reader has not seen yet."""

from __future__ import annotations

from collections.abc import Iterator

from django_runbook.models import StepRun
from django_runbook.structs import Struct
from django_runbook.wording import number_of


class NewLines(Struct):
    """Holds new lines of a step, and the number of lines between ``head`` and ``tail`` that the history does not keep.

    ``seen_count`` is the number of lines that a reader has seen after these.
    """

    head: tuple[str, ...]
    omitted_count: int
    tail: tuple[str, ...]
    seen_count: int

    def __iter__(self) -> Iterator[str]:
        yield from self.head
        if self.omitted_count:
            yield f"… {number_of(self.omitted_count, 'line')} omitted …"
        yield from self.tail


def lines_after(step: StepRun, seen_count: int) -> NewLines:
    """Return the lines that a step has written since a reader saw the first ``seen_count`` of them."""
    head, tail = _split(step.output_head), _split(step.output_tail)
    tail_start = len(head) + step.omitted_count
    return NewLines(
        head=head[seen_count:],
        omitted_count=max(0, tail_start - max(seen_count, len(head))),
        tail=tail[max(0, seen_count - tail_start) :],
        seen_count=max(seen_count, tail_start + len(tail)),
    )


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()
