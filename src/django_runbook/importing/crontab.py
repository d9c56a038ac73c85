"""Reads a crontab: its variables, jobs and comments, as cron(8) does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from django_runbook.importing.draft import Note
from django_runbook.structs import MutableStruct, Struct, field

_VARIABLE: Final = re.compile(r"""\s*(?P<name>[A-Za-z_]\w*|"[^"]*"|'[^']*')\s*=\s*(?P<value>.*?)\s*$""")
_FIELD: Final = r"[\d*,/~A-Za-z-]*[\d*][\d*,/~A-Za-z-]*|[A-Za-z]{3}(?:[-,][A-Za-z]{3})*"
_JOB: Final = re.compile(rf"\s*(?P<times>@\w+|(?:(?:{_FIELD})\s+){{4}}(?:{_FIELD}))(?P<rest>(?:\s+.*)?)$")
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]*\$?")
# Words that begin a command, and could be names of users.
_COMMANDS: Final = {
    "apt", "bash", "cd", "certbot", "chronic", "command", "cronic", "curl", "django-admin", "docker", "docker-compose",
    "echo", "env", "exec", "find", "flock", "git", "ionice", "kubectl", "logrotate", "make", "mysqldump", "nice",
    "node", "nohup", "pg_dump", "php", "pipenv", "podman", "poetry", "python", "python3", "rm", "rsync", "ruby",
    "run-one", "run-parts", "runuser", "service", "sh", "sleep", "source", "su", "sudo", "systemctl", "test", "time",
    "timeout", "uv", "wget",
}  # fmt: skip
# The names of the columns, as many tables have them.
_HEADINGS: Final = re.compile(r"m(?:in\w*)?\.?\s+h", re.IGNORECASE)
_PERCENT: Final = re.compile(r"\\%|%")


class CronJob(Struct):
    """Holds one job; ``comments`` are the lines directly above it, ``variables`` those that are set for it."""

    line: int
    times: str
    command: str
    source: str
    user: str = ""
    stdin: str | None = None
    comments: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    variable_lines: Mapping[str, int] = field(default_factory=dict)


class Crontab(Struct):
    """Holds the jobs of a table, and the lines that belong to none of them."""

    jobs: tuple[CronJob, ...]
    leftovers: tuple[Note, ...]


class _Table(MutableStruct):
    jobs: list[CronJob] = field(default_factory=list)
    leftovers: list[Note] = field(default_factory=list)
    comments: list[tuple[int, str]] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    variable_lines: dict[str, int] = field(default_factory=dict)

    def drop_comments(self) -> None:
        """Keep comments that are above no job."""
        self.leftovers += [Note(line=line, text=text) for line, text in self.comments if text]
        self.comments = []


def parse_crontab(text: str, *, has_users: bool | None = None) -> Crontab:
    """Return the jobs of a table; ``has_users`` says that the sixth column is a user, None that it shows."""
    lines = text.splitlines()
    if has_users is None:
        has_users = _has_users(lines)
    table = _Table()
    for number, line in enumerate(lines, start=1):
        _read_line(table, line, number, has_users=has_users)
    table.drop_comments()
    leftovers = sorted(table.leftovers, key=lambda note: note.line)
    return Crontab(jobs=tuple(table.jobs), leftovers=tuple(leftovers))


def _read_line(table: _Table, line: str, number: int, *, has_users: bool) -> None:
    stripped = line.strip()
    if not stripped:
        table.drop_comments()
    elif stripped.startswith("#"):
        _read_comment(table, stripped.lstrip("#").strip(), number)
    elif (variable := _VARIABLE.match(line)) is not None and not _JOB.match(line):
        table.drop_comments()
        name = _unquoted(variable["name"])
        table.variables = {**table.variables, name: _unquoted(variable["value"])}
        table.variable_lines = {**table.variable_lines, name: number}
    elif (job := _JOB.match(line)) is not None:
        _read_job(table, job, line, number, has_users=has_users)
    else:
        table.drop_comments()
        text = "neither a job (five fields and a command) nor a variable"
        table.leftovers.append(Note(line=number, text=text, source=line, is_open=True))


def _read_comment(table: _Table, text: str, number: int) -> None:
    job = _JOB.match(text)
    if _HEADINGS.match(text):
        table.leftovers.append(Note(line=number, text=text))
    elif job is not None and job["rest"].strip():
        table.drop_comments()
        table.leftovers.append(Note(line=number, text="a job that is turned off", source=text))
    else:
        table.comments.append((number, text))


def _read_job(table: _Table, job: re.Match[str], line: str, number: int, *, has_users: bool) -> None:
    rest = job["rest"].strip()
    user = ""
    if has_users and rest:
        user, _, rest = rest.partition(" ") if " " in rest else (rest, "", "")
        if "\t" in user:
            user, _, more = user.partition("\t")
            rest = f"{more} {rest}"
    command, stdin = _split_percent(rest.strip())
    if not command:
        table.drop_comments()
        table.leftovers.append(Note(line=number, text="the job has no command", source=line, is_open=True))
        return
    comments = tuple(text for _, text in table.comments if text)
    table.comments = []
    table.jobs.append(
        CronJob(
            line=number,
            times=" ".join(job["times"].split()),
            command=command,
            source=line,
            user=user,
            stdin=stdin,
            comments=comments,
            variables=table.variables,
            variable_lines=table.variable_lines,
        )
    )


def _split_percent(text: str) -> tuple[str, str | None]:
    r"""Return the command and its input: ``%`` ends the command, and then each line; ``\%`` is a percent sign."""
    parts = [""]
    position = 0
    for found in _PERCENT.finditer(text):
        parts[-1] += text[position : found.start()]
        if found[0] == "%":
            parts.append("")
        else:
            parts[-1] += "%"
        position = found.end()
    parts[-1] += text[position:]
    return parts[0].strip(), "\n".join(parts[1:]) + "\n" if len(parts) > 1 else None


def _has_users(lines: list[str]) -> bool:
    """Return whether the first word of each command can only be a user."""
    found = [job["rest"].split() for line in lines if (job := _JOB.match(line)) is not None]
    commands = [words for words in found if words]
    return bool(commands) and all(
        len(words) > 1 and _USER.fullmatch(words[0]) is not None and words[0] not in _COMMANDS for words in commands
    )


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
