"""Refuses to resume a run if a step needs an output that held a secret and therefore was not stored."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from django_runbook.document.outline import Entry, key_of
from django_runbook.exceptions import InvalidUsage
from django_runbook.journal.definitions import expressions_of
from django_runbook.models import StepRun


def refuse_missing_outputs(steps: Mapping[str, StepRun], done: Collection[str], outline: Mapping[str, Entry]) -> None:
    """Raise InvalidUsage for the first step that reads the secret output of a ``done`` step."""
    secret = {key_of(step_id) for step_id in done if steps[step_id].is_output_secret}
    if not secret:
        return
    for key, entry in outline.items():
        if any(one in done for one in (key, *entry.group_keys)):
            continue
        for name in _outputs_read_by(entry, prefix=key.rpartition("/")[0]):
            if name in secret or not name:
                needed = name or min(secret)
                raise InvalidUsage(
                    f'step "{key}" needs the output of "{needed}", which held a secret and was not recorded: '
                    f"--rerun {needed} runs that step again"
                )


def _outputs_read_by(entry: Entry, *, prefix: str) -> Iterator[str]:
    """Yield the keys of the steps that a step reads; an empty string is any step."""
    for expression in expressions_of(entry.step):
        for reference in expression.references:
            if reference.root == "steps":
                name = "".join(reference.path[:1])
                yield f"{prefix}/{name}" if prefix and name else name
