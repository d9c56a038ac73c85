"""Describes a run as far as it decides with which runs it is compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from typing import Any

from django_runbook.forecasts.figures import DIGEST_LENGTH, RunFigures, StepFigures
from django_runbook.planning.plan import Plan
from django_runbook.structs import Struct

DefinitionOf = Callable[[str], str]


class Subject(Struct):
    """Holds what runs have in common that are compared with each other.

    ``runbook`` is the key of the runbook, ``kind`` the digest of the parameters that decide what a run does, and
    ``shape`` that of its selected steps. ``definition_of`` returns the digest of a step's definition. ``step_count``
    counts all steps of the runbook.
    """

    runbook: str
    kind: str
    shape: str
    step_count: int
    unselected: frozenset[str]
    definition_of: DefinitionOf

    def figures(self, seconds: float | None, steps: dict[str, StepFigures]) -> RunFigures:
        """Return the figures of the run."""
        return RunFigures(shape=self.shape, seconds=seconds, steps=steps)


def subject_of(plan: Plan, *, runbook: str, unselected: Collection[str], definition_of: DefinitionOf) -> Subject:
    """Describe a run of a plan; only flags and choices decide what it does, as dates and names differ every day."""
    deciding = [param.name for param in plan.runbook.params if param.choices or param.type == "boolean"]
    kind = {name: plan.inputs.params.get(name) for name in sorted(deciding)}
    selected = [key for key in plan.outline if key not in unselected]

    def short_definition(step_id: str) -> str:
        return definition_of(step_id)[:DIGEST_LENGTH]

    return Subject(
        runbook=runbook,
        kind=_digest(kind),
        shape=_digest([[key, short_definition(key)] for key in selected]),
        step_count=len(plan.outline),
        unselected=frozenset(unselected),
        definition_of=short_definition,
    )


def _digest(value: Any) -> str:
    text = json.dumps(value, default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]
