"""Answers the calls of commands with what a test provides instead."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_runbook import events
from django_runbook.binding import catalog, parsers
from django_runbook.cleaning import Mask
from django_runbook.document.similar_names import suggestion
from django_runbook.executors.base import ExecutorCall
from django_runbook.executors.calling import result_of_error
from django_runbook.process.streams import clean_text
from django_runbook.results import AttemptResult, StepStatus
from django_runbook.structs import Struct, field


class UnfakedCommandError(AssertionError):
    """Reports commands that a run has called and that have no fake, or fakes that it cannot use."""


class FakeCall(Struct, dict=True):
    """Describes one call of a command: the step, its tokens after the name, and the number of its attempt.

    ``stdin`` is the text of its standard input, None without the key; ``env`` are its own environment variables.
    """

    step_id: str
    command: str
    argv: tuple[str, ...]
    stdin: str | None = None
    env: Mapping[str, str | None] = field(default_factory=dict)
    attempt: int = 1

    @cached_property
    def options(self) -> Mapping[str, Any]:
        """Return the values that ``handle()`` would receive, by the command's own parser.

        They are empty for a command that is not a BaseCommand.
        """
        command = catalog.load(self.command)
        if not isinstance(command, BaseCommand):
            return {}
        return vars(parsers.new_parser(command, self.command).parse_args(list(self.argv)))


class FakeCommands:
    """Calls fakes: ``calls`` are what the run has asked for, ``problems`` what no fake could answer.

    ``assertion`` is the first one that a function of the test raised.
    """

    def __init__(self, fakes: Mapping[str, object], mask: Mask) -> None:
        self.calls: list[FakeCall] = []
        self.problems: list[str] = []
        self._fakes = fakes
        self._mask = mask
        self._step_id = ""
        self.assertion: AssertionError | None = None

    def listen(self, event: events.Event) -> None:
        """Note which step calls the next command; steps run one after another here."""
        if isinstance(event, events.StepStarted):
            self._step_id = event.step_id

    def execute(self, call: ExecutorCall) -> AttemptResult:
        """Answer a call."""
        count = 1 + sum(one.step_id == self._step_id for one in self.calls)
        fake_call = FakeCall(
            step_id=self._step_id,
            command=call.command,
            argv=tuple(call.tokens),
            stdin=call.process.stdin,
            env=call.process.env,
            attempt=count,
        )
        self.calls.append(fake_call)
        name = next((name for name in names_of(self._step_id, call.command) if name in self._fakes), None)
        if name is None:
            return self._refuse(f'"{call.command}" (step "{self._step_id}") has no fake')
        answer = self._fakes[name]
        if isinstance(answer, list | tuple):
            if count > len(answer):
                return self._refuse(f'the fake "{name}" has {len(answer)} answers, but call {count} was made')
            answer = answer[count - 1]
        return self._answered(answer, fake_call, call)

    def _answered(self, answer: object, fake_call: FakeCall, call: ExecutorCall) -> AttemptResult:
        try:
            if callable(answer) and not _is_exception(answer):
                answer = answer(fake_call)
            text = _text_of(answer)
        except AssertionError as error:
            self.assertion = self.assertion or error
            return result_of_error(error, self._mask)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a fake raises what its command would
            return result_of_error(error, self._mask)
        for line in text.splitlines():
            call.write_line("stdout", clean_text(line, self._mask))
        result = AttemptResult(status=StepStatus.SUCCEEDED, stdout=text)
        if call.on_finished is not None:
            call.on_finished(result)
        return result

    def _refuse(self, problem: str) -> AttemptResult:
        self.problems.append(problem)
        return result_of_error(UnfakedCommandError(problem), self._mask)


def names_of(step_id: str, command: str) -> Iterator[str]:
    """Yield the names under which a fake of a step is found, the most exact one first."""
    key = step_id.partition("[")[0]
    yield from dict.fromkeys((step_id, key, key.rpartition("/")[2], command))


def unknown_fakes(fakes: Mapping[str, object], steps: Collection[tuple[str, str]]) -> list[str]:
    """Return a message for each fake whose name no step has; ``steps`` are their ids and their commands."""
    known = {name for step_id, command in steps for name in names_of(step_id, command)}
    return [
        f'the fake "{name}" matches no step and no command; {suggestion(name, known)}'.removesuffix("; ")
        for name in fakes
        if name not in known
    ]


def _is_exception(answer: object) -> bool:
    return isinstance(answer, type) and issubclass(answer, BaseException)


def _text_of(answer: object) -> str:
    """Return the output that an answer describes; raise the exception that it describes."""
    match answer:
        case None | 0:
            return ""
        case str():
            return answer
        case BaseException():
            raise answer
        case type() if issubclass(answer, BaseException):
            raise answer
        case bool():
            raise TypeError(f"{answer} is not an answer: write an output, an exit code or an exception")
        case int():
            raise CommandError(f"the command ended with exit code {answer}", returncode=answer)
        case Mapping() | Sequence():
            return json.dumps(answer)
    raise TypeError(f"a {type(answer).__name__} is not an answer: write an output, an exit code or an exception")
