"""Refuses to resume a run if a step reads an output that held a secret and was not stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django_runbook.document.outline import Entry, key_of
from django_runbook.document.read_outputs import outputs_read_by
from django_runbook.exceptions import InvalidUsage
from django_runbook.models import StepRun


def refuse_missing_outputs(steps: Mapping[str, StepRun], done: Collection[str], outline: Mapping[str, Entry]) -> None:
    """Raise InvalidUsage for the first step that reads the secret output of a ``done`` step."""
    secret = {key_of(step_id) for step_id in done if steps[step_id].is_output_secret}
    if not secret:
        return
    for key, entry in outline.items():
        if any(one in done for one in (key, *entry.group_keys)):
            continue
        for name in outputs_read_by(entry, prefix=key.rpartition("/")[0]):
            if name in secret or not name:
                needed = name or min(secret)
                raise InvalidUsage(
                    f'step "{key}" needs the output of "{needed}", which held a secret and was not recorded: '
                    f"--rerun {needed} runs that step again"
                )
