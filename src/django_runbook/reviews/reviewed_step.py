"""Describes a planned step by what a reviewer compares: its resolved command line and its settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Final

from django_runbook.document.expressions import as_written
from django_runbook.document.runbook import (
    Block,
    CallStep,
    CommandStep,
    GroupStep,
    LockSettings,
    Retry,
    Schedule,
    Step,
)
from django_runbook.document.written_values import written
from django_runbook.planning.listing import command_line
from django_runbook.planning.plan import Plan
from django_runbook.planning.planned_step import PlannedStep
from django_runbook.structs import Struct
from django_runbook.wording import exact_duration

Settings = Mapping[str, str]
# What tells generated ids apart.
_NUMBER: Final = re.compile(r"-\d+$")


class ReviewedStep(Struct):
    """Describes a step: ``words`` are its resolved command line, or what it is instead; ``settings`` are those it sets.

    ``around`` names the groups and the list that it is in.
    """

    id: str
    command: str
    words: tuple[str, ...]
    settings: Settings
    around: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        return " ".join(self.words)

    @property
    def identity(self) -> object:
        """Return a value that equal steps share, whatever their ids."""
        return self.words, tuple(self.settings.items()), self.around


def reviewed_steps(planned: Plan) -> list[ReviewedStep]:
    """Describe each step of a plan, in its order."""
    return [_reviewed(item, planned) for item in planned.steps.values()]


def file_settings(planned: Plan) -> Settings:
    """Return the settings of the file itself, by the keys of the file."""
    runbook = planned.runbook
    settings = dict(_block(runbook.block))
    # The default, which two files do not share.
    if runbook.name != PurePath(runbook.path).stem:
        settings["name"] = runbook.name
    for param in runbook.params:
        default = "required" if param.default is None else f"default {written(param.default)}"
        choices = f", one of {', '.join(map(str, param.choices))}" if param.choices else ""
        settings[f"params.{param.name}"] = f"{param.type}, {default}{choices}"
    settings |= {f"vars.{name}": written(value) for name, value in runbook.vars.items()}
    for variable in runbook.env:
        default = "required" if variable.default is None else f"default {variable.default}"
        settings[f"env.{variable.name}"] = default
    if runbook.secrets:
        settings["secrets"] = ", ".join(runbook.secrets)
    if runbook.timeout_seconds is not None:
        settings["timeout"] = exact_duration(runbook.timeout_seconds)
    if runbook.schedule is not None:
        settings["schedule"] = _schedule(runbook.schedule)
    settings["lock"] = "false" if runbook.lock is None else _lock(runbook.lock)
    if not runbook.is_recorded:
        settings["journal"] = "false"
    if runbook.unusual != "warn":
        settings["unusual"] = runbook.unusual
    if runbook.notify is not None:
        settings["notify"] = ", ".join(name.text for name in runbook.notify) or "none"
    return settings


def _reviewed(item: PlannedStep, planned: Plan) -> ReviewedStep:
    step = item.step
    # The settings of a loop are those of its items.
    is_item = step.is_loop and not item.is_loop
    roles = (planned.steps[group_id].role for group_id in item.group_ids)
    return ReviewedStep(
        id=item.id,
        command=str(step.command[0].value) if isinstance(step, CommandStep) else "",
        words=_words(item, planned),
        settings={} if is_item else dict(_settings(step)),
        around=(*item.group_ids, *roles, item.role),
    )


def _words(item: PlannedStep, planned: Plan) -> tuple[str, ...]:
    step = item.step
    if item.is_loop:
        return ("loop", as_written(step.name))
    if isinstance(step, CommandStep):
        return command_line(item, planned, mask=str)
    if isinstance(step, CallStep):
        return ("runbook", step.runbook.path)
    return ("group", as_written(step.name))


def _settings(step: Step) -> Iterator[tuple[str, str]]:
    for key, show in SETTINGS.items():
        if text := show(step):
            yield key, text
    if isinstance(step, GroupStep):
        yield from _block(step.block)
    if isinstance(step, CallStep):
        yield from ((f"params.{option.name}", written(option.value)) for option in step.params)


def _block(block: Block) -> Iterator[tuple[str, str]]:
    if block.is_parallel:
        yield "parallel", "true"
    if block.max_parallel is not None:
        yield "max_parallel", str(block.max_parallel)
    if not block.fail_fast:
        yield "fail_fast", "false"


def _retry(retry: Retry) -> str:
    parts = [f"{retry.attempts} attempts", f"delay {exact_duration(retry.delay_seconds)}", f"backoff {retry.backoff:g}"]
    parts.append(f"max_delay {exact_duration(retry.max_delay_seconds)}")
    parts += [] if retry.jitter else ["jitter false"]
    parts += [] if retry.errors is None else [f"errors {written(retry.errors)}"]
    parts += [] if retry.until is None else [f"until {retry.until.source}"]
    return ", ".join(parts)


def _schedule(schedule: Schedule) -> str:
    zone = [] if schedule.timezone is None else [schedule.timezone]
    jitter = [f"jitter {exact_duration(schedule.jitter_seconds)}"] if schedule.jitter_seconds else []
    catch_up = ["catch_up"] if schedule.catch_up else []
    return ", ".join([schedule.cron.text, *zone, *jitter, *catch_up])


def _lock(lock: LockSettings) -> str:
    name = "the file's own" if lock.is_default else as_written(lock.name)
    wait = "" if lock.wait_seconds is None else f", wait {exact_duration(lock.wait_seconds)}"
    return f"{name}, on_conflict {lock.on_conflict}{wait}"


def _flag(name: str) -> Callable[[Step], str]:
    def show(step: Step) -> str:
        value = getattr(step, name, None)
        return "" if value is None or value is False else written(value)

    return show


def _choice(name: str) -> Callable[[Step], str]:
    """Show a key whose false differs from its absence."""

    def show(step: Step) -> str:
        value = getattr(step, name, None)
        return "" if value is None else written(value)

    return show


def _id(step: Step) -> str:
    """Return an id that is not generated from the command; the name of a group is compared, which gives it its id."""
    if not isinstance(step, CommandStep):
        return ""
    return "" if _NUMBER.sub("", step.id) == step.command[0].value else step.id


def _name(step: Step) -> str:
    name = as_written(step.name)
    return name if isinstance(step, CommandStep) and name != step.command[0].value else ""


def _env(step: Step) -> str:
    return ", ".join(f"{option.name} {written(option.value)}" for option in getattr(step, "env", ()))


# Each key that a reviewer reads, with its text for a step; an empty one is not set.
SETTINGS: Final[Mapping[str, Callable[[Step], str]]] = {
    "id": _id,
    "name": _name,
    "when": _flag("when"),
    "for_each": _flag("for_each"),
    "max_parallel": lambda step: str(step.max_parallel) if step.max_parallel != 1 else "",
    "retry": lambda step: "" if step.retry is None else _retry(step.retry),
    "timeout": lambda step: "" if step.timeout_seconds is None else exact_duration(step.timeout_seconds),
    "continue_on_error": _flag("continue_on_error"),
    "confirm": _flag("confirm"),
    "lock": lambda step: "" if step.lock is None else _lock(step.lock),
    "stdin": _flag("stdin"),
    "env": _env,
    "capture": _flag("capture"),
    "no_log": _flag("no_log"),
    "isolate": _choice("isolate"),
    "atomic": _flag("atomic"),
    "idempotent": _choice("idempotent"),
    "queue": _choice("queue"),
    "tags": lambda step: ", ".join(step.tags),
}
