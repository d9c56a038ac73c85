"""Defines the figures of a run and of its steps, by which later runs are compared with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

from django_runbook.document.outline import key_of
from django_runbook.structs import Struct

# Marks the figures of the items of a loop, which share the key of the loop.
ITEMS: Final = "[]"
DIGEST_LENGTH: Final = 12
# A longer file has no figures of the steps after these.
MAX_STEPS: Final = 500


class StepFigures(Struct):
    """Holds what a step took and did.

    ``definition`` is the beginning of the digest of its definition. ``rows`` are the items that its command has
    reported as done, ``output_size`` is the number of printed characters, and ``captured_size`` the length of a
    captured list or mapping. The items of a loop have common figures: the longest duration and the sum of each other.
    """

    definition: str
    status: str
    seconds: float | None = None
    rows: int | None = None
    output_size: int | None = None
    captured_size: int | None = None

    def to_json(self) -> list[Any]:
        """Return the values in a short form."""
        seconds = None if self.seconds is None else round(self.seconds, 3)
        return [self.definition, self.status, seconds, self.rows, self.output_size, self.captured_size]

    @classmethod
    def of_json(cls, values: list[Any]) -> Self:
        """Read the short form."""
        definition, status, seconds, rows, output_size, captured_size = values
        return cls(
            definition=definition,
            status=status,
            seconds=seconds,
            rows=rows,
            output_size=output_size,
            captured_size=captured_size,
        )


class RunFigures(Struct):
    """Holds what a run and its steps took.

    ``kind`` is a digest of the parameters that decide what a run does; ``shape`` one of the selected steps and their
    definitions. ``seconds`` is None unless the run reached its end.
    """

    kind: str
    shape: str
    seconds: float | None
    steps: Mapping[str, StepFigures]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as they are stored."""
        steps = {key: figures.to_json() for key, figures in self.steps.items()}
        seconds = None if self.seconds is None else round(self.seconds, 3)
        return {"kind": self.kind, "shape": self.shape, "seconds": seconds, "steps": steps}

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read stored figures."""
        steps = {key: StepFigures.of_json(values) for key, values in stored["steps"].items()}
        return cls(kind=stored["kind"], shape=stored["shape"], seconds=stored["seconds"], steps=steps)


def figures_key(step_id: str) -> str:
    """Return the key of a step's figures: that of its definition, and one more for all items of a loop."""
    return key_of(step_id) + (ITEMS if "[" in step_id else "")
