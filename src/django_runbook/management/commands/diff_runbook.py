"""Shows what a change of a runbook does to its plan, for a review."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, Final

from django.core.management.base import CommandError

from django_runbook.document.diagnostics import has_errors
from django_runbook.document.formats import render
from django_runbook.exceptions import InvalidUsage
from django_runbook.management.clean_command import CleanCommand
from django_runbook.management.param_option import add_param_option, parse_params
from django_runbook.results import ExitCode
from django_runbook.reviews.change_reports import as_markdown, as_text
from django_runbook.reviews.comparison import Comparison, compare_files, compare_project, compare_with_commit

_RENDERERS: Final = {"text": as_text, "markdown": as_markdown}


class Command(CleanCommand):
    help = "Show what a change of a runbook means: which steps, arguments and settings differ; nothing is run."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "files",
            nargs="*",
            metavar="FILE",
            help="OLD and NEW, or one file to compare with its version in git. Default: all of the project.",
        )
        parser.add_argument("--against", metavar="REF", help="Compare with this commit, branch or tag. Default: HEAD.")
        parser.add_argument("--format", choices=tuple(_RENDERERS), default="text", help="Default: text.")
        add_param_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        files, reference = options["files"], options["against"]
        if len(files) > 2:
            raise CommandError("at most two files can be compared", returncode=ExitCode.INVALID)
        if len(files) == 2 and reference is not None:
            raise CommandError("--against compares one file with itself, not two files", returncode=ExitCode.INVALID)
        try:
            found = _compare(files, reference or "HEAD", parse_params(options["param"]))
        except InvalidUsage as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        text = "".join(map(_RENDERERS[options["format"]], found)) or "no runbook has changed\n"
        if options["format"] == "markdown":
            self.stdout.write_file(text)
        else:
            self.stdout.write(text.removesuffix("\n"))
        self._report_errors(found)

    def _report_errors(self, found: list[Comparison]) -> None:
        """Report what keeps a version from being compared in full; raise CommandError if it is the new one."""
        for one in found:
            if has_errors(one.before.diagnostics):
                count = render.count(one.before.diagnostics)
                self.stderr.write(f"{one.path}: {count} in the old version, which may differ more than is shown")
        bad = [one.after for one in found if has_errors(one.after.diagnostics)]
        for version in bad:
            shown = render.render_text(version.diagnostics, path=version.path, lines=version.lines, is_colored=False)
            self.stderr.write(shown.removesuffix("\n"))
        if bad:
            paths = ", ".join(version.path for version in bad)
            raise CommandError(f"errors in {paths}", returncode=ExitCode.INVALID)


def _compare(files: list[str], reference: str, params: Mapping[str, str]) -> list[Comparison]:
    match files:
        case []:
            return compare_project(reference, params=params)
        case [name]:
            return [compare_with_commit(name, reference, params=params)]
    return [compare_files(files[0], files[1], params=params)]
