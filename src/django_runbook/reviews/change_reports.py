"""Renders the changes of a runbook as text for a terminal, and as Markdown for a comment on a pull request."""

from __future__ import annotations

import html
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from django_runbook.reviews.comparison import Comparison
from django_runbook.reviews.plan_changes import ChangeKind, SettingChange, StepChange
from django_runbook.wording import number_of

_SIGNS: Final = {ChangeKind.CHANGED: "~", ChangeKind.ADDED: "+", ChangeKind.REMOVED: "-", ChangeKind.MOVED: ">"}
_UNSET: Final = "not set"


def as_text(comparison: Comparison) -> str:
    """Render the changes, with unchanged steps as a count."""
    return "".join(f"{line}\n" for line in _text_lines(comparison))


def as_markdown(comparison: Comparison) -> str:
    """Render the changes as a table: each changed step before and after."""
    return "".join(f"{line}\n" for line in _markdown_lines(comparison))


def summary(comparison: Comparison) -> str:
    """Count the changes: ``2 steps changed, 1 added``."""
    if not comparison.before.path:
        return f"new, {number_of(len(comparison.changes.steps), 'step')}"
    if not comparison.after.path:
        return "removed"
    counts = {kind: comparison.changes.count(kind) for kind in _SIGNS}
    parts = [f"{count} {kind}" for kind, count in counts.items() if count]
    if comparison.changes.settings:
        parts.append(f"{number_of(len(comparison.changes.settings), 'setting')} of the file changed")
    return f"{', '.join(parts)}" if parts else "no change of what it does"


def _text_lines(comparison: Comparison) -> Iterator[str]:
    yield f"{comparison.path}: {summary(comparison)}"
    yield from (f"  {_setting(change)}" for change in comparison.changes.settings)
    for kind, changes in groupby(comparison.changes.steps, key=lambda change: change.kind):
        several = list(changes)
        if kind is ChangeKind.SAME:
            yield f"    {number_of(len(several), 'step')} unchanged"
        else:
            yield from (line for change in several for line in _text_of(change))


def _text_of(change: StepChange) -> Iterator[str]:
    note = f": {change.kind}" if change.kind is ChangeKind.MOVED else ""
    yield f"  {_SIGNS[change.kind]} {change.step.id}{note}"
    is_pair = change.before is not None and change.after is not None
    if is_pair and not change.replaced_words:
        yield f"      {change.step.line}"
    else:
        yield from (f"    - {step.line}" for step in (change.before,) if step is not None)
        yield from (f"    + {step.line}" for step in (change.after,) if step is not None)
    yield from (f"      {_setting(one)}" for one in change.settings)
    if not is_pair:
        yield from (f"      {key}: {text}" for key, text in change.step.settings.items())


def _setting(change: SettingChange) -> str:
    return f"{change.key}: {change.before or _UNSET} → {change.after or _UNSET}"


def _markdown_lines(comparison: Comparison) -> Iterator[str]:
    yield f"### {_code(comparison.path)}: {summary(comparison)}"
    yield ""
    rows = [*(_setting_row(change) for change in comparison.changes.settings)]
    rows += [row for change in comparison.changes.steps for row in _rows(change)]
    if rows:
        yield "| | step | before | after |"
        yield "|---|---|---|---|"
        yield from rows
        yield ""
    if unchanged := comparison.changes.count(ChangeKind.SAME):
        yield f"{number_of(unchanged, 'step')} unchanged."
        yield ""


def _rows(change: StepChange) -> Iterator[str]:
    if change.kind is ChangeKind.SAME:
        return
    before, after = ("" if step is None else _code(step.line) for step in (change.before, change.after))
    yield f"| {change.kind} | {_code(change.step.id)} | {before} | {after} |"
    yield from map(_setting_row, change.settings)
    if change.kind in {ChangeKind.ADDED, ChangeKind.REMOVED}:
        for key, text in change.step.settings.items():
            before, after = (text, "") if change.after is None else ("", text)
            yield _setting_row(SettingChange(key=key, before=before, after=after))


def _setting_row(change: SettingChange) -> str:
    before, after = (_code(text) if text else "" for text in (change.before, change.after))
    return f"| | {_escaped(change.key)} | {before} | {after} |"


def _code(text: str) -> str:
    # Not backquotes: a text may have its own.
    return f"<code>{_escaped(text)}</code>"


def _escaped(text: str) -> str:
    plain = html.escape(" ".join(text.split()), quote=False)
    # These would end the cell, or be read as Markdown.
    return "".join(f"&#{ord(one)};" if one in "|`*_[]\\~@#" else one for one in plain)
