"""Defines the mapping that represents a step in expressions."""

from __future__ import annotations


class StepView(dict[str, object]):
    """Maps the names of a step to their values; ``output`` is absent, not empty, if nothing was captured."""
