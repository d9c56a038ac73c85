"""Lists the schedulers that schedules can be rendered for, with the options that each one knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from django_runbook.exceptions import InvalidUsage
from django_runbook.schedules import celery_beat, crontab, github, kubernetes, systemd
from django_runbook.schedules.job import Installation, Job
from django_runbook.structs import Struct, field


class OptionForm(Struct, kw_only=False):
    """Describes the values of an option that a scheduler can read: a pattern, and the same in words."""

    pattern: str
    words: str


class Scheduler(Struct):
    """Describes a scheduler: what renders its files, the options that it knows and those that it needs.

    If ``is_local``, paths have defaults, those of this installation. ``separator`` joins files on standard output.
    ``files`` are the patterns of the names that it writes, and ``forms`` those of options that it reads strictly.
    """

    render: Callable[[Sequence[Job], Installation], Mapping[str, str]]
    files: tuple[str, ...]
    options: frozenset[str]
    required: frozenset[str] = frozenset()
    is_local: bool = False
    separator: str = "\n"
    forms: Mapping[str, OptionForm] = field(default_factory=dict)


_PATHS: Final = {"python", "manage", "directory"}
# A backslash at the end of a line of systemd continues it.
_ABSOLUTE: Final = OptionForm(r"/.*(?<!\\)", "an absolute path without a backslash at its end")
_ONE_WORD: Final = OptionForm(r"[^\s\\]+", "one word")
_OBJECT_NAME: Final = OptionForm(
    r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", "lower-case letters, digits, hyphens and dots, as in any name of Kubernetes"
)
SCHEDULERS: Final[Mapping[str, Scheduler]] = {
    "crontab": Scheduler(
        render=crontab.render,
        files=(crontab.FILE_NAME,),
        options=frozenset({*_PATHS, "user", "mailto"}),
        is_local=True,
        forms={"user": _ONE_WORD},
    ),
    "systemd": Scheduler(
        render=systemd.render,
        files=("*.service", "*.timer"),
        options=frozenset({*_PATHS, "user", "env_file", "on_failure"}),
        is_local=True,
        forms={
            "python": OptionForm(r"/.*|[^/]+", "an absolute path, or a name without a slash"),
            "directory": _ABSOLUTE,
            "env_file": OptionForm(rf"-?{_ABSOLUTE.pattern}", _ABSOLUTE.words),
            "user": _ONE_WORD,
        },
    ),
    "kubernetes": Scheduler(
        render=kubernetes.render,
        files=("*.yaml",),
        options=frozenset({*_PATHS, "image", "namespace", "secret"}),
        required=frozenset({"image"}),
        separator="---\n",
        forms={
            "directory": OptionForm("/.*", "an absolute path"),
            "namespace": _OBJECT_NAME,
            "secret": _OBJECT_NAME,
        },
    ),
    "celery-beat": Scheduler(
        render=celery_beat.render,
        files=(celery_beat.FILE_NAME,),
        options=frozenset({"task"}),
        required=frozenset({"task"}),
    ),
    "github": Scheduler(render=github.render, files=("*.yml",), options=frozenset({*_PATHS, "image", "setup"})),
}


def refuse_options(target: str, given: Mapping[str, str | None]) -> None:
    """Raise InvalidUsage for an option that the scheduler does not know, or for one that it needs."""
    known = SCHEDULERS[target]
    for name, value in given.items():
        flag = f"--{name.replace('_', '-')}"
        if value is not None and not value.isprintable():
            raise InvalidUsage(f"{flag} must be printable text of one line")
        if value is not None and name not in known.options:
            owners = ", ".join(other for other, one in SCHEDULERS.items() if name in one.options)
            raise InvalidUsage(f"{flag} has no meaning with --to {target}, only with {owners}")
        if value is not None and (form := known.forms.get(name)) and not re.fullmatch(form.pattern, value):
            raise InvalidUsage(f'{flag} "{value}" does not work with --to {target}: it must be {form.words}')
        if value is None and name in known.required:
            raise InvalidUsage(f"--to {target} needs {flag}")
