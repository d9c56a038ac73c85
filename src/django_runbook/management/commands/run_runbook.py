"""``manage.py run_runbook FILE``: puts the rooms of the house together for one run."""

from __future__ import annotations

import os
import sys
import traceback
import uuid
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError

from django_runbook import checking, conf, events, lookup, reporters
from django_runbook.binding.plan import Plan, plan
from django_runbook.document import inputs, render
from django_runbook.document.diagnostics import Diagnostic, has_errors, in_order
from django_runbook.exceptions import InvalidRunbook, InvalidUsage, RunbookError
from django_runbook.executors.atomic import atomically
from django_runbook.executors.inline import InlineExecutor
from django_runbook.executors.process import ProcessExecutor
from django_runbook.locks import factory as locks
from django_runbook.reporters.fan_out import FanOut
from django_runbook.results import ExitCode, RunResult
from django_runbook.runner import dry_run, hygiene, listing, masking, selection
from django_runbook.runner import run as runner
from django_runbook.runner.cancelling import KnownConnections
from django_runbook.runner.heap import frozen_heap
from django_runbook.runner.output import empty_input
from django_runbook.runner.stopping import Stop


class Command(BaseCommand):
    help = "Run the management commands of a runbook in order, after all of them have been checked."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="The runbook.")
        parser.add_argument(
            "--param", action="append", default=[], metavar="NAME=VALUE", help="A parameter; may be repeated."
        )
        shown = parser.add_mutually_exclusive_group()
        shown.add_argument("--plan", action="store_true", help="Show each step with its arguments, and stop.")
        shown.add_argument("--list", action="store_true", help="Show the steps with their ids and tags, and stop.")
        parser.add_argument("--only", action="append", default=[], metavar="ID", help="Run only this step or group.")
        parser.add_argument("--skip", action="append", default=[], metavar="ID", help="Leave this step or group out.")
        parser.add_argument("--start-at", metavar="ID", help="Leave out all steps before this one.")
        parser.add_argument("--tags", action="append", default=[], metavar="TAG", help="Run only steps with this tag.")
        parser.add_argument("--skip-tags", action="append", default=[], metavar="TAG", help="Leave steps with it out.")
        parser.add_argument(
            "--dry-run", action="store_true", help="Give --dry-run to each command that has it; skip the others."
        )
        parser.add_argument("--keep-going", action="store_true", help="Go on after a failed step, and fail at the end.")
        parser.add_argument("--strict", action="store_true", help="Exit with 1 also where the run ends with a warning.")
        parser.add_argument("--yes", action="store_true", help="Answer every question of the runbook with yes.")
        parser.add_argument("--step", action="store_true", help="Ask before each step whether to run it.")
        parser.add_argument(
            "--format",
            choices=sorted(reporters.REPORTERS),
            help="Default: rich on a terminal, github in a job of GitHub Actions, plain elsewhere.",
        )
        parser.add_argument("--junit", metavar="FILE", help="Write a JUnit report, whole, at the end.")
        parser.add_argument("--log-dir", metavar="DIR", help="Write the whole output of each command as it comes.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with frozen_heap():
                exit_code = self._run(options)
        except RunbookError as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        except Exception:  # noqa: BLE001 - a fault of ours has an exit code of its own
            self.stderr.write(traceback.format_exc(), style_func=str)
            self.stderr.write("This is a fault of django-runbook: please report it with the lines above.")
            exit_code = ExitCode.FAULT
        if exit_code != ExitCode.SUCCEEDED:
            sys.exit(exit_code)

    def _run(self, options: dict[str, Any]) -> int:
        configuration = conf.read()
        path, name = lookup.find(options["file"], configuration)
        loaded = checking.load(path, name=name, configuration=configuration)
        if loaded.runbook is None:
            self._tell(loaded, loaded.diagnostics, options, mask=masking.masker(()))
            raise InvalidRunbook(f"{loaded.path}: nothing was run.")
        runbook = loaded.runbook
        given = inputs.Given(
            params=_params(options["param"]),
            environ=os.environ,
            now=checking.now(),
            run={"id": uuid.uuid4().hex, "name": runbook.name, "file": runbook.path},
        )
        known = inputs.resolve(runbook, given)
        verbosity = options["verbosity"]
        binder = checking.new_binder(verbosity=None if verbosity == 1 else verbosity)
        lacking: frozenset[str] = frozenset()
        if options["dry_run"]:
            runbook, lacking = dry_run.prepare(runbook, binder.catalog)
        planned = plan(runbook, known, binder)
        mask = masking.masker(known.all_secrets.values())
        self._tell(loaded, [*loaded.diagnostics, *planned.diagnostics], options, mask=mask)
        is_shown = options["plan"] or options["list"]
        problems = [problem for problem in known.problems if not (is_shown and problem.kind == "secret")]
        if problems:
            raise InvalidUsage("\n".join(map(str, problems)))
        chosen = selection.leave_out(planned.outline, _selection(options))
        if is_shown:
            show = listing.steps if options["list"] else listing.plan
            self.stdout.write(show(planned, chosen, mask=mask), ending="")
            return ExitCode.SUCCEEDED
        settings = runner.Settings(
            left_out=chosen,
            lacks_dry_run=lacking,
            is_dry_run=options["dry_run"],
            keeps_going=options["keep_going"],
            is_strict=options["strict"],
            answers_yes=options["yes"],
            asks_before_steps=options["step"],
        )
        return self._execute(planned, settings, binder, mask, options, configuration).exit_code

    def _tell(
        self, loaded: checking.Loaded, found: Sequence[Diagnostic], options: dict[str, Any], *, mask: masking.Mask
    ) -> None:
        """Show all that was found; errors end the command before anything runs."""
        diagnostics = in_order(found)
        if not diagnostics:
            return
        is_coloured = options["force_color"] or (self.stderr.isatty() and not options["no_color"])
        shown = render.render_text(diagnostics, path=loaded.path, lines=loaded.lines, is_coloured=is_coloured)
        self.stderr.write(mask(shown), style_func=str, ending="")
        if has_errors(diagnostics):
            raise InvalidRunbook(f"{loaded.path}: nothing was run.")

    def _execute(
        self,
        planned: Plan,
        settings: runner.Settings,
        binder: Any,
        mask: masking.Mask,
        options: dict[str, Any],
        configuration: conf.Configuration,
    ) -> RunResult:
        stream = getattr(self.stdout, "_out", sys.stdout)
        reporter = reporters.build(
            options["format"] or reporters.choose(stream),
            stream=stream,
            verbosity=options["verbosity"],
            no_color=options["no_color"],
            force_color=options["force_color"],
        )
        files = [reporters.build_file(name, options[name]) for name in reporters.FILES if options[name]]
        emit = FanOut([reporter, *files], errors=getattr(self.stderr, "_out", sys.stderr))
        stop = Stop(timeout_seconds=configuration.stop_timeout_seconds)
        stop.on_stop = lambda name, is_immediate: emit.report(
            events.StopRequested(at=checking.now(), signal_name=name, is_immediate=is_immediate)
        )
        try:
            with KnownConnections() as connections, empty_input() as original, stop:
                stop.cancel = connections.cancel_statements
                ask = _asker(original, stream)
                if settings.asks_before_steps and ask is None:
                    raise InvalidUsage("--step asks before each step, and there is no terminal to ask at")
                with ProcessExecutor(
                    stop=stop,
                    mask=mask,
                    secrets=tuple(planned.inputs.all_secrets.values()),
                    commands=planned.commands,
                    grace_seconds=configuration.stop_timeout_seconds,
                ) as isolate:
                    around = runner.Surroundings(
                        execute=InlineExecutor(stop=stop, mask=mask, before=hygiene.take(connections)),
                        isolate=isolate,
                        atomically=lambda step_id, call: atomically(call),
                        new_lock=locks.new_factory(directory=None, what=f"run_runbook {planned.runbook.path}"),
                        emit=emit,
                        binder=binder,
                        stop=stop,
                        mask=mask,
                        ask=ask,
                    )
                    return runner.run(planned, settings, around)
        finally:
            emit.close()
            _settle(stream)


def _settle(stream: IO[str]) -> None:
    """Where nobody reads any more, keep Python from failing at its end: the exit code belongs to the run."""
    try:
        stream.flush()
    except BrokenPipeError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _asker(answers: IO[str] | None, stream: IO[str]) -> Callable[[str], str] | None:
    if answers is None or not answers.isatty():
        return None

    def ask(text: str) -> str:
        stream.write(f"{text} ")
        stream.flush()
        return answers.readline().strip().lower()

    return ask


def _params(texts: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise InvalidUsage(f"--param {text}: write it as NAME=VALUE")
        if name in given:
            raise InvalidUsage(f"--param {name} is given twice")
        given[name] = value
    return given


def _selection(options: dict[str, Any]) -> selection.Selection:
    def split(values: list[str]) -> tuple[str, ...]:
        return tuple(part for value in values for part in value.split(",") if part)

    return selection.Selection(
        only=split(options["only"]),
        skip=split(options["skip"]),
        start_at=options["start_at"],
        tags=split(options["tags"]),
        skip_tags=split(options["skip_tags"]),
    )
