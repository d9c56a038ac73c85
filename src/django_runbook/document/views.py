"""What expressions see of a step that has ended, or of one that has not."""

from __future__ import annotations


class StepView(dict[str, object]):
    """The names of a step; ``output`` is absent where the step gave none, and not empty."""
