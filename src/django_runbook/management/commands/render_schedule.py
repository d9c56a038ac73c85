"""Writes the schedules of runbooks for cron, systemd, Kubernetes, Celery beat or GitHub Actions."""

from __future__ import annotations

import os
import shlex
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.core.management import load_command_class
from django.core.management.base import CommandError

from django_runbook.exceptions import RunbookError
from django_runbook.management.clean_command import CleanCommand
from django_runbook.results import ExitCode
from django_runbook.schedules import rendering
from django_runbook.schedules.job import Installation
from django_runbook.schedules.schedulers import SCHEDULERS, refuse_options

_OPTIONS: Final = {
    "python": ("PATH", "Start PATH. Default: this Python for crontab and systemd, otherwise python."),
    "manage": ("PATH", "Run PATH with it. Default: manage.py."),
    "directory": ("DIR", "Change to DIR. Default: this directory for crontab and systemd, otherwise none."),
    "user": ("NAME", "Run as NAME (crontab: write a table for /etc/cron.d; systemd)."),
    "mailto": ("ADDRESS", "Let cron mail what a run prints to ADDRESS (crontab)."),
    "env_file": ("FILE", "Read environment variables from FILE (systemd)."),
    "on_failure": ("UNIT", "Start UNIT if a run fails (systemd)."),
    "image": ("IMAGE", "Run in a container of IMAGE (kubernetes: required; github)."),
    "namespace": ("NAME", "Put the CronJobs into this namespace (kubernetes)."),
    "secret": ("NAME", "Read environment variables from this Secret (kubernetes)."),
    "task": ("NAME", "Call this task, which calls run_runbook with its arguments (celery-beat: required)."),
    "setup": ("COMMAND", "Run this shell command first, such as an installation (github)."),
}


class Command(CleanCommand):
    help = "Write the schedules of runbooks for a scheduler: those that are named, or all that the project has."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="*", metavar="FILE", help="A runbook. Default: all that have a schedule.")
        parser.add_argument("--to", required=True, choices=tuple(SCHEDULERS), help="The scheduler.")
        parser.add_argument("--output", metavar="DIR", help="Write files into DIR. Default: to standard output.")
        parser.add_argument(
            "--check",
            action="store_true",
            help="Write nothing; exit with 1 if a file in DIR is missing or out of date.",
        )
        parser.add_argument(
            "--arguments",
            metavar="TEXT",
            help='Add options of run_runbook, as in --arguments="--strict". Default for crontab: --verbosity 0.',
        )
        for name, (metavar, text) in _OPTIONS.items():
            parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=text)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check"] and options["output"] is None:
            raise CommandError("--check needs --output", returncode=ExitCode.INVALID)
        try:
            rendered = _rendered(options)
        except RunbookError as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        if options["output"] is None:
            self.stdout.write_file(rendering.in_one_text(rendered, options["to"]))
            return
        folder = Path(options["output"])
        try:
            self._write(rendered, folder, options)
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}", returncode=ExitCode.FAILED) from error

    def _write(self, rendered: dict[str, str], folder: Path, options: dict[str, Any]) -> None:
        left_over = [] if options["files"] else rendering.left_over(rendered, folder, options["to"])
        if options["check"]:
            stale = [*rendering.stale_files(rendered, folder), *left_over]
            if stale:
                raise CommandError("\n".join(stale), returncode=ExitCode.FAILED)
            return
        rendering.write(rendered, folder)
        for text in left_over:
            self.stderr.write(text)


def _rendered(options: dict[str, Any]) -> dict[str, str]:
    files, target = options["files"], options["to"]
    try:
        return rendering.render(files, target, _installation(options))
    except rendering.NoSchedule:
        # The last schedule is gone, and its files are not.
        if options["output"] is not None and rendering.left_over((), Path(options["output"]), target):
            return {}
        raise


def _installation(options: dict[str, Any]) -> Installation:
    given = {name: options[name] for name in _OPTIONS}
    refuse_options(options["to"], given)
    is_local = SCHEDULERS[options["to"]].is_local
    arguments = options["arguments"]
    given["python"] = given["python"] or (_this_python() if is_local else "python")
    given["manage"] = given["manage"] or "manage.py"
    given["directory"] = given["directory"] or (str(Path.cwd()) if is_local else None)
    if arguments is not None and not arguments.isprintable():
        raise CommandError("--arguments must be printable text of one line", returncode=ExitCode.INVALID)
    try:
        words = None if arguments is None else tuple(shlex.split(arguments))
    except ValueError as error:
        raise CommandError(f"--arguments: {error}", returncode=ExitCode.INVALID) from error
    if words:
        _refuse_unknown(words)
    # As for this call, whose settings name the runbooks.
    project = tuple(f"--{name}={options[name]}" for name in ("settings", "pythonpath") if options[name])
    return Installation(arguments=words, project_options=project, **given)


def _this_python() -> str:
    """Return the path of this Python, without ``..``; a link stays, because it is what an environment is found by."""
    plain = os.path.normpath(sys.executable)
    return plain if Path(plain).exists() and Path(plain).samefile(sys.executable) else sys.executable


def _refuse_unknown(arguments: tuple[str, ...]) -> None:
    parser = load_command_class("django_runbook", "run_runbook").create_parser("manage.py", "run_runbook")
    try:
        parser.parse_args(["FILE", *arguments])
    except CommandError as error:
        text = str(error).removeprefix("Error: ")
        raise CommandError(f"--arguments, for run_runbook: {text}", returncode=ExitCode.INVALID) from error
