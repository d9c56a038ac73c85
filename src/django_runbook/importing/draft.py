"""Defines a runbook that is being written: steps and comments in the order of the imported file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from django_runbook.structs import Struct, field

Plain: TypeAlias = "str | int | float | bool | list[Plain] | dict[str, Plain] | None"


class Note(Struct):
    """Holds a comment on a line of the imported file; an ``is_open`` one is left to the reader.

    ``subject`` is the piece of the line that it is about; ``source`` is shown below it. Line 0 is a comment of the file
    itself. The note is dropped if the reference ``unless_used``, such as ``vars.day``, is part of the runbook.
    """

    line: int
    text: str
    subject: str = ""
    source: str = ""
    is_open: bool = False
    unless_used: str = ""


class StepDraft(Struct):
    """Holds a step; ``is_end`` marks one that ends the script: the steps after it run only if it is skipped."""

    line: int
    command: str | None = None
    steps: tuple[Entry, ...] = ()
    is_parallel: bool = False
    id: str | None = None
    notes: tuple[Note, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: str | None = None
    capture: str | None = None
    when: tuple[str, ...] = ()
    for_each: Plain = None
    retry: Mapping[str, Plain] | None = None
    timeout: str | None = None
    continue_on_error: bool = False
    fail_fast: bool = True
    lock: Mapping[str, Plain] | None = None
    on_failure: tuple[Entry, ...] = ()
    is_end: bool = False

    @property
    def name(self) -> str:
        """Return the command, or what kind of a group it is."""
        if self.command is not None:
            return self.command.split(maxsplit=1)[0]
        return "parallel" if self.is_parallel else "group"


Entry: TypeAlias = StepDraft | Note


class RunbookDraft(Struct):
    """Holds a runbook: what ``emit`` writes into one file."""

    stem: str
    line: int
    entries: tuple[Entry, ...]
    notes: tuple[Note, ...] = ()
    description: str = ""
    schedule: Mapping[str, Plain] | None = None
    params: Mapping[str, Plain] = field(default_factory=dict)
    env: tuple[Plain, ...] = ()
    secrets: tuple[str, ...] = ()
    vars: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Plain] = field(default_factory=dict)
    lock: Mapping[str, Plain] | None = None
    timeout: str | None = None
    fail_fast: bool = True
    on_failure: tuple[Entry, ...] = ()
    finally_: tuple[Entry, ...] = ()


class Imported(Struct):
    """Holds the result of an import: runbooks, and what of the file is in none of them."""

    drafts: tuple[RunbookDraft, ...]
    leftovers: tuple[Note, ...] = ()


def steps_of(entries: tuple[Entry, ...]) -> tuple[StepDraft, ...]:
    """Return the steps among some entries."""
    return tuple(entry for entry in entries if isinstance(entry, StepDraft))


def notes_of(entries: tuple[Entry, ...]) -> tuple[Note, ...]:
    """Return the comments among some entries, without those inside steps."""
    return tuple(entry for entry in entries if isinstance(entry, Note))


def walk(entries: tuple[Entry, ...]) -> Iterator[Entry]:
    """Yield all entries with those inside steps."""
    for entry in entries:
        yield entry
        if isinstance(entry, StepDraft):
            yield from entry.notes
            yield from walk(entry.steps)
            yield from walk(entry.on_failure)
