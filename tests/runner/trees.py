"""A runbook as the model sees it: an abstract tree, whose leaves do what their scripts say, and its text in YAML."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

Policy: TypeAlias = "bool | tuple[int | str, ...]"
# What one call of a leaf does: "ok"; "wait" (succeeds, and `until` is not met); "exit 3"; the name of an exception;
# "hang"; "slow 7" (succeeds after 7 seconds); "block r" (until it is halted); "gate 2 r" (fails once two others of
# the race r block); "stop" (succeeds, and the run is asked to stop during it).
Act: TypeAlias = str
_BLOCK_KEYS = ("is_parallel", "max_parallel", "is_race")
_STEP_KEYS = ("when", "times", "retry", "timeout", "continue_on_error", "tags")


@dataclass(frozen=True, kw_only=True)
class Retry:
    attempts: int
    errors: tuple[int | str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class When:
    """True or false by a parameter or, where ``step_id`` is set, by whether that step has this status."""

    text: str
    step_id: str = ""
    status: str = ""
    value: bool = False


@dataclass(frozen=True, kw_only=True)
class Command:
    """The items of a loop use ``scripts`` in turn; the last act of a script is repeated.

    ``reads`` names what a handler finds in ``run``, which it hands to its command.
    """

    scripts: tuple[tuple[Act, ...], ...]
    isolate: bool = False
    polls: bool = False
    reads: tuple[str, ...] = ()

    def act(self, *, item: int, call: int) -> Act:
        script = self.scripts[item % len(self.scripts)]
        return script[min(call, len(script) - 1)]


@dataclass(frozen=True, kw_only=True)
class Block:
    steps: tuple[Step, ...]
    is_parallel: bool = False
    max_parallel: int | None = None
    fail_fast: bool = True
    is_race: bool = False
    on_success: tuple[Step, ...] = ()
    on_failure: tuple[Step, ...] = ()
    finally_: tuple[Step, ...] = ()


@dataclass(frozen=True, kw_only=True)
class File:
    name: str
    block: Block
    timeout: int | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """``times`` is the number of items of ``for_each``, None where there is no loop."""

    id: str
    body: Command | Block | File
    when: When | None = None
    times: int | None = None
    max_parallel: int = 1
    retry: Retry | None = None
    timeout: int | None = None
    continue_on_error: Policy = False
    tags: tuple[str, ...] = ()


# The id of a leaf, the leaf, and an expression for its place in the loops, to the keys that call its command.
Words: TypeAlias = "Callable[[str, Command, str], dict[str, Any]]"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A runbook and what is asked for on the command line."""

    file: File
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    keep_going: bool = False


def play_words(step_id: str, command: Command, place: str) -> dict[str, Any]:
    """The words by which the one who plays the commands knows which one is meant, and where."""
    read = [f"${{{{ run.{name} }}}}" for name in command.reads]
    return {"command": "say", "args": [step_id, place, *read]}


def texts(file: File, words: Words = play_words) -> Iterator[tuple[str, str]]:
    """The names and the texts of a file and of those that it calls. JSON is YAML, and has its quotes right."""
    called: list[File] = []
    document = {
        "params": {"at": {"type": "string", "default": "0"}, "yes": True, "no": False},
        "lock": False,
        **_Writer(words, called).block(file.block, place="${{ params.at }}"),
        **({"timeout": f"{file.timeout}s"} if file.timeout else {}),
    }
    yield file.name, json.dumps(document, indent=1)
    for other in called:
        yield from texts(other, words)


@dataclass(frozen=True)
class _Writer:
    """Writes the steps of one file; ``called`` gathers the files that they call."""

    words: Words
    called: list[File]

    def block(self, block: Block, *, place: str, verb: str = "steps") -> dict[str, Any]:
        lists = {verb: block.steps, "on_success": block.on_success, "on_failure": block.on_failure}
        lists["finally"] = block.finally_
        keys: dict[str, Any] = {
            key: [self.step(step, place=place) for step in steps] for key, steps in lists.items() if steps
        }
        if block.max_parallel is not None:
            keys["max_parallel"] = block.max_parallel
        return keys | ({} if block.fail_fast else {"fail_fast": False})

    def step(self, step: Step, *, place: str) -> dict[str, Any]:
        keys: dict[str, Any] = {"id": step.id}
        if step.times is not None:
            keys["for_each"] = [f"{place}.{number + 1}" for number in range(step.times)]
            place = "${{ item }}"
        if step.max_parallel > 1:
            keys["max_parallel"] = step.max_parallel
        if step.when is not None:
            keys["when"] = step.when.text
        if step.timeout is not None:
            keys["timeout"] = f"{step.timeout}s"
        if step.continue_on_error is not False:
            keys["continue_on_error"] = step.continue_on_error
        if step.tags:
            keys["tags"] = list(step.tags)
        polls = isinstance(step.body, Command) and step.body.polls
        if step.retry is not None or polls:
            keys["retry"] = _retry(step.retry or Retry(attempts=1), until=f'steps.{step.id}.output == "ready"' * polls)
        return keys | self.body(step, place=place)

    def body(self, step: Step, *, place: str) -> dict[str, Any]:
        match step.body:
            case Command() as command:
                more = {"capture": "text"} if command.polls else {}
                return {**self.words(step.id, command, place), **more, **({"isolate": True} if command.isolate else {})}
            case Block() as block:
                return self.block(block, place=place, verb="parallel" if block.is_parallel else "steps")
            case File() as file:
                self.called.append(file)
                return {"runbook": file.name, "params": {"at": f"{place}.{step.id}"}}


def _retry(retry: Retry, *, until: str) -> dict[str, Any]:
    keys: dict[str, Any] = {"attempts": retry.attempts, "delay": 0}
    if retry.errors is not None:
        keys["errors"] = list(retry.errors)
    return keys | ({"until": until} if until else {})


def tags_below(body: Command | Block | File) -> set[str]:
    """The tags of the steps inside, without those of handlers, which have none."""
    match body:
        case Command():
            return set()
        case File():
            return tags_below(body.block)
    return {tag for step in body.steps for tag in {*step.tags, *tags_below(step.body)}}


def sketch(case: Case) -> str:
    """A case as a person reads it, for a failing test: only what differs from the defaults."""
    options = {"tags": case.tags, "skip_tags": case.skip_tags, "keep_going": case.keep_going}
    return "\n".join([f"{_differing(options)}", *_sketch(case.file, indent="")])


def _sketch(body: Command | Block | File, *, indent: str) -> Iterator[str]:
    match body:
        case File():
            yield f"{indent}{body.name} {_differing({'timeout': body.timeout})}"
            yield from _sketch(body.block, indent=indent)
        case Block():
            given = {key: getattr(body, key) for key in _BLOCK_KEYS} | (
                {} if body.fail_fast else {"fail_fast": "false"}
            )
            yield f"{indent}steps {_differing(given)}"
            for key in ("steps", "on_success", "on_failure", "finally_"):
                steps = getattr(body, key)
                if key != "steps" and steps:
                    yield f"{indent}{key}"
                for step in steps:
                    given = {key: getattr(step, key) for key in _STEP_KEYS}
                    given |= {"max_parallel": step.max_parallel if step.max_parallel > 1 else None}
                    yield f"{indent}- {step.id} {_differing(given)}"
                    yield from _sketch(step.body, indent=f"{indent}    ")
        case Command():
            given = {"isolate": body.isolate, "polls": body.polls, "reads": body.reads}
            yield f"{indent}{body.scripts} {_differing(given)}"


def _differing(values: dict[str, object]) -> str:
    return " ".join(f"{key}={value}" for key, value in values.items() if value not in (None, False, ()))
