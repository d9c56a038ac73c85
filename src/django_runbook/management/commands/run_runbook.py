"""Reads the options of ``manage.py run_runbook FILE`` and runs the runbook."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import traceback
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError

from django_runbook import api, reporters
from django_runbook.api import NEWEST, RunRequest
from django_runbook.document.similar_names import suggestion
from django_runbook.exceptions import InvalidUsage, RunbookError
from django_runbook.executors import descriptors
from django_runbook.management.clean_command import CleanCommand
from django_runbook.management.console import CommandConsole
from django_runbook.management.foreign_options import explain_options
from django_runbook.management.param_option import add_param_option, parse_params
from django_runbook.process.django_internals import raw_stream, replace_raw_stream
from django_runbook.process.stopping import Stop
from django_runbook.process.streams import clean_text
from django_runbook.results import ExitCode
from django_runbook.runner import outcomes
from django_runbook.wording import choose_from

# What the machine has no more of: descriptors, processes, memory, room on a disk.
_EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC))


class Command(CleanCommand):
    help = "Run the management commands of a runbook in order, after all of them have been checked."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="Run this runbook; the suffix is optional.")
        add_param_option(parser)
        shown = parser.add_mutually_exclusive_group()
        shown.add_argument("--plan", action="store_true", help="Show each step with its arguments, and stop.")
        shown.add_argument(
            "--describe", action="store_true", help="Show the description, the parameters and the schedule, and stop."
        )
        shown.add_argument("--list", action="store_true", help="Show the steps with their ids and tags, and stop.")
        parser.add_argument(
            "--estimate",
            action="store_true",
            help="With --plan: show the rows, batches and duration of each batch command.",
        )
        _add_selection(parser)
        _add_execution(parser)
        _add_resuming(parser)
        _add_reports(parser)
        explain_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        console = CommandConsole(self, options)
        if console.owns_process:
            descriptors.fill_standard()
        stop = api.new_stop(console)
        try:
            with contextlib.ExitStack() as stack:
                for wrapper in (self.stdout, self.stderr):
                    _open_if_closed(wrapper, stack)
                exit_code, message = self._run(options, console, stop)
        finally:
            # The host of this run, which had the signals before, receives them now; its handlers may raise.
            if not console.owns_process:
                stop.hand_back()
        if exit_code == ExitCode.SUCCEEDED:
            return
        if console.owns_process:
            sys.exit(exit_code)
        raise CommandError(message, returncode=exit_code)

    def _run(self, options: dict[str, Any], console: CommandConsole, stop: Stop) -> tuple[int, str]:
        """Run a runbook; return the exit code, and what a caller should read unless it is 0."""
        try:
            request = _request(options)
            if options["describe"]:
                self.stdout.write(api.describe(request.file, console=console), ending="")
                return ExitCode.SUCCEEDED, ""
            if options["plan"] or options["list"]:
                show = api.list_steps
                if options["plan"]:
                    show = partial(api.show_plan, estimates=options["estimate"])
                self.stdout.write(show(request, console=console), ending="")
                return ExitCode.SUCCEEDED, ""
            result = api.run_on(console, request, stop=stop)
        except KeyboardInterrupt:
            # Nothing was run: a run listens to signals itself.
            return ExitCode.INTERRUPTED_BY_SIGINT, "interrupted"
        except RunbookError as error:
            raise CommandError(str(error), returncode=error.exit_code) from None
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                return self._report_bug(console)
            raise CommandError(f"the run ended: {error.strerror}", returncode=ExitCode.FAILED) from None
        except Exception:  # noqa: BLE001 - an internal error has an exit code of its own
            return self._report_bug(console)
        return result.exit_code, clean_text(outcomes.in_one_line(result), console.mask)

    def _report_bug(self, console: CommandConsole) -> tuple[int, str]:
        """Write the traceback of an internal error; called in its ``except``."""
        self.stderr.write(clean_text(traceback.format_exc(), console.mask), style_func=str)
        self.stderr.write("This is an internal error of django-runbook: please report it with the lines above.")
        return ExitCode.INTERNAL_ERROR, "internal error of django-runbook: its traceback was written to standard error"


def _add_selection(parser: ArgumentParser) -> None:
    parser.add_argument("--only", action="append", default=[], metavar="ID", help="Run only the step or group ID.")
    parser.add_argument(
        "--skip",
        action="append",
        default=[],
        metavar="ID",
        help="Leave out the step or group ID; with --resume: mark it as done.",
    )
    parser.add_argument("--start-at", metavar="ID", help="Leave out all steps before the step ID.")
    parser.add_argument("--tags", action="append", default=[], metavar="TAG", help="Run only the steps with TAG.")
    parser.add_argument("--skip-tags", action="append", default=[], metavar="TAG", help="Leave out the steps with TAG.")


def _add_execution(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="Pass --dry-run to each command that has it, and skip the others.",
    )
    parser.add_argument("--keep-going", action="store_true", help="Continue after a failed step, and fail at the end.")
    parser.add_argument("--strict", action="store_true", help="Exit with 1 also if the run ends with a warning.")
    parser.add_argument("--yes", action="store_true", help="Answer every question of the runbook with yes.")
    parser.add_argument("--step", action="store_true", help="Ask before each step whether to run it.")
    parser.add_argument(
        "--inline", action="store_true", help="Run all steps in this process, for a debugger; timeouts do nothing."
    )


def _add_resuming(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--resume",
        nargs="?",
        const=NEWEST,
        metavar="RUN",
        help="Resume RUN, given by the first characters of its id; without RUN the newest one.",
    )
    parser.add_argument(
        "--rerun",
        action="append",
        default=[],
        metavar="ID",
        help="With --resume: run this step again although it was interrupted or has succeeded.",
    )
    parser.add_argument(
        "--accept-changes", action="store_true", help="With --resume: continue although completed steps have changed."
    )
    parser.add_argument("--no-journal", action="store_true", help="Do not record the run.")


def _add_reports(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        type=_format,
        metavar="NAME",
        help=f"{', '.join(reporters.REPORTERS)}, or an import path. "
        "Default: rich on a terminal, github in a job of GitHub Actions, plain elsewhere.",
    )
    parser.add_argument("--junit", metavar="FILE", help="Write a JUnit report to FILE when the run ends.")
    parser.add_argument(
        "--log-dir", metavar="DIR", help="Write the output of each command to a file in DIR while it runs."
    )
    parser.add_argument("--timings", action="store_true", help="Show at the end where the time of the run went.")


def _format(name: str) -> str:
    if name not in reporters.REPORTERS and "." not in name:
        near = suggestion(name, reporters.REPORTERS)
        hint = near or f"{choose_from(reporters.REPORTERS)}, or give an import path"
        raise ArgumentTypeError(f'unknown format "{name}"; {hint}')
    return name


def _open_if_closed(wrapper: Any, stack: contextlib.ExitStack) -> None:
    """Give a run that was started without a standard stream one that discards what it gets."""
    if raw_stream(wrapper) is None:
        nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - the stack closes it
        replace_raw_stream(wrapper, stack.enter_context(nowhere))


def _request(options: dict[str, Any]) -> RunRequest:
    """Read the options; raise InvalidUsage if two of them contradict each other."""
    _refuse_combinations(options)
    if options["format"]:
        # Before anything runs.
        reporters.factory_of(options["format"])
    return RunRequest(
        file=options["file"],
        params=parse_params(options["param"]),
        only=_split(options["only"]),
        skip=_split(options["skip"]),
        start_at=options["start_at"],
        tags=_split(options["tags"]),
        skip_tags=_split(options["skip_tags"]),
        resume=options["resume"],
        rerun=_split(options["rerun"]),
        accept_changes=options["accept_changes"],
        dry_run=options["dry_run"],
        keep_going=options["keep_going"],
        strict=options["strict"],
        yes=options["yes"],
        ask_before_steps=options["step"],
        inline=options["inline"],
        journal=not options["no_journal"],
        junit=options["junit"],
        log_dir=options["log_dir"],
        timings=options["timings"],
        verbosity=options["verbosity"],
    )


def _refuse_combinations(options: dict[str, Any]) -> None:
    if options["estimate"] and not options["plan"]:
        raise InvalidUsage("--estimate needs --plan")
    if options["resume"] is not None:
        for name in ("plan", "list", "describe"):
            if options[name]:
                raise InvalidUsage(f"--{name} cannot be combined with --resume")


def _split(values: Sequence[str]) -> tuple[str, ...]:
    # The ids of items hold commas too: import[1,2].
    return tuple(part for value in values for part in re.split(r",(?![^\[]*\])", value) if part)
