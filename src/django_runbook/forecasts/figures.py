"""Defines the figures of a run and of its steps, by which later runs are compared with it."""

from __future__ import annotations

from typing import Final, Self

from django_runbook import structs
from django_runbook.document.outline import key_of
from django_runbook.structs import Struct, replace

# Marks the figures of the items of a loop, which share the key of the loop.
ITEMS: Final = "[]"
DIGEST_LENGTH: Final = 12
# A longer file has no figures of the steps after these.
MAX_STEPS: Final = 500


class StepFigures(Struct, array_like=True, gc=False):
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


class RunFigures(Struct):
    """Holds what a run and its steps took.

    ``shape`` is a digest of the selected steps and their definitions. ``seconds`` is None unless the run reached its
    end.
    """

    shape: str
    seconds: float | None
    steps: dict[str, StepFigures]

    def to_text(self) -> str:
        """Return the figures as they are stored."""
        steps = {key: replace(one, seconds=_rounded(one.seconds)) for key, one in self.steps.items()}
        return structs.to_json(replace(self, seconds=_rounded(self.seconds), steps=steps))

    @classmethod
    def of_text(cls, text: str) -> Self:
        """Read stored figures; raises ValueError if they are none."""
        return structs.from_json(cls, text)


def figures_key(step_id: str) -> str:
    """Return the key of a step's figures: that of its definition, and one more for all items of a loop."""
    return key_of(step_id) + (ITEMS if "[" in step_id else "")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
