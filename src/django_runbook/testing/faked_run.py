"""Runs a runbook with fakes in place of its commands: ``run`` checks, plans and runs the real file."""

from __future__ import annotations

import datetime
import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from django.utils import timezone

from django_runbook import checking, clock, conf, events, lookup
from django_runbook.binding.binder import Binder
from django_runbook.checking import Loaded
from django_runbook.document import inputs
from django_runbook.document.diagnostics import has_errors, in_order
from django_runbook.document.formats import render
from django_runbook.document.runbook import CommandStep, Runbook
from django_runbook.exceptions import InvalidRunbook, InvalidUsage
from django_runbook.planning import listing, selection
from django_runbook.planning.plan import Plan
from django_runbook.planning.selection import Selection
from django_runbook.process import masking
from django_runbook.process.isolation import Isolation
from django_runbook.process.stopping import Stop
from django_runbook.results import RunResult, RunStatus
from django_runbook.runner import run as runner
from django_runbook.runner.context import RunContext, RunOptions
from django_runbook.runner.recorder import NoRecorder
from django_runbook.structs import Struct
from django_runbook.testing.fakes import FakeCall, FakeCommands, UnfakedCommandError, names_of, unknown_fakes
from django_runbook.testing.free_lock import FreeLock


class FakedRun(Struct):
    """Holds what a run did: its result, the calls that it made, and the outputs that steps have captured, by step id.

    ``plan`` is what ``run_runbook --plan`` prints.
    """

    result: RunResult
    calls: tuple[FakeCall, ...]
    outputs: Mapping[str, object]
    plan: str
    events: tuple[events.Event, ...]

    @property
    def status(self) -> RunStatus:
        """Return the status of the run, which equals its name: ``"succeeded"``."""
        return self.result.status

    @property
    def exit_code(self) -> int:
        return self.result.exit_code

    @property
    def statuses(self) -> dict[str, str]:
        """Return the status of each step by its id, in the order in which the steps ended."""
        return {step.step_id: step.status.value for step in self.result.steps}

    def calls_of(self, name: str) -> list[FakeCall]:
        """Return the calls of a command, or of a step."""
        return [call for call in self.calls if name in names_of(call.step_id, call.command)]


class _Outputs(NoRecorder):
    """Keeps what steps capture."""

    def __init__(self) -> None:
        self.by_step: dict[str, object] = {}

    def keep_output(self, step_id: str, output: object) -> None:
        self.by_step[step_id] = output


def run(  # noqa: PLR0913 - each is a word of a test
    path: str | os.PathLike[str],
    *,
    params: Mapping[str, object] | None = None,
    fake: Mapping[str, object] | None = None,
    now: datetime.date | None = None,
    env: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    selected: Selection | None = None,
    yes: bool = True,
) -> FakedRun:
    """Run a runbook, found as ``run_runbook`` finds it, with fakes in place of its commands; nothing is recorded.

    ``fake`` maps a command or the id of a step to an output (a string, or a mapping that becomes JSON), an exit code,
    an exception, a list of those with one entry for each attempt, or a function that receives the `FakeCall` and
    returns one. ``params`` are strings as on the command line, or native values. ``now`` is the start of the run.
    ``env`` are the environment variables; that of the process is not read. ``secrets`` have made-up values unless they
    are given. ``yes`` answers each ``confirm``.

    Steps run one after another, also those of ``parallel``; retries do not wait; locks are free. Raises
    UnfakedCommandError if a command without a fake was called, the AssertionError of a function, InvalidRunbook for an
    invalid file, and InvalidUsage for an invalid parameter.
    """
    configuration = conf.read()
    binder = checking.new_binder(is_recorded=configuration.has_journal)
    found = lookup.find(os.fspath(path), configuration)[0]
    loaded = checking.load(found, name=lookup.label(found), configuration=configuration)
    runbook = _readable(loaded)
    given = _given(runbook, params or {}, now=now, env=env or {}, secrets=secrets or {})
    planned = checking.plan_with(given, runbook, binder=binder, configuration=configuration)
    _refuse_problems(loaded, planned)
    chosen = selection.unselected_steps(planned.outline, selected or Selection())
    return _run_faked(planned, chosen, binder=binder, fake=fake or {}, yes=yes)


def _readable(loaded: Loaded) -> Runbook:
    if loaded.runbook is None:
        raise InvalidRunbook(_shown(loaded, loaded.diagnostics))
    return loaded.runbook


def _shown(loaded: Loaded, found: Collection[Any]) -> str:
    return render.render_text(list(found), path=loaded.path, lines=loaded.lines, is_colored=False)


def _given(
    runbook: Runbook,
    params: Mapping[str, object],
    *,
    now: datetime.date | None,
    env: Mapping[str, str],
    secrets: Mapping[str, str],
) -> inputs.GivenInputs:
    declared = inputs.names_of_secrets(runbook)
    for kind, given, known in (
        ("secret", secrets, declared),
        ("environment variable", env, inputs.names_of_env(runbook)),
    ):
        for name in given:
            if name not in known:
                raise InvalidUsage(f'the runbook has no {kind} "{name}"')
    return inputs.GivenInputs(
        params={name: value for name, value in params.items() if isinstance(value, str)},
        values={name: value for name, value in params.items() if not isinstance(value, str)},
        environ={**env, **{name: f"made-up {name}" for name in declared}, **secrets},
        now=clock.now() if now is None else _moment(now),
        run={"id": "test", "name": runbook.name, "file": runbook.path},
    )


def _moment(now: datetime.date) -> datetime.datetime:
    moment = now if isinstance(now, datetime.datetime) else datetime.datetime.combine(now, datetime.time.min)
    return timezone.make_aware(moment) if timezone.is_naive(moment) else timezone.localtime(moment)


def _refuse_problems(loaded: Loaded, planned: Plan) -> None:
    diagnostics = in_order([*loaded.diagnostics, *planned.diagnostics])
    if has_errors(diagnostics):
        raise InvalidRunbook(_shown(loaded, diagnostics))
    if planned.inputs.problems:
        raise InvalidUsage("\n".join(map(str, planned.inputs.problems)))


def _commands_of(planned: Plan) -> Iterator[tuple[str, str]]:
    for steps in (planned.outline, planned.steps):
        for step_id, one in steps.items():
            if isinstance(one.step, CommandStep):
                yield step_id, str(one.step.command[0].value)


def _run_faked(
    planned: Plan, unselected: Mapping[str, str], *, binder: Binder, fake: Mapping[str, object], yes: bool
) -> FakedRun:
    if problems := unknown_fakes(fake, list(_commands_of(planned))):
        raise UnfakedCommandError("\n".join(problems))
    mask = masking.masker(planned.inputs.all_secrets.values())
    faked, outputs, happened = FakeCommands(fake, mask), _Outputs(), list[events.Event]()

    def emit(event: events.Event) -> None:
        faked.listen(event)
        happened.append(event)

    context = RunContext(
        execute=faked.execute,
        isolate=faked.execute,
        isolation=Isolation(reason="the commands are fakes", judges_timeouts=False),
        new_lock=FreeLock,
        emit=emit,
        binder=binder,
        stop=Stop(),
        mask=mask,
        waits_for_retries=False,
        recorder=outputs,
    )
    result = runner.run(planned, RunOptions(unselected=unselected, answers_yes=yes), context)
    if faked.assertion is not None:
        raise faked.assertion
    if faked.problems:
        raise UnfakedCommandError("\n".join(faked.problems))
    return FakedRun(
        result=result,
        calls=tuple(faked.calls),
        outputs=outputs.by_step,
        plan=listing.show_plan(planned, unselected, mask=mask),
        events=tuple(happened),
    )
