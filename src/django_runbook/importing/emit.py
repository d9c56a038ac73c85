"""Writes a runbook with its comments as the text of a file."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from django_runbook.cleaning import cleaned
from django_runbook.document.syntax.source import with_escapes
from django_runbook.importing import yaml_text
from django_runbook.importing.draft import Entry, Note, Plain, RunbookDraft, StepDraft
from django_runbook.importing.translation.conditions import joined
from django_runbook.importing.translation.scope import is_secret

_WIDTH: Final = 100
_TAB: Final = 4
_MAX_SUBJECT: Final = 60
# No secret of a script becomes a part of a file under version control.
_ASSIGNMENT: Final = re.compile(r"\b([A-Za-z_]\w*)=('[^']*'|\"[^\"]*\"|[^\s;&|]+)")
_CREDENTIALS: Final = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")
OPEN_MARK: Final = "TODO"


def emit(draft: RunbookDraft) -> str:
    """Return the text of the file of a runbook."""
    lines = [line for note in draft.notes for line in comment(note, indent=0)]
    for key, value in _settings(draft):
        lines += yaml_text.entry(key, value, indent=0)
    if draft.params:
        lines += yaml_text.block_mapping("params", draft.params, indent=0)
    if draft.vars:
        lines += yaml_text.block_mapping("vars", draft.vars, indent=0)
    if draft.defaults:
        lines += yaml_text.entry("defaults", dict(draft.defaults), indent=0)
    for key, entries in (("steps", draft.entries), ("on_failure", draft.on_failure), ("finally", draft.finally_)):
        if entries:
            lines += [f"{key}:", *_entries(entries, indent=2)]
    return "\n".join(lines) + "\n"


def comment(note: Note, *, indent: int) -> list[str]:
    """Write a comment; the lines of the imported file are below what is said about them."""
    pad = " " * indent
    if not note.line:
        return [f"{pad}# {line}".rstrip() for line in _lines(note.text)] or [f"{pad}#"]
    subject = _short(" ".join(note.subject.split()))
    place = f"line {note.line}, {subject}: " if subject else f"line {note.line}: "
    mark = f"{OPEN_MARK} {place}" if note.is_open else place
    width = max(_WIDTH - indent, 50)
    said = " ".join(_lines(mark + note.text))
    wrapped = textwrap.wrap(said, width, break_long_words=False, break_on_hyphens=False)
    shown = [f"{pad}# {line}" for line in wrapped]
    return [*shown, *(f"{pad}#   {line}".rstrip() for line in _lines(note.source))]


def _short(text: str) -> str:
    text = text if len(text) <= _MAX_SUBJECT else f"{text[: _MAX_SUBJECT - 3]}..."
    return f"`{text}`" if text else ""


def _masked(found: re.Match[str]) -> str:
    is_known = found[2].startswith(("$", '"$')) or found[2] == "***"
    return f"{found[1]}=***" if is_secret(found[1]) and not is_known else found[0]


def _lines(text: str) -> list[str]:
    # Only what YAML breaks lines at is a line here, and none of it is left in one.
    text = _ASSIGNMENT.sub(_masked, _CREDENTIALS.sub(r"\1***@", text))
    lines = (cleaned(line).expandtabs(_TAB).replace("\n", " ") for line in text.splitlines())
    return [with_escapes(line) for line in lines]


def _settings(draft: RunbookDraft) -> Iterator[tuple[str, Plain]]:
    if draft.description:
        yield "description", draft.description
    if draft.schedule is not None:
        yield "schedule", dict(draft.schedule)
    if draft.env:
        yield "env", list(draft.env)
    if draft.secrets:
        yield "secrets", list(draft.secrets)
    if draft.lock is not None:
        yield "lock", dict(draft.lock)
    if draft.timeout is not None:
        yield "timeout", draft.timeout
    if not draft.fail_fast:
        yield "fail_fast", False


def _entries(entries: Sequence[Entry], *, indent: int) -> Iterator[str]:
    for entry in entries:
        if isinstance(entry, Note):
            yield from comment(entry, indent=indent)
        else:
            yield from _step(entry, indent=indent)


def _step(step: StepDraft, *, indent: int) -> Iterator[str]:
    for note in step.notes:
        yield from comment(note, indent=indent)
    keys = list(_keys(step))
    pad = " " * indent
    if step.command is not None and not keys:
        yield f"{pad}- {yaml_text.scalar(step.command)}"
        return
    lines: list[str] = []
    if step.id is not None:
        lines += yaml_text.entry("id", step.id, indent=indent + 2)
    if step.command is not None:
        lines += yaml_text.entry("command", step.command, indent=indent + 2)
    for key, value in keys:
        if key != "id":
            lines += yaml_text.entry(key, value, indent=indent + 2)
    for key, entries in ((_verb(step), step.steps), ("on_failure", step.on_failure)):
        if entries:
            lines += [f"{pad}  {key}:", *_entries(entries, indent=indent + 4)]
    yield f"{pad}- {lines[0].lstrip()}"
    yield from lines[1:]


def _verb(step: StepDraft) -> str:
    return "parallel" if step.is_parallel else "steps"


def _keys(step: StepDraft) -> Iterator[tuple[str, Plain]]:
    if step.id is not None:
        yield "id", step.id
    if step.env:
        yield "env", dict(step.env)
    if step.stdin is not None:
        yield "stdin", step.stdin
    if step.capture is not None:
        yield "capture", step.capture
    if step.when:
        yield "when", _conjunction(step.when)
    if step.for_each is not None:
        yield "for_each", step.for_each
    if step.retry is not None:
        yield "retry", dict(step.retry)
    if step.timeout is not None:
        yield "timeout", step.timeout
    if step.continue_on_error:
        yield "continue_on_error", True
    if not step.fail_fast:
        yield "fail_fast", False
    if step.lock is not None:
        yield "lock", dict(step.lock)


def _conjunction(conditions: Sequence[str]) -> str:
    return conditions[0] if len(conditions) == 1 else joined(*conditions)
