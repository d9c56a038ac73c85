"""Defines the meaning of a runbook a second time: the oracle that random runbooks are compared with.

It is written from the reference and not from the runner, has no threads, no processes and no clock, and prefers to be
obvious. Where the outcome depends on which of two branches is faster, it says that anything goes (`Together.is_loose`)
or gives up (`UndeterminedError`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from tests.runner.accounts import (
    BASES,
    FAILURES,
    INTERRUPTED,
    NOT_RUN,
    SKIPPED,
    SUCCEEDED,
    TIMEOUT,
    Call,
    Clock,
    Ended,
    Failures,
    Together,
    Trace,
    UndeterminedError,
    ids_of,
)
from tests.runner.trees import Block, Case, Command, File, Policy, Step, tags_below


@dataclass(frozen=True)
class Part:
    """A step of a block or an item of a loop: how it is run, and how it is left out."""

    run: Callable[[Place], Ended]
    leave: Callable[[Place], None]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Locates a step; ``limits`` are the deadlines of the groups around it, ``item`` the number in the loop."""

    trace: Trace
    clock: Clock
    views: dict[str, str]
    prefix: str = ""
    indexes: tuple[int, ...] = ()
    at: str = "0"
    item: int = 0
    is_handler: bool = False
    limits: tuple[float, ...] = ()
    is_isolated: bool = False
    fail_fast: bool = True
    tags: frozenset[str] = frozenset()
    read: tuple[tuple[str, frozenset[str]], ...] = ()

    def id(self, step: Step) -> str:
        indexes = f"[{','.join(map(str, self.indexes))}]" if self.indexes else ""
        return f"{self.prefix}{step.id}{indexes}"

    @property
    def is_over(self) -> bool:
        return self.clock.now >= min(self.limits, default=math.inf)


@dataclass
class Model:
    """Runs a case; ``results`` and ``calls`` are what it expects of the runner."""

    case: Case
    results: dict[str, Ended] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    loose: set[str] = field(default_factory=set)
    loose_calls: set[tuple[str, str]] = field(default_factory=set)
    trace: Trace = field(default_factory=Trace)
    status: str = ""
    exit_code: int = 0
    is_stopped: bool = False
    failed_handlers: set[str] = field(default_factory=set)
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def run(self) -> None:
        """Run the case to its end."""
        place = Place(trace=self.trace, clock=Clock(), views={})
        ended = self.block(self.case.file.block, place, timeout=self.case.file.timeout)
        self.status, self.exit_code = self.outcome(ended)

    def outcome(self, ended: Ended) -> tuple[str, int]:
        if ended.status == "interrupted":
            return "interrupted", 143
        if ended.status in FAILURES:
            return "failed", 124 if ended.status == "timed_out" else 1
        return "warning" if self.has_failures() else "succeeded", 0

    def has_failures(self) -> bool:
        """Whether a step failed that was ignored, or that belongs to a handler."""
        return bool(self.failed_handlers) or any(result.status in FAILURES for result in self.results.values())

    # Blocks

    def block(self, block: Block, place: Place, *, timeout: int | None) -> Ended:
        """The steps of a block under its timeout, then its handlers, which change nothing about how it ended."""
        place = replace(place, is_isolated=place.is_isolated or timeout is not None)
        inside = replace(bounded(place, timeout), fail_fast=block.fail_fast and not self.case.keep_going)
        parts = [Part(partial(self.step, step), partial(self.leave, step, ended=NOT_RUN)) for step in block.steps]
        if block.is_parallel:
            inside = replace(inside, is_isolated=True)
        at_once = (block.max_parallel or len(parts)) if block.is_parallel else 1
        if block.is_race and inside.fail_fast:
            ended = self.race(parts, inside, at_once=at_once)
        else:
            ended = self.parts(parts, inside, at_once=at_once)
        self.handlers(block, place, ended)
        return ended

    def parts(self, parts: list[Part], place: Place, *, at_once: int) -> Ended:
        """The steps of a block or the items of a loop; one at a time is one after the other."""
        together = at_once > 1 and len(parts) > 1
        return self.together(parts, place, at_once=at_once) if together else self.in_order(parts, place)

    def in_order(self, parts: list[Part], place: Place) -> Ended:
        results: list[Ended] = []
        for part in parts:
            is_failed = any(result.is_failure for result in results)
            is_interrupted = self.is_halted(place) or any(result.status == "interrupted" for result in results)
            if is_interrupted or place.is_over or (is_failed and place.fail_fast):
                part.leave(place)
            else:
                results.append(part.run(place))
        return self.sum(results, place, is_left=len(results) < len(parts))

    def is_halted(self, place: Place) -> bool:
        """A stop ends everything but what cleans up."""
        return self.is_stopped and not place.is_handler

    def sum(self, results: list[Ended], place: Place, *, is_left: bool = False, is_first_known: bool = True) -> Ended:
        failed = [result for result in results if result.is_failure]
        ids = frozenset(step_id for result in failed for step_id in result.failed_ids)
        if self.is_halted(place) or any(result.status == "interrupted" for result in results):
            return replace(INTERRUPTED, failed_ids=ids)
        # Where a handler of the last step took the time that was left, all steps have ended.
        # What may fail may not take the time of what is around it.
        cut = frozenset(step_id for result in results if result.is_cut for step_id in result.failed_ids)
        if place.is_over and (failed or cut or is_left):
            return Ended("timed_out", frozenset((TIMEOUT,)), failed_ids=ids or cut)
        if not failed:
            return SUCCEEDED
        first = failed[:1] if is_first_known else failed
        return Ended(
            "failed",
            frozenset(failure for result in first for failure in result.failures),
            failed_ids=frozenset(step_id for result in first for step_id in result.failed_ids),
        )

    def together(self, parts: list[Part], place: Place, *, at_once: int) -> Ended:
        """Branches that run at the same time, each with a clock of its own."""
        start = place.clock.now
        before = len(self.calls), dict(self.results)
        branches = [replace(place, trace=Trace(), clock=Clock(start)) for _ in parts]
        place.trace.items.append(Together([branch.trace for branch in branches]))
        results = [part.run(branch) for part, branch in zip(parts, branches, strict=True)]
        is_timed = any(branch.clock.now != start for branch in branches)
        has_failed = any(result.is_failure for result in results)
        is_loose = place.fail_fast and has_failed
        if is_timed and place.limits and (is_loose or at_once < len(parts)):
            raise UndeterminedError
        place.clock.now = max(branch.clock.now for branch in branches)
        if is_loose:
            self.loosen(place.trace, *before)
        return self.sum(results, place, is_first_known=False)

    def race(self, parts: list[Part], place: Place, *, at_once: int) -> Ended:
        """One branch fails while the others that have begun block: they are interrupted, the rest is not run."""
        branches = [replace(place, trace=Trace()) for _ in parts]
        place.trace.items.append(Together([branch.trace for branch in branches]))
        results = [part.run(branch) for part, branch in zip(parts[:at_once], branches, strict=False)]
        for part, branch in zip(parts[at_once:], branches[at_once:], strict=True):
            part.leave(branch)
        return self.sum([result for result in results if result.status != "interrupted"], place)

    def loosen(self, trace: Trace, call_count: int, results: dict[str, Ended]) -> None:
        """A branch that failed halted the others, who knows where: of what ran in them anything is right."""
        together = trace.items[-1]
        assert isinstance(together, Together)
        trace.items[-1] = replace(together, is_loose=True)
        self.loose |= set(ids_of(together))
        self.loose |= {step_id for step_id, result in self.results.items() if results.get(step_id) is not result}
        self.loose_calls |= {(call.step_id, call.at) for call in self.calls[call_count:]}
        del self.calls[call_count:]

    def handlers(self, block: Block, place: Place, ended: Ended) -> None:
        failed = ended.status in FAILURES
        status = {"succeeded": "succeeded", "interrupted": "interrupted"}.get(ended.status, "failed")
        if status == "succeeded" and block is self.case.file.block and self.has_failures():
            status = "warning"
        read = (("status", frozenset((status,))), ("failed_step", ended.failed_ids))
        for steps, is_due in (
            (block.on_success, ended.status == "succeeded"),
            (block.on_failure, failed),
            (block.finally_, True),
        ):
            for step in steps:
                # A deadline that is over has had its effect: cleaning up runs anyway.
                limits = tuple(limit for limit in place.limits if limit > place.clock.now)
                inside = replace(place, is_handler=True, limits=limits, read=read, fail_fast=False)
                if is_due:
                    result = self.step(step, inside)
                    if result.is_failure:
                        self.failed_handlers.add(inside.id(step))
                else:
                    self.leave(step, inside, SKIPPED, is_emitted=False)

    # Steps

    def step(self, step: Step, place: Place) -> Ended:
        """In the order of the reference: selection, when, for_each, attempts, continue_on_error."""
        if not self.is_selected(step, place) or not self.is_wanted(step, place):
            self.leave(step, place, SKIPPED)
            return SKIPPED
        if step.times is None:
            return self.once(step, place)
        if step.times == 0:
            self.leave(step, place, SKIPPED)
            return SKIPPED
        return self.loop(step, place, step.times)

    def loop(self, step: Step, place: Place, count: int) -> Ended:
        place.trace.items.append(("start", place.id(step)))
        parts = [
            Part(partial(self.item, step, place, number), partial(self.leave_item, step, place, number))
            for number in range(1, count + 1)
        ]
        around = replace(place, is_isolated=place.is_isolated or step.max_parallel > 1)
        ended = self.parts(parts, around, at_once=step.max_parallel)
        return self.record(step, place, replace(ended, attempts=1, failed_ids=frozenset((place.id(step),))))

    def item(self, step: Step, around: Place, number: int, place: Place) -> Ended:
        return self.once(step, of_item(place, number, views=dict(around.views)))

    def leave_item(self, step: Step, around: Place, number: int, place: Place) -> None:
        self.leave(step, of_item(place, number, views=dict(around.views)), ended=NOT_RUN, is_item=True)

    def once(self, step: Step, place: Place) -> Ended:
        place.trace.items.append(("start", place.id(step)))
        count = 0
        while True:
            count += 1
            ended = self.attempt(step, place)
            if ended.status not in FAILURES or place.is_over or self.is_halted(place):
                break
            if step.retry is None or count >= step.retry.attempts or not self.is_retried(step, ended.failures):
                break
            place.trace.items.append(("retry", place.id(step), str(count)))
        ignored = ended.status in FAILURES and matches(ended.failures, step.continue_on_error)
        own, is_cut = frozenset((place.id(step),)), ended.status == "timed_out" and place.is_over
        ended = replace(ended, ignored=ignored, attempts=count, failed_ids=own, is_cut=is_cut)
        return self.record(step, place, ended)

    def is_retried(self, step: Step, failures: Failures) -> bool:
        assert step.retry is not None
        until = {failure for failure in failures if "UntilNotMet" in failure[0]}
        return bool(until) or step.retry.errors is None or matches(failures, step.retry.errors)

    def attempt(self, step: Step, place: Place) -> Ended:
        inside = replace(place, tags=place.tags | set(step.tags))
        match step.body:
            case Command() as command:
                return self.command(step.id, command, bounded(inside, step.timeout))
            case Block() as block:
                return self.block(block, inside, timeout=step.timeout)
            case File() as file:
                at, prefix = f"{place.at}.{step.id}", f"{place.prefix}{step.id}/"
                inside = replace(inside, views={}, at=at, item=0, prefix=prefix)
                return self.block(file.block, bounded(inside, step.timeout), timeout=file.timeout)

    def command(self, step_id: str, command: Command, place: Place) -> Ended:
        key = (step_id, place.at)
        if key in self.loose_calls:
            raise UndeterminedError
        call = self._counts[key] = self._counts.get(key, 0) + 1
        act = command.act(item=place.item, call=call - 1)
        read = tuple(dict(place.read)[name] for name in command.reads)
        if "failed_step" in command.reads and not dict(place.read)["failed_step"]:
            raise UndeterminedError
        isolated = place.is_isolated or command.isolate
        self.calls.append(Call(step_id, place.at, act, isolated, read))
        kind, _, number = act.partition(" ")
        seconds = math.inf if kind == "hang" else float(number) if kind == "slow" else 0.0
        end, first = place.clock.now + seconds, min(place.limits, default=math.inf)
        if seconds and end == first:
            raise UndeterminedError
        if end > first:
            place.clock.now = first
            return Ended("timed_out", frozenset((TIMEOUT,)))
        place.clock.now = end
        if kind in {"exit", "gate"}:
            return Ended("failed", frozenset(((frozenset(("CommandError",)), int(number) if kind == "exit" else 1),)))
        if kind in BASES:
            return Ended("failed", frozenset(((frozenset(BASES[kind]), 1),)))
        if kind == "block" and not self.case.keep_going:
            return INTERRUPTED
        if kind == "stop":
            self.is_stopped = True
        if command.polls and kind == "wait":
            return Ended("failed", frozenset(((frozenset(("UntilNotMet",)), 1),)))
        return SUCCEEDED

    # What is not run, and what is emitted

    def record(self, step: Step, place: Place, ended: Ended, *, is_emitted: bool = True) -> Ended:
        """Ends a step. Handlers that are not due emit nothing: their result in an earlier attempt stays."""
        step_id = place.id(step)
        place.views[step.id] = ended.status
        if is_emitted:
            place.trace.items.append(("end", step_id, ended.status))
        if is_emitted or step_id not in self.results:
            self.results[step_id] = ended
        return ended

    def leave(self, step: Step, place: Place, ended: Ended, *, is_item: bool = False, is_emitted: bool = True) -> None:
        """Leaves a step, with everything inside it except the items of a loop."""
        self.record(step, place, ended, is_emitted=is_emitted)
        if step.times is not None and not is_item:
            return
        match step.body:
            case Block() as block:
                self.leave_block(block, place, ended, is_emitted=is_emitted)
            case File() as file:
                inside = replace(place, views={}, prefix=f"{place.prefix}{step.id}/")
                self.leave_block(file.block, inside, ended, is_emitted=is_emitted)

    def leave_block(self, block: Block, place: Place, ended: Ended, *, is_emitted: bool) -> None:
        for step in block.steps:
            self.leave(step, place, ended, is_emitted=is_emitted)
        for step in (*block.on_success, *block.on_failure, *block.finally_):
            self.leave(step, place, ended, is_emitted=False)

    # Selection and conditions

    def is_selected(self, step: Step, place: Place) -> bool:
        own = place.tags | set(step.tags)
        if own & set(self.case.skip_tags):
            return False
        return place.is_handler or not self.case.tags or bool((own | tags_below(step.body)) & set(self.case.tags))

    def is_wanted(self, step: Step, place: Place) -> bool:
        if step.when is None:
            return True
        if not step.when.step_id:
            return step.when.value
        return place.views[step.when.step_id] == step.when.status


def of_item(place: Place, number: int, *, views: dict[str, str]) -> Place:
    """The place of one item, whose steps are named by no other."""
    indexes, at = (*place.indexes, number), f"{place.at}.{number}"
    return replace(place, indexes=indexes, at=at, item=number - 1, views=views)


def bounded(place: Place, timeout: int | None) -> Place:
    """The same under a deadline that begins now, for which commands need processes of their own."""
    if timeout is None:
        return place
    return replace(place, limits=(*place.limits, place.clock.now + timeout), is_isolated=True)


def matches(failures: Failures, policy: Policy) -> bool:
    """Whether the policy allows what failed first, whichever that was."""
    if isinstance(policy, bool):
        return policy
    answers = {any(word == code or word in names for word in policy) for names, code in failures}
    if len(answers) > 1:
        raise UndeterminedError
    return answers.pop()
