"""Commands that are played in this process by their scripts, in a time that passes only where they say so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django_runbook.executors.base import ExecutorCall
from django_runbook.process.deadlines import Deadline, Halt
from django_runbook.process.stopping import Stop
from django_runbook.results import AttemptResult, Failure, StepStatus
from tests.patience import PATIENCE_SECONDS
from tests.runner.trees import Block, Command, File, Step

_BASES = {"OperationalError": ("OperationalError", "django.db.utils.OperationalError", "DatabaseError")}


class FakeTime:
    """Replaces the module ``time``: each branch has a clock of its own, which begins with that of its parent."""

    def __init__(self) -> None:
        self._local = threading.local()

    def monotonic(self) -> float:
        return float(getattr(self._local, "now", 0.0))

    def sleep(self, seconds: float) -> None:
        self.set(self.monotonic() + seconds)

    def set(self, now: float) -> None:
        self._local.now = now

    def together(self, original: Callable[..., None]) -> Callable[..., None]:
        """Starts branches as ``original`` does, and passes the clocks on and returns them."""

        def together(run: Callable[[int], None], *, count: int, at_once: int | None, **options: Any) -> None:
            start, ends, begun = self.monotonic(), [self.monotonic()], set[int]()

            def one(index: int) -> None:
                # A thread takes the next branch at its own time, but only if branches wait for each other.
                if at_once is None or at_once >= count or threading.get_ident() not in begun:
                    begun.add(threading.get_ident())
                    self.set(start)
                try:
                    run(index)
                finally:
                    ends.append(self.monotonic())

            original(one, count=count, at_once=at_once, **options)
            self.set(max(ends))

        return together


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """One call: the step, its place in the loops, what it did, how it was run, what a handler read."""

    step_id: str
    at: str
    act: str
    is_isolated: bool
    read: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class FakeCommands:
    """What the runner calls instead of commands."""

    file: File
    time: FakeTime
    stop: Stop
    keep_going: bool = False
    calls: list[Called] = field(default_factory=list)
    _commands: dict[str, Command] = field(init=False)
    _blocked: dict[str, int] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._commands = dict(_commands_of(self.file.block))

    def execute(self, call: ExecutorCall) -> AttemptResult:
        return self._call(call, deadline=None, is_isolated=False)

    def isolate(self, call: ExecutorCall) -> AttemptResult:
        limit = call.limit.within(call.timeout_seconds, owner=call.owner)
        return self._call(call, deadline=limit.first, is_isolated=True)

    def _call(self, call: ExecutorCall, *, deadline: Deadline | None, is_isolated: bool) -> AttemptResult:
        step_id, at, *read = (token for token in call.tokens if token != "--")
        command = self._commands[step_id]
        with self._changed:
            number = sum(1 for one in self.calls if (one.step_id, one.at) == (step_id, at))
            last = at.rpartition(".")[2]
            item = int(last) - 1 if "." in at and last.isdigit() else 0
            act = command.act(item=item, call=number)
            self.calls.append(Called(step_id=step_id, at=at, act=act, is_isolated=is_isolated, read=tuple(read)))
        return self._play(act, at=at, halt=call.halt, deadline=deadline)

    def _play(self, act: str, *, at: str, halt: Halt, deadline: Deadline | None) -> AttemptResult:
        match act.split():
            case ["hang"]:
                assert deadline is not None, "nothing would ever end it"
                return self._until(deadline)
            case ["slow", seconds]:
                end = self.time.monotonic() + float(seconds)
                if deadline is not None and deadline.at < end:
                    return self._until(deadline)
                self.time.set(end)
            case ["exit", code]:
                return _failed("CommandError", int(code))
            case ["block", race]:
                return self._block(f"{race} {at}", halt)
            case ["gate", count, race]:
                self._wait_for(f"{race} {at}", int(count), halt)
                return _failed("CommandError", 1)
            case ["stop"]:
                self.stop.request()
            case [name] if name in _BASES:
                return _failed(name, 1)
        return AttemptResult(status=StepStatus.SUCCEEDED, stdout="waiting\n" if act == "wait" else "ready\n")

    def _until(self, deadline: Deadline) -> AttemptResult:
        self.time.set(deadline.at)
        return AttemptResult(status=StepStatus.TIMED_OUT, failure=deadline.failure())

    def _block(self, race: str, halt: Halt) -> AttemptResult:
        with self._changed:
            self._blocked[race] = self._blocked.get(race, 0) + 1
            self._changed.notify_all()
        if self.keep_going:
            return AttemptResult(status=StepStatus.SUCCEEDED)
        with self._changed:
            assert self._poll(lambda: halt.is_requested), "nobody halted the branch"
            self._blocked[race] -= 1
        return AttemptResult(status=StepStatus.INTERRUPTED)

    def _wait_for(self, race: str, count: int, halt: Halt) -> None:
        with self._changed:
            assert self._poll(lambda: halt.is_requested or self._blocked.get(race, 0) >= count)

    def _poll(self, is_true: Callable[[], bool]) -> bool:
        # A halt reads nobody: it is looked at.
        return any(self._changed.wait_for(is_true, 0.001) for _ in range(int(PATIENCE_SECONDS / 0.001)))


def _failed(name: str, code: int) -> AttemptResult:
    names = _BASES.get(name, (name, f"django.core.management.base.{name}"))
    failure = Failure(error_type=name, message="it went wrong", exit_code=code, error_names=names)
    return AttemptResult(status=StepStatus.FAILED, failure=failure)


def _commands_of(block: Block) -> Iterator[tuple[str, Command]]:
    for step in (*block.steps, *block.on_success, *block.on_failure, *block.finally_):
        yield from _commands_in(step)


def _commands_in(step: Step) -> Iterator[tuple[str, Command]]:
    match step.body:
        case Command() as command:
            yield step.id, command
        case Block() as block:
            yield from _commands_of(block)
        case File() as file:
            yield from _commands_of(file.block)
