"""Translates the jobs of a crontab into runbooks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from django_runbook.document.cron import ALIASES, parse_cron
from django_runbook.importing.crontab import CronJob, parse_crontab
from django_runbook.importing.draft import Imported, Note, Plain, RunbookDraft, StepDraft, steps_of, walk
from django_runbook.importing.finishing import finished
from django_runbook.importing.problems import CannotImport
from django_runbook.importing.shell.reader import read_statements
from django_runbook.importing.translation.commands import OF_START
from django_runbook.importing.translation.context import StepBlock, as_one
from django_runbook.importing.translation.pieces import Expr
from django_runbook.importing.translation.scope import Declared, Names, ShellScope, is_secret
from django_runbook.importing.translation.translator import translate
from django_runbook.structs import replace

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_.-]+")
# Cron reads them itself.
_OF_CRON: Final = frozenset(("CRON_TZ", "TZ", "MAILTO", "MAILFROM", "SHELL", "CONTENT_TYPE", "RANDOM_DELAY", "LOGNAME"))
_MAIL: Final = (
    'cron mails the output: add mail_run_report to on_failure, or a reporter of RUNBOOK["REPORTERS"] to "notify"'
)


def import_crontab(text: str, *, name: str, has_users: bool | None = None) -> Imported:
    """Return a runbook for each job that calls a management command; raise CannotImport if none does."""
    table = parse_crontab(text, has_users=has_users)
    stems: set[str] = set()
    locks: dict[str, str] = {}
    drafts: list[RunbookDraft] = []
    leftovers: list[Note] = list(table.leftovers)
    for job in table.jobs:
        # All jobs share the names of locks: two that hold the same file exclude each other.
        draft, lost = _translated(job, Names(locks=locks), name=name)
        leftovers += lost
        if draft is not None:
            drafts.append(replace(draft, stem=_new_stem(draft.stem, stems)))
    if not drafts:
        first = next((note for note in leftovers if note.is_open), None)
        reason = f"; line {first.line}: {first.text}" if first is not None else ""
        raise CannotImport(f"{name}: none of its {len(table.jobs)} jobs calls a management command{reason}")
    return Imported(drafts=tuple(drafts), leftovers=tuple(sorted(leftovers, key=lambda note: note.line)))


def _translated(job: CronJob, names: Names, *, name: str) -> tuple[RunbookDraft | None, list[Note]]:
    scope = ShellScope(declared=Declared(), names=names, positionals=())
    for variable, value in job.variables.items():
        scope.values[variable] = (_variable(variable, value, scope),)
    block = translate(read_statements(job.command, first_line=job.line), scope)
    steps = [entry for entry in walk(block.entries) if isinstance(entry, StepDraft) and entry.command is not None]
    if not steps:
        found = [entry for entry in block.entries if isinstance(entry, Note) and entry.is_open]
        text = found[0].text if found else "not a management command: write one, or keep it in the crontab"
        return None, [
            *(Note(line=job.line - 1, text=comment) for comment in job.comments[-1:]),
            Note(line=job.line, text=text, source=job.source.strip(), is_open=True),
        ]
    schedule, notes = _schedule(job)
    block = _with_stdin(block, job)
    head = [Note(line=0, text=f"Imported from {name}, line {job.line}."), *_surroundings(job), *notes]
    draft = RunbookDraft(
        stem=_NOT_IN_NAMES.sub("_", steps[0].name),
        line=job.line,
        entries=(),
        notes=tuple(head),
        description=" ".join(job.comments),
        schedule=schedule,
    )
    return finished(draft, block, scope.declared), []


def _variable(name: str, value: str, scope: ShellScope) -> Expr:
    """Return the expression of a variable of the table: it may be changed there, but is known here."""
    if is_secret(name, value):
        scope.declared.secrets.add(name)
        return Expr(source=f"secrets.{name}")
    scope.declared.env[name] = value
    return Expr(source=f"env.{name}", literal=value)


def _with_stdin(block: StepBlock, job: CronJob) -> StepBlock:
    """Give the lines after ``%`` to the only command of the job."""
    if job.stdin is None:
        return block
    step = as_one(block.entries)
    if step is not None and step.command is not None and step.stdin is None and len(steps_of(block.entries)) == 1:
        return StepBlock(entries=(replace(step, stdin=job.stdin.replace("${{", "$${{")),))
    text = "the lines after % are read by one of several commands: write them under its stdin"
    return replace(block, entries=(Note(line=job.line, text=text, source=job.stdin, is_open=True), *block.entries))


def _schedule(job: CronJob) -> tuple[dict[str, Plain] | None, list[Note]]:
    times = ALIASES.get(job.times.lower(), job.times)
    if times.lower() == "@reboot":
        text = "a schedule has no @reboot: start the run from a unit of systemd, or after the deploy"
        return None, [Note(line=job.line, text=text, source=job.times, is_open=True)]
    cron, problems = parse_cron(times)
    if cron is None:
        problem = problems[0]
        hint = f": {problem.help}" if problem.help else ""
        return None, [Note(line=job.line, text=f"{problem.message}{hint}", source=job.times, is_open=True)]
    schedule: dict[str, Plain] = {"cron": times}
    notes: list[Note] = []
    zone = job.variables.get("CRON_TZ") or job.variables.get("TZ")
    if zone:
        schedule["timezone"] = zone
    if zone and "CRON_TZ" not in job.variables:
        line = job.variable_lines["TZ"]
        text = "some crons read it for the job, but not for its times; then the zone is that of the host"
        notes.append(Note(line=line, subject=f"TZ={zone}", text=text))
    if not zone:
        text = "cron reads times in the zone of the host, a schedule in TIME_ZONE: add a timezone if they differ"
        notes.append(Note(line=job.line, text=text))
    return schedule, notes


def _surroundings(job: CronJob) -> Iterator[Note]:
    """Say what becomes of the user and of the variables of a job."""
    if job.user:
        yield Note(line=job.line, text=f"it runs as {job.user}: start the run as this user")
    for name, value in job.variables.items():
        line = job.variable_lines[name]
        if name == "MAILTO" and value:
            yield Note(line=line, subject=f"MAILTO={value}", text=_MAIL)
        elif name in {"MAILTO", "SHELL", "CONTENT_TYPE", "MAILFROM", "CRON_TZ", "TZ"}:
            continue
        elif is_secret(name, value):
            text = "a secret, whose value no file should have: commands read it from the environment of the run"
            yield Note(line=line, subject=name, text=text)
        elif name in OF_START | _OF_CRON:
            yield Note(line=line, subject=f"{name}={value}", text="set it where the run is started")
        else:
            text = "commands read it from the environment of the run"
            yield Note(line=line, subject=f"{name}={value}", text=text)


def _new_stem(stem: str, stems: set[str]) -> str:
    name, number = stem, 1
    while name.lower() in stems:
        number += 1
        name = f"{stem}-{number}"
    stems.add(name.lower())
    return name
