"""Compares two plans: finds the steps that were added, removed, changed or moved."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from django_runbook.planning.plan import Plan
from django_runbook.reviews.reviewed_step import ReviewedStep, Settings, file_settings, reviewed_steps
from django_runbook.structs import Struct


class ChangeKind(enum.StrEnum):
    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"
    MOVED = "moved"


class SettingChange(Struct):
    """Describes the change of one key; an empty string means that the key is not set."""

    key: str
    before: str
    after: str


class StepChange(Struct):
    """Describes what happened to one step; ``before`` is None for a new step and ``after`` for a removed one."""

    kind: ChangeKind
    before: ReviewedStep | None = None
    after: ReviewedStep | None = None
    settings: tuple[SettingChange, ...] = ()

    @property
    def step(self) -> ReviewedStep:
        found = self.after or self.before
        assert found is not None
        return found

    @property
    def replaced_words(self) -> list[tuple[str, str]]:
        """Return the parts of the command line that differ, each before and after."""
        if self.before is None or self.after is None:
            return []
        old, new = self.before.words, self.after.words
        matcher = SequenceMatcher(a=old, b=new, autojunk=False)
        return [
            (" ".join(old[start:end]), " ".join(new[other:other_end]))
            for operation, start, end, other, other_end in matcher.get_opcodes()
            if operation != "equal"
        ]


class PlanChanges(Struct):
    """Holds the changes of the file's own settings, and each step of both plans in order."""

    settings: tuple[SettingChange, ...]
    steps: tuple[StepChange, ...]

    @property
    def is_empty(self) -> bool:
        return not self.settings and all(step.kind is ChangeKind.SAME for step in self.steps)

    def count(self, kind: ChangeKind) -> int:
        return sum(step.kind is kind for step in self.steps)


def compare(before: Plan | None, after: Plan | None) -> PlanChanges:
    """Compare two plans; None means that the runbook does not exist."""
    old, new = ([] if one is None else reviewed_steps(one) for one in (before, after))
    settings: tuple[SettingChange, ...] = ()
    if before is not None and after is not None:
        settings = _setting_changes(file_settings(before), file_settings(after))
    return PlanChanges(settings=settings, steps=tuple(_steps(old, new)))


def _steps(old: Sequence[ReviewedStep], new: Sequence[ReviewedStep]) -> Iterator[StepChange]:
    pairs = _pairs(old, new)
    moved = _moved(pairs)
    partners = {after: before for before, after in pairs.items()}
    position = 0
    for number, after in enumerate(new):
        partner = partners.get(number)
        while partner is not None and number not in moved and position < partner:
            if position not in pairs:
                yield StepChange(kind=ChangeKind.REMOVED, before=old[position])
            position += 1
        if partner is None:
            yield StepChange(kind=ChangeKind.ADDED, after=after)
        else:
            yield _pair(old[partner], after, is_moved=number in moved)
            position = position if number in moved else partner + 1
    for number in range(position, len(old)):
        if number not in pairs:
            yield StepChange(kind=ChangeKind.REMOVED, before=old[number])


def _pair(before: ReviewedStep, after: ReviewedStep, *, is_moved: bool) -> StepChange:
    settings = _setting_changes(before.settings, after.settings)
    if before.words != after.words or settings:
        kind = ChangeKind.CHANGED
    elif is_moved or before.around != after.around:
        kind = ChangeKind.MOVED
    else:
        kind = ChangeKind.SAME
    return StepChange(kind=kind, before=before, after=after, settings=settings)


def _pairs(old: Sequence[ReviewedStep], new: Sequence[ReviewedStep]) -> dict[int, int]:
    """Match old steps with new ones: equal ones first, then by id, then by command, each in order."""
    matcher = SequenceMatcher(
        a=[(one.id, one.identity) for one in old], b=[(one.id, one.identity) for one in new], autojunk=False
    )
    blocks = matcher.get_matching_blocks()
    pairs = {block.a + offset: block.b + offset for block in blocks for offset in range(block.size)}
    # A generated id changes with the steps above, so equal steps come before equal ids.
    for key in (_identity, _own_id, _place):
        _match(pairs, [key(one) for one in old], [key(one) for one in new])
    return pairs


def _identity(step: ReviewedStep) -> object:
    return step.identity


def _own_id(step: ReviewedStep) -> object:
    return step.id, step.command


def _place(step: ReviewedStep) -> object:
    # Any command of this name; the steps of other kinds have no name that says what they do.
    return (step.command, step.around) if step.command else (step.id,)


def _match(pairs: dict[int, int], old: Sequence[object], new: Sequence[object]) -> None:
    taken = set(pairs.values())
    waiting: dict[object, list[int]] = {}
    for number, key in enumerate(new):
        if number not in taken:
            waiting.setdefault(key, []).append(number)
    for number, key in enumerate(old):
        if number not in pairs and waiting.get(key):
            pairs[number] = waiting[key].pop(0)


def _moved(pairs: Mapping[int, int]) -> set[int]:
    """Return the new places of the steps that are not in the longest list of pairs in the same order."""
    order = [pairs[number] for number in sorted(pairs)]
    matcher = SequenceMatcher(a=order, b=sorted(order), autojunk=False)
    kept = {order[block.a + offset] for block in matcher.get_matching_blocks() for offset in range(block.size)}
    return set(order) - kept


def _setting_changes(before: Settings, after: Settings) -> tuple[SettingChange, ...]:
    return tuple(
        SettingChange(key=key, before=before.get(key, ""), after=after.get(key, ""))
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    )
