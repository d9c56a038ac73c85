"""``manage.py run_runbook FILE``: puts the rooms of the house together for one run."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import re
import sys
import traceback
import uuid
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Final

from django.core.management.base import CommandError
from django.db import connections

from django_runbook import checking, command_lines, conf, events, lookup, reporters
from django_runbook.binding.binder import Binder
from django_runbook.conf import DEFAULT_STOP_TIMEOUT_SECONDS
from django_runbook.document import inputs, render
from django_runbook.document.diagnostics import Diagnostic, has_errors, in_order
from django_runbook.document.outline import may_isolate
from django_runbook.exceptions import InvalidRunbook, InvalidUsage, RunbookError
from django_runbook.executors import descriptors
from django_runbook.executors.calling import PassedChecks
from django_runbook.executors.inline import InlineExecutor
from django_runbook.executors.process import ProcessExecutor
from django_runbook.executors.spawner import Spawner
from django_runbook.journal import new_run
from django_runbook.journal.listener import Journal
from django_runbook.journal.opening import JournalFactory
from django_runbook.locks import factory as locks
from django_runbook.locks import space
from django_runbook.locks.base import Lock
from django_runbook.locks.watching import retaken
from django_runbook.management.output import CleanCommand, prepare_capture
from django_runbook.planning import dry_run, listing, selection
from django_runbook.planning.plan import Plan, plan
from django_runbook.process import isolation as process_isolation
from django_runbook.process import masking, snapshot
from django_runbook.process.connections import KnownConnections
from django_runbook.process.files import kept_open
from django_runbook.process.frozen_gc import frozen_heap
from django_runbook.process.isolation import Isolation
from django_runbook.process.stopping import Stop
from django_runbook.process.streams import empty_input, tidy_text
from django_runbook.reporters.fan_out import FanOut
from django_runbook.results import ExitCode, RunResult
from django_runbook.resume import resumed_run
from django_runbook.resume.choices import ResumeChoices
from django_runbook.resume.remaining import remaining_steps
from django_runbook.runner import outcomes, questions
from django_runbook.runner import run as runner
from django_runbook.runner.context import RunContext, RunOptions
from django_runbook.runner.recorder import NoRecorder
from django_runbook.signals import SignalSender

# What the machine has no more of: descriptors, processes, memory, room on a disk.
_EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    plan: Plan
    settings: RunOptions
    binder: Binder
    mask: masking.Mask
    new_lock: Callable[[str], Lock]
    journal: Journal | None
    isolation: Isolation
    spawner: Spawner
    stop: Stop


class Command(CleanCommand):
    help = "Run the management commands of a runbook in order, after all of them have been checked."
    requires_system_checks = ()
    # Of the secrets, as soon as they are known.
    _mask: masking.Mask = staticmethod(str)

    def get_version(self) -> str:
        return command_lines.version()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="Run this runbook; the suffix is optional.")
        parser.add_argument(
            "--param", action="append", default=[], metavar="NAME=VALUE", help="Set a parameter; may be repeated."
        )
        shown = parser.add_mutually_exclusive_group()
        shown.add_argument("--plan", action="store_true", help="Show each step with its arguments, and stop.")
        shown.add_argument("--list", action="store_true", help="Show the steps with their ids and tags, and stop.")
        parser.add_argument("--only", action="append", default=[], metavar="ID", help="Run only this step or group.")
        parser.add_argument(
            "--skip",
            action="append",
            default=[],
            metavar="ID",
            help="Leave this step or group out; with --resume: count the step as done.",
        )
        parser.add_argument("--start-at", metavar="ID", help="Leave out all steps before ID.")
        parser.add_argument("--tags", action="append", default=[], metavar="TAG", help="Run only steps with this tag.")
        parser.add_argument("--skip-tags", action="append", default=[], metavar="TAG", help="Leave steps with it out.")
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="Give --dry-run to each command that has it and show what it prints; skip the others.",
        )
        parser.add_argument(
            "--keep-going", action="store_true", help="Continue after a failed step, and fail at the end."
        )
        parser.add_argument("--strict", action="store_true", help="Exit with 1 also where the run ends with a warning.")
        parser.add_argument("--yes", action="store_true", help="Answer every question of the runbook with yes.")
        parser.add_argument("--step", action="store_true", help="Ask before each step whether to run it.")
        parser.add_argument(
            "--format",
            choices=sorted(reporters.REPORTERS),
            help="Default: rich on a terminal, github in a job of GitHub Actions, plain elsewhere.",
        )
        parser.add_argument(
            "--resume",
            nargs="?",
            const="",
            metavar="RUN",
            help="Resume RUN, given by the first characters of its id; without RUN the newest one.",
        )
        parser.add_argument(
            "--rerun",
            action="append",
            default=[],
            metavar="ID",
            help="With --resume: run this step again although it was interrupted or done.",
        )
        parser.add_argument(
            "--accept-changes",
            action="store_true",
            help="With --resume: continue although completed steps have changed.",
        )
        parser.add_argument("--no-journal", action="store_true", help="Do not record the run.")
        parser.add_argument("--junit", metavar="FILE", help="Write a JUnit report, whole, at the end.")
        parser.add_argument("--log-dir", metavar="DIR", help="Write the whole output of each command as it comes.")

        parser.add_argument(
            "--inline", action="store_true", help="Run all steps in this process, for a debugger; timeouts do nothing."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if self._owns_process:
            descriptors.fill_standard()
        stop = Stop(timeout_seconds=DEFAULT_STOP_TIMEOUT_SECONDS, exits=self._owns_process)
        try:
            with contextlib.ExitStack() as stack:
                for wrapper in (self.stdout, self.stderr):
                    _open_if_closed(wrapper, stack)
                exit_code, message = self._run(options, stop)
        finally:
            # The host of this run, which had the signals before, learns of them now.
            if not self._owns_process:
                stop.hand_back()
        if exit_code == ExitCode.SUCCEEDED:
            return
        if self._owns_process:
            sys.exit(exit_code)
        raise CommandError(message, returncode=exit_code)

    def _run(self, options: dict[str, Any], stop: Stop) -> tuple[int, str]:
        """Run a runbook; return the exit code, and what a caller should read where it is not 0."""
        try:
            with frozen_heap(), contextlib.ExitStack() as stack:
                result = self._run_within(stack, options, stop)
        except RunbookError as error:
            # Its causes may hold secrets.
            raise CommandError(tidy_text(str(error), self._mask), returncode=error.exit_code) from None
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                return self._report_bug()
            raise CommandError(f"the run ended: {error.strerror}", returncode=ExitCode.FAILED) from None
        except Exception:  # noqa: BLE001 - an internal error has an exit code of its own
            return self._report_bug()
        if result is None:
            return ExitCode.SUCCEEDED, ""
        return result.exit_code, tidy_text(outcomes.in_one_line(result), self._mask)

    def _report_bug(self) -> tuple[int, str]:
        """Write the traceback of an internal error; called in its ``except``."""
        self.stderr.write(tidy_text(traceback.format_exc(), self._mask), style_func=str)
        self.stderr.write("This is an internal error of django-runbook: please report it with the lines above.")
        return ExitCode.INTERNAL_ERROR, "internal error of django-runbook: its traceback was written to standard error"

    @property
    def _owns_process(self) -> bool:
        """Whether this process was started for this run: then it may be forked, and ends with the run."""
        return bool(getattr(self, "_called_from_command_line", False))

    def _run_within(self, stack: contextlib.ExitStack, options: dict[str, Any], stop: Stop) -> RunResult | None:
        configuration = conf.read()
        stop.timeout_seconds = configuration.stop_timeout_seconds
        path, name = lookup.find(options["file"], configuration)
        _check_resume(options, configuration)
        key = lookup.key_of(path, configuration)
        new_lock = locks.new_factory(configuration, what=f"run_runbook {name}")
        loaded = checking.load(path, name=name, configuration=configuration)
        if loaded.runbook is None:
            self._tell(loaded, loaded.diagnostics, options, mask=masking.masker(()))
            raise InvalidRunbook(f"{loaded.path}: nothing was run")
        runbook = loaded.runbook
        self._mask = masking.masker(inputs.secrets_of(runbook, os.environ).values())
        is_shown = options["plan"] or options["list"]
        is_forkable = process_isolation.can_fork(owns_process=self._owns_process)
        isolation = process_isolation.choose(
            is_inline=options["inline"], is_default=configuration.isolates, is_forkable=is_forkable
        )
        spawner = Spawner(can_be_set_up=process_isolation.can_be_set_up())
        stack.callback(spawner.close)
        if not is_shown and isolation.is_possible and may_isolate(runbook, is_default=isolation.is_default):
            # Before anything connects to a database.
            _start_server(spawner, is_forkable=is_forkable)
        resumed: resumed_run.ResumedRun | None = None
        if options["resume"] is not None:
            resumed = resumed_run.acquire(
                key,
                options["resume"],
                new_lock=new_lock,
                on_retaken=lambda name: self._warn(retaken(name)),
                on_wait=lambda holder: self._warn(f"waiting for {holder}"),
            )
            stack.callback(resumed.lock.close)
        params = _params(options["param"])
        names = {"id": uuid.uuid4().hex, "name": runbook.name, "file": runbook.path}
        given = inputs.Given(params=params, environ=os.environ, now=checking.now(), run=names)
        if resumed is not None:
            declared = [param.name for param in runbook.params]
            given = resumed.given(
                params,
                environ=os.environ,
                names=names,
                declared=declared,
                accepts_changes=options["accept_changes"],
            )
        known = inputs.resolve(runbook, given)
        verbosity = options["verbosity"]
        may_record = configuration.has_journal and runbook.is_recorded
        is_recorded = may_record and not options["no_journal"] and not options["dry_run"]
        binder = checking.new_binder(is_recorded=is_recorded, verbosity=None if verbosity == 1 else verbosity)
        lacking: frozenset[str] = frozenset()
        if options["dry_run"]:
            runbook, lacking = dry_run.prepare(runbook, binder.catalog)
        planned = plan(runbook, known, binder)
        mask = self._mask = masking.masker(known.all_secrets.values())
        self._tell(loaded, [*loaded.diagnostics, *planned.diagnostics], options, mask=mask)
        problems = [problem for problem in known.problems if not (is_shown and problem.kind == "secret")]
        if problems:
            raise InvalidUsage("\n".join(map(str, problems)))
        selected = _selection(options) if resumed is None else resumed.selection
        chosen = selection.unselected_steps(planned.outline, selected)
        if is_shown:
            show = listing.steps if options["list"] else listing.plan
            self.stdout.write(show(planned, chosen, mask=mask), ending="")
            return None
        before = {} if resumed is None else resumed.options
        kept = {name: options[name] or bool(before.get(name)) for name in ("keep_going", "strict")}
        settings = RunOptions(
            left_out=chosen,
            lacks_dry_run=lacking,
            is_dry_run=options["dry_run"],
            keeps_going=kept["keep_going"],
            is_strict=kept["strict"],
            answers_yes=options["yes"],
            asks_before_steps=options["step"],
        )
        journals = JournalFactory(plan=planned, mask=mask, new_lock=new_lock, warn=self._warn)
        journal: Journal | None = None
        if resumed is not None:
            choices = ResumeChoices(
                rerun=_split(options["rerun"]), skip=_split(options["skip"]), accepts_changes=options["accept_changes"]
            )
            ask = questions.at_terminal(sys.stdin, getattr(self.stdout, "_out", sys.stdout))
            # No answer is none of the two: then the command says what they are.
            asked = None if ask is None else lambda text: ask(text) or ""
            remaining = remaining_steps(resumed.run, choices, plan=planned, unselected=chosen, ask=asked, mask=mask)
            settings = dataclasses.replace(settings, past=remaining.past, attempt=resumed.run.attempt_count + 1)
            journal = journals.open_resumed(
                resumed.run,
                resumed.lock,
                attempts=remaining.attempts,
                skipped_pks=remaining.skipped_pks,
                given=tuple(params),
                options=kept,
            )
        elif is_recorded:
            recorded = new_run.stored_options(selected, **kept)
            journal = journals.open_new(path=path, runbook=key, given=tuple(params), options=recorded)
        if journal is not None:
            stack.callback(journal.close)
            line = command_lines.resume_command(
                options["file"],
                journal.run_id,
                options=options,
                withheld=journal.withheld_params,
                owns_process=self._owns_process,
            )
            settings = dataclasses.replace(settings, resume_command=mask(line))
        call = _Call(
            plan=planned,
            settings=settings,
            binder=binder,
            mask=mask,
            new_lock=new_lock,
            journal=journal,
            isolation=isolation,
            spawner=spawner,
            stop=stop,
        )
        return self._execute(call, options, stack)

    def _warn(self, text: str) -> None:
        self.stderr.write(self._mask(text), style_func=str)

    def _tell(
        self, loaded: checking.Loaded, found: Sequence[Diagnostic], options: dict[str, Any], *, mask: masking.Mask
    ) -> None:
        """Show all that was found; errors end the command before anything runs."""
        diagnostics = in_order(found)
        if not diagnostics:
            return
        is_coloured = options["force_color"] or (self.stderr.isatty() and not options["no_color"])
        shown = render.render_text(diagnostics, path=loaded.path, lines=loaded.lines, is_coloured=is_coloured)
        self.stderr.write_colored(mask(shown).removesuffix("\n"))
        if has_errors(diagnostics):
            raise InvalidRunbook(f"{loaded.path}: nothing was run")

    def _execute(self, call: _Call, options: dict[str, Any], stack: contextlib.ExitStack) -> RunResult:
        journal, mask = call.journal, call.mask
        stream = getattr(self.stdout, "_out", sys.stdout)
        # A debugger needs the terminal.
        keeps_terminal = options["inline"] and sys.stdin is not None and sys.stdin.isatty()
        format_ = options["format"] or reporters.choose(stream)
        raw = None if keeps_terminal or not self._owns_process else prepare_capture(self, stack, mask=mask)
        stream = getattr(self.stdout, "_out", sys.stdout)
        reporter = reporters.build(
            format_,
            stream=stream,
            verbosity=options["verbosity"],
            no_color=options["no_color"],
            force_color=options["force_color"],
        )
        files = {_flag(name): reporters.build_file(name, options[name]) for name in reporters.FILES if options[name]}
        errors = getattr(self.stderr, "_out", sys.stderr)
        critical = () if journal is None else (journal,)
        listeners = [reporter, SignalSender(errors=errors, mask=mask)]
        emit = FanOut(listeners, files=files, critical=critical, errors=errors, mask=mask)
        stop = call.stop
        stop.on_stop = lambda name, is_immediate: emit.report_meanwhile(
            events.StopRequested(at=checking.now(), signal_name=name, is_immediate=is_immediate)
        )
        if journal is not None:
            journal.report_waiting(
                lambda reason: emit.report(events.HistoryAwaited(at=checking.now(), reason=tidy_text(reason, mask)))
            )
            journal.report_retaken(lambda name: emit.report_meanwhile(events.LockRetaken(at=checking.now(), name=name)))
        try:
            with (
                KnownConnections() as known,
                empty_input(is_kept=keeps_terminal) as original,
                kept_open() as open_files,
                stop,
            ):
                stop.cancel = known.cancel_statements
                ask = questions.at_terminal(original, stream)
                if call.settings.asks_before_steps and ask is None:
                    raise InvalidUsage("--step asks before each step, and there is no terminal to ask at")
                checks = PassedChecks()
                with ProcessExecutor(
                    stop=stop,
                    mask=mask,
                    spawner=call.spawner,
                    secrets=tuple(call.plan.inputs.all_secrets.values()),
                    commands=call.plan.commands,
                    grace_seconds=stop.timeout_seconds,
                    checks=checks,
                ) as isolate:
                    context = RunContext(
                        execute=InlineExecutor(
                            stop=stop,
                            mask=mask,
                            before=snapshot.take(known),
                            files=open_files,
                            reopen=(lambda: None) if journal is None else journal.reconnect,
                            keeps_terminal=keeps_terminal,
                            raw_output=raw,
                            checks=checks,
                        ),
                        isolate=isolate,
                        isolation=call.isolation,
                        recorder=NoRecorder() if journal is None else journal,
                        new_lock=call.new_lock,
                        space=space.on_this_host(),
                        emit=emit,
                        write_files=emit.write_files,
                        binder=call.binder,
                        stop=stop,
                        mask=mask,
                        ask=ask,
                    )
                    return runner.run(call.plan, call.settings, context)
        finally:
            emit.close()
            _settle(stream)


def _open_if_closed(wrapper: Any, stack: contextlib.ExitStack) -> None:
    """Give a run that was started without a standard stream one that goes nowhere."""
    if getattr(wrapper, "_out", wrapper) is None:
        nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - the stack closes it
        wrapper._out = stack.enter_context(nowhere)


def _start_server(spawner: Spawner, *, is_forkable: bool) -> None:
    """Start what forks the steps, while the run is still being checked."""
    if not is_forkable:
        spawner.start_server()
        return
    # An app may have asked the database when it became ready.
    connections.close_all()
    spawner.fork_server()


def _settle(stream: IO[str]) -> None:
    """Where nobody reads any more, keep Python from failing at its end: the exit code belongs to the run."""
    try:
        stream.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


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
    return selection.Selection(
        only=_split(options["only"]),
        skip=_split(options["skip"]),
        start_at=options["start_at"],
        tags=_split(options["tags"]),
        skip_tags=_split(options["skip_tags"]),
    )


def _split(values: list[str]) -> tuple[str, ...]:
    # The ids of items hold commas too: import[1,2].
    return tuple(part for value in values for part in re.split(r",(?![^\[]*\])", value) if part)


def _check_resume(options: dict[str, Any], configuration: conf.Configuration) -> None:
    if options["resume"] is None:
        for name in ("rerun", "accept_changes"):
            if options[name]:
                raise InvalidUsage(f"{_flag(name)} belongs to --resume")
        return
    for name in ("only", "start_at", "tags", "skip_tags"):
        if options[name]:
            raise InvalidUsage(f"{_flag(name)}: a run that is resumed keeps the selection that it began with")
    for name in ("plan", "list", "dry_run", "no_journal"):
        if options[name]:
            raise InvalidUsage(f"{_flag(name)} cannot be combined with --resume")
    if not configuration.has_journal:
        raise InvalidUsage('there is no journal to resume from: RUNBOOK["JOURNAL"] is False')


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
