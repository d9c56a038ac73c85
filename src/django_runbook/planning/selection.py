"""Decides which steps the options of the command line exclude, each with the reason."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from django_runbook.document.outline import Entry
from django_runbook.document.similar_names import suggestion
from django_runbook.exceptions import InvalidUsage
from django_runbook.results import Role
from django_runbook.structs import Struct


class Selection(Struct):
    """Holds the ids of steps or groups, and the tags, that the command line selects or excludes."""

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    start_at: str | None = None
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()


def unselected_steps(outline: Mapping[str, Entry], selection: Selection) -> dict[str, str]:
    """Map the key of each unselected step to the option that excludes it; raises InvalidUsage.

    Handlers and ``finally`` always run, unless ``--skip`` or ``--skip-tags`` names them.
    """
    problems = list(_problems(outline, selection))
    if problems:
        raise InvalidUsage("\n".join(problems))
    if selection == Selection():
        return {}
    below: dict[str, set[str]] = {key: set() for key in outline}
    for key, entry in outline.items():
        for group in entry.group_keys:
            below[group].add(key)
    order = list(outline)
    first = order.index(selection.start_at) if selection.start_at else 0
    return {
        key: reason
        for index, (key, entry) in enumerate(outline.items())
        if (reason := _reason(entry, outline, selection, below=below[key], is_before=index < first))
    }


def _reason(
    entry: Entry, outline: Mapping[str, Entry], selection: Selection, *, below: set[str], is_before: bool
) -> str:
    names = {entry.key, *entry.group_keys}
    tags = _tags(names, outline)
    if names & set(selection.skip):
        return "--skip"
    if tags & set(selection.skip_tags):
        return "--skip-tags"
    if entry.role is not Role.STEP:
        return ""
    is_group_of_start = selection.start_at is not None and entry.key in outline[selection.start_at].group_keys
    if is_before and not is_group_of_start:
        return "--start-at"
    if selection.only and not (names | below) & set(selection.only):
        return "--only"
    if selection.tags and not (tags | _tags(below, outline)) & set(selection.tags):
        return "--tags"
    return ""


def _tags(keys: set[str], outline: Mapping[str, Entry]) -> set[str]:
    return {tag for key in keys for tag in outline[key].step.tags}


def _problems(outline: Mapping[str, Entry], selection: Selection) -> Iterator[str]:
    start = (selection.start_at,) if selection.start_at else ()
    for option, names in (("--only", selection.only), ("--skip", selection.skip), ("--start-at", start)):
        yield from _unmatched(option, names, known=outline, what="step")
    tags = list(dict.fromkeys(tag for entry in outline.values() for tag in entry.step.tags))
    for option, names in (("--tags", selection.tags), ("--skip-tags", selection.skip_tags)):
        yield from _unmatched(option, names, known=tags, what="tag")
    first = outline.get(selection.start_at or "")
    if first is not None and first.role is not Role.STEP:
        yield f'--start-at {selection.start_at}: the step is in "{first.role}", which runs last'


def _unmatched(option: str, names: Collection[str], *, known: Collection[str], what: str) -> Iterator[str]:
    for name in names:
        if name not in known:
            hint = suggestion(name, known) or f"the {what}s are: {', '.join(known) or 'none'}"
            yield f'{option} {name}: unknown {what} "{name}"; {hint}'
