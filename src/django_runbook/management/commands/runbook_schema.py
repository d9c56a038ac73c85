"""Writes the JSON Schema that tells an editor the keys of a runbook and the commands of the project."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import connections

from django_runbook import conf
from django_runbook.binding.catalog import Catalog
from django_runbook.editor.project_schema import as_text, generic_schema, project_schema
from django_runbook.editor.value_schemas import Schema
from django_runbook.exceptions import InvalidUsage
from django_runbook.file_writing import replace_shared
from django_runbook.management.clean_command import CleanCommand
from django_runbook.results import ExitCode


class Command(CleanCommand):
    help = "Write a JSON Schema of runbooks, with the commands of this project, for the completion of an editor."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--output", metavar="FILE", help="Write to FILE. Default: to standard output.")
        parser.add_argument(
            "--check", action="store_true", help="Write nothing; exit with 1 if FILE is missing or out of date."
        )
        parser.add_argument(
            "--generic", action="store_true", help="Leave the commands out: a schema for the runbooks of any project."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        text = as_text(generic_schema() if options["generic"] else _project_schema())
        if options["output"] is None:
            if options["check"]:
                raise CommandError("--check needs --output", returncode=ExitCode.INVALID)
            self.stdout.write_file(text)
            return
        path = Path(options["output"])
        try:
            current = path.read_text(encoding="utf-8") if path.is_file() else None
            if options["check"]:
                self._check(path, is_current=current == text)
            elif current != text:
                replace_shared({path: text.encode()})
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}", returncode=ExitCode.FAILED) from error

    def _check(self, path: Path, *, is_current: bool) -> None:
        if not is_current:
            raise CommandError(f'"{path}" is out of date: run this command without --check', returncode=ExitCode.FAILED)


def _project_schema() -> Schema:
    try:
        reporters = conf.read().reporters
    except InvalidUsage as error:
        raise CommandError(str(error), returncode=error.exit_code) from error
    return project_schema(Catalog(), databases=tuple(connections), reporters=[one.name for one in reporters])
