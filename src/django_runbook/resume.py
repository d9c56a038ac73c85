"""Judge what is left of a run by its rows: what is done, what runs again, and what is in doubt."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import Error, transaction

from django_runbook.binding import catalog
from django_runbook.document.expressions import ExpressionError
from django_runbook.document.inputs import Inputs, is_resolvable
from django_runbook.document.loops import digest_of, items_of, label_of, other_item
from django_runbook.document.outline import Entry
from django_runbook.document.runbook import CommandStep, Step
from django_runbook.exceptions import InvalidUsage, JournalLost, LockHeld
from django_runbook.journal import beginning, unreadable
from django_runbook.journal.definitions import Definitions, expressions_of, key_of
from django_runbook.models import RUNNING, UNFINISHED, Run, StepRun
from django_runbook.planning.plan import Plan
from django_runbook.process.masking import Mask
from django_runbook.repeating import Repeatable
from django_runbook.results import Failure, Role, RunStatus, StepResult, StepStatus
from django_runbook.runner.past import Past, PastItem, PastStep
from django_runbook.runner.policy import UNTIL, UNTIL_NOT_MET

# What a person at the terminal is asked, and the words that are understood.
Ask = Callable[[str], str]
_AGAIN, _DONE, _STOP = ("r", "rerun"), ("s", "skip"), ("", "n", "no")
_SHOWN_RUNS: Final = 5
_COUNTED: Final = "counted as done by --skip"
_STOPPED: Final = "the run was stopped"
_NEW_RUN: Final = "start a new run, without --resume"
_ENDS: Final = {RunStatus.WARNING.value: "ended with a warning"}
_SUCCEEDED, _SKIPPED = StepStatus.SUCCEEDED.value, StepStatus.SKIPPED.value
_FAILED = frozenset((StepStatus.FAILED.value, StepStatus.TIMED_OUT.value))
# Why a step failed whose command had succeeded: what it waits for is not true yet, or has no value.
_WAITING = frozenset((UNTIL_NOT_MET, ExpressionError.__name__))
_CUT_OFF = frozenset((RUNNING, StepStatus.INTERRUPTED.value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Holds the answers to steps that were interrupted: ``rerun`` runs them again, ``skip`` counts them as done."""

    rerun: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    accepts_changes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Holds what an earlier attempt leaves to the runner, and to the journal: the numbers of attempts that are used.

    ``counted`` are the keys of the rows that a person counts as done.
    """

    past: Past = field(default_factory=Past)
    attempts: Mapping[str, int] = field(default_factory=dict)
    counted: tuple[int, ...] = ()


def find(runbook: str, asked: str, *, using: str, is_ours: bool = False) -> Run:
    """Find the run to resume: the one whose id begins with ``asked``, else the newest of the runbook that had begun.

    ``is_ours`` says that its lock is held, so that no process of it is about to begin.
    """
    try:
        run = _asked(runbook, asked, using=using) if asked else _newest(runbook, using=using)
        _refuse_finished(run, names_older=not asked, using=using)
        if is_ours or run.status != RUNNING:
            _refuse_not_begun(run, using=using)
    except Error as error:
        why = unreadable.reason(error, using=using)
        if unreadable.has_no_tables(using):
            raise InvalidUsage(f"there is no run to resume: {why}; {_NEW_RUN}") from error
        raise JournalLost(why, what=unreadable.CANNOT_BE_READ) from error
    return run


def _refuse_finished(run: Run, *, names_older: bool, using: str) -> None:
    if run.status == RunStatus.REFUSED:
        raise InvalidUsage(f"the run {run.id} was refused, and nothing of it was run: {_NEW_RUN} ({run.reason})")
    if run.status in {RUNNING, *UNFINISHED}:
        return
    message = f"the run {run.id} has {_ENDS.get(run.status, run.status)}: there is nothing to resume"
    older = Run.objects.using(using).of(run.runbook).unfinished().newest_first()[:_SHOWN_RUNS]
    if names_older and older:
        message += "; older runs are unfinished: " + ", ".join(f"--resume {one.id}" for one in older)
    raise InvalidUsage(message)


def _refuse_not_begun(run: Run, *, using: str) -> None:
    if not Run.objects.using(using).begun().filter(pk=run.pk).exists():
        why = f" ({run.reason})" if run.reason else ""
        raise InvalidUsage(f"the run {run.id} had not begun when it ended, and nothing of it was run: {_NEW_RUN}{why}")


def left_of(  # noqa: PLR0913 - all that decides about a step
    run: Run,
    definitions: Definitions,
    answers: Answers,
    *,
    left_out: Mapping[str, str],
    using: str,
    ask: Ask | None,
    mask: Mask,
    repeatable: Repeatable,
) -> Left:
    """Judge what is left of a run; raises InvalidUsage if it cannot be resumed as things are.

    ``left_out`` are the keys of the steps that its selection leaves out, each with the reason.
    """
    for name in answers.rerun:
        if reason := left_out.get(key_of(name)):
            raise InvalidUsage(f"--rerun {name}: the run began without it ({reason})")
    rows = _rows(run, using=using)
    steps = rows.latest
    again = _named_again(rows, answers, definitions.plan)
    if not answers.accepts_changes:
        _refuse_changes(steps.values(), definitions)
    _refuse_other_items(rows, definitions.plan, mask=mask)
    opened = again | {group_id for step_id in again for group_id in steps[step_id].group_ids}
    judged = _Judge(steps, plan=definitions.plan, answers=answers, ask=ask, repeatable=repeatable).judge(opened)
    done = {step_id: rows.past(step_id) for step_id in judged.done if step_id not in opened}
    _refuse_missing_outputs(steps, done, definitions)
    past = Past(
        done=done,
        done_inside={
            step_id: rows.past(step_id)
            for step_id, row in steps.items()
            if step_id not in done and row.status != RUNNING and not done.keys().isdisjoint(row.group_ids)
        },
        started=frozenset(rows.started),
        succeeded_counts=rows.succeeded,
        items={
            step_id: PastItem(name=row.name, item_hash=row.item_hash)
            for step_id, row in steps.items()
            if _is_known_item(row) and step_id not in again
        },
        has_failed_handler=rows.has_failed_handler_in(done),
    )
    return Left(past=past, attempts=rows.attempts, counted=tuple(judged.counted))


def take_over(run: Run, left: Left, *, using: str, at: Any, columns: Mapping[str, Any]) -> None:
    """Make the run this process's; raises LockHeld if another one was faster. ``columns`` are what is new in it."""
    with transaction.atomic(using=using):
        if not run.take_over(beginning.new_owner(), using=using, at=at, **columns):
            raise LockHeld(f"another process has resumed the run {run.id}")
        for row in StepRun.objects.using(using).filter(pk__in=left.counted).only("status"):
            row.finish(StepStatus.SKIPPED, using=using, reason=_COUNTED)


def _asked(runbook: str, asked: str, *, using: str) -> Run:
    found = list(Run.objects.using(using).filter(pk__startswith=asked).newest_first()[: _SHOWN_RUNS + 1])
    if not found:
        raise InvalidUsage(f"there is no run whose id begins with {asked}")
    if len(found) > 1:
        raise InvalidUsage(f"several runs begin with {asked}: {', '.join(run.id for run in found[:_SHOWN_RUNS])}")
    if found[0].runbook != runbook:
        raise InvalidUsage(f"the run {found[0].id} is one of {found[0].runbook}, not of {runbook}")
    return found[0]


def _newest(runbook: str, *, using: str) -> Run:
    runs = Run.objects.using(using).of(runbook).newest_first()
    run = runs.begun().first()
    if run is not None:
        return run
    last = runs.first()
    if last is None:
        raise InvalidUsage(f"there is no run of {runbook} to resume")
    state = "was refused" if last.status == RunStatus.REFUSED else "had not begun"
    raise InvalidUsage(f"there is no run of {runbook} to resume: the newest one, {last.id}, {state}; {_NEW_RUN}")


@dataclass(slots=True, kw_only=True)
class _Rows:
    """Collects what the rows of a run say of each step: its last row, and what any of them says.

    ``latest`` are in the order in which the steps began, without those in a group that starts over; ``kinds`` has all.
    ``handlers`` are kept apart, as they never count as done. ``attempts`` are those of the handlers too, ``calls``
    those of the last attempt of the run.
    """

    latest: dict[str, StepRun] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    handlers: dict[str, StepRun] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    succeeded: Counter[str] = field(default_factory=Counter)
    # A later attempt of the run may have ended before it came to them again.
    started: set[str] = field(default_factory=set)
    loops: set[str] = field(default_factory=set)

    def add(self, row: StepRun) -> None:
        """Take the next row, in the order in which they were written."""
        step_id, before = row.step_id, self.latest.get(row.step_id)
        self.attempts[step_id] = row.attempt
        is_waiting = row.status in _FAILED and row.error_type in _WAITING
        self.succeeded[step_id] += row.status == _SUCCEEDED or is_waiting
        if row.role != Role.STEP:
            self.handlers[step_id] = row
            return
        self.kinds[step_id] = row.kind
        is_same_run_attempt = before is not None and before.run_attempt == row.run_attempt
        if row.kind != "command" and (is_same_run_attempt or (before is not None and _begins_anew(before))):
            # It was tried again, which begins with its first step.
            self.forget_inside(step_id)
        is_called = row.started_at is not None
        if is_called:
            self.started.add(step_id)
            if row.kind == "loop":
                self.loops.add(step_id)
        elif before is not None and _is_cut_off(before):
            # That the run did not come to it again does not say how much it had done.
            return
        self.calls[step_id] = (self.calls.get(step_id, 0) if is_same_run_attempt else 0) + is_called
        self.latest[step_id] = row

    def forget_inside(self, group_id: str) -> None:
        """Leave out what is in a group that starts over."""
        for step_id in [one for one, row in self.latest.items() if group_id in row.group_ids]:
            del self.latest[step_id]
            self.started.discard(step_id)
            self.loops.discard(step_id)

    def past(self, step_id: str) -> PastStep:
        """Return how a step has ended."""
        return _past(self.latest[step_id], attempt_count=self.calls[step_id])

    def has_failed_handler_in(self, group_ids: Collection[str]) -> bool:
        """Return whether a handler of one of these groups has failed: that is a warning, also if it may."""
        return any(
            row.status in _FAILED and not set(row.group_ids).isdisjoint(group_ids) for row in self.handlers.values()
        )


def _begins_anew(row: StepRun) -> bool:
    """Return whether a row is of a group whose own ``until`` was not true in the end, so that its steps are void."""
    is_own = row.error_type == UNTIL_NOT_MET and row.message.startswith(UNTIL)
    return row.kind != "command" and is_own and not _is_done(row)


def _rows(run: Run, *, using: str) -> _Rows:
    found = _Rows()
    for row in StepRun.objects.using(using).filter(run=run).order_by("pk").defer("output_head", "output_tail"):
        found.add(row)
    closed = {step_id for step_id, row in found.latest.items() if _is_done(row)}
    for step_id, row in tuple(found.latest.items()):
        if _begins_anew(row) and closed.isdisjoint(row.group_ids):
            found.forget_inside(step_id)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    done: list[str] = field(default_factory=list)
    counted: list[int] = field(default_factory=list)


def _named_again(rows: _Rows, answers: Answers, plan: Plan) -> set[str]:
    """Return the steps that a person wants to run again and not to count as done; refuses names of no step."""
    commands = [
        step_id
        for step_id, kind in rows.kinds.items()
        if kind == "command" or _is_command(plan.outline.get(key_of(step_id)))
    ]
    _check_names("--rerun", answers.rerun, rows.kinds, what="step")
    _check_names("--skip", answers.skip, commands, what="step that calls a command")
    again: set[str] = set()
    for name in answers.rerun:
        named = {step_id for step_id, row in rows.latest.items() if _is_named(row, [name])}
        wanted = {step_id for step_id in named if not _counts_as_done(rows.latest[step_id], answers)}
        if named and not wanted:
            raise InvalidUsage(f"--rerun {name}: --skip counts it as done; give one of the two")
        again |= wanted
    return again


def _check_names(option: str, names: Sequence[str], step_ids: Collection[str], *, what: str) -> None:
    """Refuse what is the id of none of these, nor of a loop for all of its items."""
    known = {*step_ids, *map(key_of, step_ids)}
    for name in names:
        if name not in known:
            raise InvalidUsage(f"{option} {name}: the run has no {what} of this id")


def _is_command(entry: Entry | None) -> bool:
    return entry is not None and isinstance(entry.step, CommandStep)


def _counts_as_done(row: StepRun, answers: Answers) -> bool:
    return not {row.step_id, key_of(row.step_id)}.isdisjoint(answers.skip)


def _is_named(row: StepRun, names: Collection[str]) -> bool:
    """Return whether a person means this step, or all of a loop, a group or a runbook around it."""
    ids = (row.step_id, key_of(row.step_id), *row.group_ids, *map(key_of, row.group_ids))
    return any(one in names for one in ids)


class _Judge:
    def __init__(
        self, steps: Mapping[str, StepRun], *, plan: Plan, answers: Answers, ask: Ask | None, repeatable: Repeatable
    ) -> None:
        self._steps = steps
        self._plan = plan
        self._answers = answers
        self._ask = ask
        self._repeatable = repeatable

    def judge(self, opened: Collection[str]) -> _Judged:
        """Return what is done, without ``opened``, which is entered again; raises InvalidUsage for a step in doubt."""
        judged = _Judged()
        in_doubt: list[str] = []
        closed = {step_id for step_id, row in self._steps.items() if _is_done(row) and step_id not in opened}
        for step_id, row in self._steps.items():
            if _is_done(row):
                judged.done.append(step_id)
            elif _counts_as_done(row, self._answers):
                self._count(row, judged)
            elif not closed.isdisjoint(row.group_ids):
                # What is in a group that is done is not run.
                continue
            elif self._is_in_doubt(row) and not _is_named(row, self._answers.rerun):
                match self._asked(row):
                    case "done":
                        self._count(row, judged)
                    case "":
                        in_doubt.append(step_id)
        if in_doubt:
            raise InvalidUsage("\n".join(map(_doubt, in_doubt)))
        return judged

    def _count(self, row: StepRun, judged: _Judged) -> None:
        row.status, row.reason = _SKIPPED, _COUNTED
        judged.done.append(row.step_id)
        judged.counted.append(row.pk)

    def _is_in_doubt(self, row: StepRun) -> bool:
        if row.kind != "command" or not _is_cut_off(row):
            return False
        entry = self._plan.outline.get(key_of(row.step_id))
        step = entry.step if entry is not None else None
        if not isinstance(step, CommandStep):
            return True
        if step.idempotent is not None:
            # What the file says is stronger than what is known of the command.
            return not (step.idempotent or step.atomic)
        return not (step.atomic or _continues(step) or self._repeatable.is_safe(_name_of(step), row.argv or ()))

    def _asked(self, row: StepRun) -> str:
        if self._ask is None:
            return ""
        question = (
            f"{row.step_id} was interrupted, and it is unknown how much it did: "
            "[r]un it again, [s]kip it as done, or stop here [N]?"
        )
        while True:
            answer = self._ask(question)
            if answer in _AGAIN:
                return "again"
            if answer in _DONE:
                return "done"
            if answer in _STOP:
                return ""


def _doubt(step_id: str) -> str:
    return (
        f"{step_id} was interrupted, and it is unknown how much it did: "
        f"--rerun {step_id} runs it again, --skip {step_id} counts it as done"
    )


def _name_of(step: CommandStep) -> str:
    return str(step.command[0].value)


def _continues(step: CommandStep) -> bool:
    """Return whether the command continues from its last checkpoint by itself."""
    try:
        command = catalog.load(_name_of(step))
    except Exception:  # noqa: BLE001 - a command that cannot be loaded was reported when the file was checked
        return False
    return bool(getattr(command, "continues_from_checkpoint", False))


def _is_cut_off(row: StepRun) -> bool:
    return row.status in _CUT_OFF and row.started_at is not None


def _is_done(row: StepRun) -> bool:
    if row.status == _SKIPPED:
        return row.reason != _STOPPED
    return row.status == _SUCCEEDED or (row.status in _FAILED and row.ignored)


def _past(row: StepRun, *, attempt_count: int) -> PastStep:
    failure = None
    if row.status in _FAILED:
        failure = Failure(error_type=row.error_type, message=row.message, exit_code=row.exit_code or 1)
    result = StepResult(
        step_id=row.step_id,
        name=row.name,
        status=StepStatus(row.status),
        ignored=row.ignored,
        attempt_count=attempt_count,
        failure=failure,
        reason=row.reason,
        warnings=tuple(row.warnings),
        is_group=row.kind != "command",
        file=row.file,
        line=row.line,
    )
    # A try that failed may have left one, which is not the step's.
    has_output = row.output is not None and row.status == _SUCCEEDED
    return PastStep(
        result=result,
        output=row.output[0] if has_output else None,
        has_output=has_output,
        is_until_open=row.status == _SUCCEEDED and row.finished_at is None,
    )


# -- changes -----------------------------------------------------------------------------------------------------------


def _refuse_changes(rows: Collection[StepRun], definitions: Definitions) -> None:
    """Refuse if a step has changed that will not be run from its start, with what has changed."""
    outline = definitions.plan.outline
    found: dict[str, str] = {}
    for row in rows:
        key = key_of(row.step_id)
        entry = outline.get(key)
        # What has failed runs again from its start: to fix it is what a person changes the file for. The items of a
        # loop have hashes of their own.
        is_command = row.kind == "command" or _is_command(entry)
        is_over = _is_done(row) or not is_command or row.status in _CUT_OFF
        if key in found or not is_over or (row.started_at is None and not _is_done(row)):
            continue
        now = definitions.of(row.step_id)
        if now.digest != row.definition_hash:
            found[key] = "\n".join(_diff(key, row.definition, now.text))
        elif entry is not None and _stands_in_other_loops(row, entry, outline):
            found[key] = f"{key} is in another loop now, or in none any more"
    found |= {key: f"{key} is new, in a group that is done" for key in _new_in_groups_that_are_done(rows, outline)}
    if found:
        raise InvalidUsage(
            "steps that the run has finished, begun or left out have changed since; --accept-changes continues "
            "nevertheless\n" + "\n".join(found.values())
        )


def _stands_in_other_loops(row: StepRun, entry: Entry, outline: Mapping[str, Entry]) -> bool:
    """Return whether the numbers in its id are not those of the loops that are around it now."""
    loop_count = sum(outline[key].step.for_each is not None for key in entry.group_keys)
    # The items of a loop have one more than the loop itself.
    return len(_numbers(row.step_id)) - loop_count not in ((0, 1) if entry.step.for_each is not None else (0,))


def _numbers(step_id: str) -> list[str]:
    _, bracket, rest = step_id.partition("[")
    return rest.removesuffix("]").split(",") if bracket else []


def _new_in_groups_that_are_done(rows: Collection[StepRun], outline: Mapping[str, Entry]) -> Iterator[str]:
    """Yield steps that would never be reached: what is done is not entered again."""
    inside: dict[str, set[str]] = {}
    for row in rows:
        for group_id in row.group_ids:
            inside.setdefault(group_id, set()).add(key_of(row.step_id))
    # What was never entered, such as a loop without items, has no rows of any of its steps.
    empty = [row for row in rows if row.kind != "command" and row.step_id not in inside]
    for row in rows:
        if row.kind == "command" or not _is_done(row):
            continue
        known = inside.get(row.step_id, set())
        without = {key_of(one.step_id) for one in empty if row.step_id in (one.step_id, *one.group_ids)}
        for key, entry in outline.items():
            is_inside = entry.role is Role.STEP and key_of(row.step_id) in entry.group_keys
            if is_inside and key not in known and without.isdisjoint(entry.group_keys):
                yield key


def _diff(key: str, before: str, now: str) -> Iterator[str]:
    if not now:
        yield f"{key} is not in the runbook any more"
        return
    yield from difflib.unified_diff(
        before.splitlines(), now.splitlines(), f"{key} (as it ran)", f"{key} (now)", lineterm="", n=100
    )


def _refuse_other_items(rows: _Rows, plan: Plan, *, mask: Mask) -> None:
    """Refuse other items of a loop: they have only a number as their id, and would pass for those that are done."""
    for row in rows.latest.values():
        entry = plan.outline.get(key_of(row.step_id))
        if row.step_id not in rows.loops or entry is None:
            continue
        items = _items_now(entry.step, _inputs_of(row, plan))
        if items is None:
            continue
        for step_id, known in rows.latest.items():
            number = _number_below(row.step_id, step_id)
            is_other = (
                0 < number <= len(items)
                and _is_known_item(known)
                and known.item_hash != digest_of(items[number - 1], mask=mask)
            )
            if number > len(items) or is_other:
                is_hidden = any(plan.outline[key].step.no_log for key in (entry.key, *entry.group_keys))
                now = None
                if is_other:
                    now = str(number) if is_hidden else label_of(items[number - 1], mask=mask)
                raise InvalidUsage(other_item(row.step_id, number, before=known.name, now=now))


def _is_known_item(row: StepRun) -> bool:
    """Return whether a row is of an item that has begun, or counts as done: of others nothing is done."""
    return bool(row.item_hash) and (row.started_at is not None or _is_done(row))


def _number_below(loop_id: str, step_id: str) -> int:
    """Return the number of the item of this loop that a step is; 0 if it is none."""
    start = f"{loop_id[:-1]}," if loop_id.endswith("]") else f"{loop_id}["
    rest = step_id.removeprefix(start).removesuffix("]")
    return int(rest) if step_id.startswith(start) and rest.isdecimal() else 0


def _inputs_of(row: StepRun, plan: Plan) -> Inputs | None:
    """Return the known values at a loop: the file's, or those of the called runbook around it."""
    path = key_of(row.step_id).rpartition("/")[0]
    if not path:
        return plan.inputs
    planned = plan.steps.get(path)
    return planned.inputs if planned is not None and planned.is_final else None


def _items_now(step: Step, inputs: Inputs | None) -> tuple[object, ...] | None:
    """Return the items of a loop, None if only the run knows them."""
    if step.for_each is None or inputs is None or not is_resolvable(step.for_each, inputs):
        return None
    try:
        return items_of(step.for_each, inputs.context())
    except ExpressionError:
        return None


# -- outputs -----------------------------------------------------------------------------------------------------------


def _refuse_missing_outputs(
    steps: Mapping[str, StepRun], done: Mapping[str, PastStep], definitions: Definitions
) -> None:
    outline = definitions.plan.outline
    secret = {key_of(step_id) for step_id in done if steps[step_id].is_output_secret}
    if not secret:
        return
    for key, entry in outline.items():
        if not done.keys().isdisjoint((key, *entry.group_keys)):
            continue
        prefix = key.rpartition("/")[0]
        for expression in expressions_of(entry.step):
            for reference in expression.references:
                if reference.root != "steps":
                    continue
                named = f"{prefix}/{reference.path[0]}" if prefix and reference.path else "".join(reference.path[:1])
                if named in secret or (not reference.path and secret):
                    name = named or min(secret)
                    raise InvalidUsage(
                        f'"{key}" needs the output of "{name}", which held a secret and was not recorded: '
                        f"--rerun {name} runs that step again"
                    )
