"""Finds the failures of a run that no other failure explains."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def causes_of(failed: Mapping[str, Collection[str]], *, ignored: Collection[str]) -> dict[str, bool]:
    """Return the failures that no inner failure explains, each with whether it or a group around it is ignored.

    ``failed`` maps the ID of each failed step to the IDs of the groups around it, outermost first; ``ignored`` are the
    failed steps whose own failure is ignored. A group is a cause if nothing inside it failed, for example because its
    lock was held.
    """
    explained: set[str] = set()
    for step_id, group_ids in failed.items():
        if step_id not in ignored:
            explained |= _explained_by(tuple(group_ids), ignored)
    return {
        step_id: not {step_id, *group_ids}.isdisjoint(ignored)
        for step_id, group_ids in failed.items()
        if step_id not in explained
    }


def _explained_by(group_ids: tuple[str, ...], ignored: Collection[str]) -> set[str]:
    """Return the groups up to the first one whose failure is ignored: it fails no group around it."""
    inward = group_ids[::-1]
    end = next((place for place, group_id in enumerate(inward) if group_id in ignored), len(inward))
    return set(inward[: end + 1])
