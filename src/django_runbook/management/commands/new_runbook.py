"""Writes a new runbook, which passes the check and names what can be filled in."""

from __future__ import annotations

import os
import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError

from django_runbook import conf, lookup
from django_runbook.exceptions import RunbookError
from django_runbook.management.clean_command import CleanCommand
from django_runbook.results import ExitCode

_NAME: Final = re.compile(r"[A-Za-z0-9][\w-]*(/[A-Za-z0-9][\w-]*)*", re.ASCII)
_SCHEMA: Final = "runbook.schema.json"
_TEXT: Final = """\
{schema}name: {name}
description: Say what this runbook does, and whom to ask.

# params:
#   day: {{type: date, default: "${{{{ today }}}}", help: Day to process}}

# schedule: {{cron: "15 2 * * *"}}

steps:
  # Replace it by the commands of this runbook.
  - check

# on_failure:
#   - mail_run_report --to ops@example.com
"""


class Command(CleanCommand):
    help = "Write a new runbook to fill in."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="Write NAME.yml; NAME may begin with folders.")
        parser.add_argument(
            "--directory", metavar="DIR", help='Write into DIR. Default: the first folder of RUNBOOK["DIRS"].'
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            configuration = conf.read()
        except RunbookError as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        if options["directory"] is None and not configuration.dirs:
            raise CommandError(
                'RUNBOOK["DIRS"] names no folder: add one, or use --directory DIR', returncode=ExitCode.INVALID
            )
        name = options["name"].removesuffix(".yml").removesuffix(".yaml")
        if _NAME.fullmatch(name) is None:
            raise CommandError(
                f'"{options["name"]}" is not a name of letters, digits, "-" and "_"', returncode=ExitCode.INVALID
            )
        folder = Path(options["directory"] or configuration.dirs[0])
        for suffix in lookup.SUFFIXES:
            if os.path.lexists(folder / f"{name}{suffix}"):
                shown = lookup.label(folder / f"{name}{suffix}")
                raise CommandError(f'"{shown}" exists already', returncode=ExitCode.INVALID)
        path = folder / f"{name}{lookup.SUFFIXES[0]}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(_text(path))
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}", returncode=ExitCode.FAILED) from error
        self.stdout.write(f"wrote {lookup.label(path)}")


def _text(path: Path) -> str:
    words = re.sub("[-_]+", " ", path.stem).strip()
    schema = _schema_beside(path)
    line = "" if schema is None else f"# yaml-language-server: $schema={schema}\n"
    # Always a string: a name may be a number, or true.
    name = words[:1].upper() + words[1:]
    return _TEXT.format(schema=line, name=name if name[:1].isalpha() and name.lower() not in _WORDS else f'"{name}"')


_WORDS: Final = frozenset(("true", "false", "null"))


def _schema_beside(path: Path) -> str | None:
    """Return the schema of the project for an editor, relative to the runbook: in its folder, or in one around it."""
    folder = path.parent.resolve()
    for around in (folder, *folder.parents[:3]):
        if (around / _SCHEMA).is_file():
            return Path(os.path.relpath(around / _SCHEMA, folder)).as_posix()
    return None
