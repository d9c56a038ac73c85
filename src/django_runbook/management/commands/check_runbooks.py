"""Checks runbooks for ``manage.py check_runbooks`` and prints the diagnostics; nothing is run."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from django_runbook import api, lookup
from django_runbook.checking import Checked
from django_runbook.cleaning import cleaned_line
from django_runbook.document.diagnostics import has_errors
from django_runbook.document.formats import render
from django_runbook.exceptions import InvalidUsage
from django_runbook.management.check_formats import CHECK_FORMATS
from django_runbook.management.clean_command import CleanCommand
from django_runbook.management.foreign_options import explain_options
from django_runbook.process.django_internals import is_called_from_command_line
from django_runbook.results import ExitCode


class Command(CleanCommand):
    help = "Check the named runbooks, or all of the project, without running them."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="*", metavar="FILE", help="A runbook. Default: all of the project.")
        parser.add_argument("--format", choices=["text", *CHECK_FORMATS], default="text", help="Default: text.")
        explain_options(parser, only_checks=True)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            results = api.check(options["files"])
        except InvalidUsage as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        if not results:
            raise CommandError(lookup.NONE_FOUND, returncode=ExitCode.INVALID)
        write = self.stdout.write_colored if options["format"] == "text" else self.stdout.write
        write(self._render(results, options).removesuffix("\n"))
        bad = [result.path for result in results if has_errors(result.diagnostics)]
        if not bad:
            return
        # A caller gets an exception; only a command line ends the process.
        if is_called_from_command_line(self):
            sys.exit(ExitCode.INVALID)
        raise CommandError(f"errors in {', '.join(bad)}", returncode=ExitCode.INVALID)

    def _render(self, results: list[Checked], options: dict[str, Any]) -> str:
        if options["format"] in CHECK_FORMATS:
            return CHECK_FORMATS[options["format"]](results)
        return "".join(self._render_text(result, options) for result in results)

    def _render_text(self, result: Checked, options: dict[str, Any]) -> str:
        path = result.path
        if not result.diagnostics:
            return f"{cleaned_line(path)}: no problems\n"
        is_colored = options["force_color"] or (self.stdout.isatty() and not options["no_color"])
        return render.render_text(result.diagnostics, path=path, lines=result.lines, is_colored=is_colored)
