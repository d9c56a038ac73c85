"""Lists the schedulers that schedules can be rendered for, with the options that each one knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from django_runbook.exceptions import InvalidUsage
from django_runbook.schedules import celery_beat, crontab, github, kubernetes, systemd
from django_runbook.schedules.job import Installation, Job
from django_runbook.structs import Struct


class Scheduler(Struct):
    """Describes a scheduler: what renders its files, the options that it knows and those that it needs.

    If ``is_local``, paths have defaults, those of this installation. ``separator`` joins files on standard output.
    """

    render: Callable[[Sequence[Job], Installation], Mapping[str, str]]
    options: frozenset[str]
    required: frozenset[str] = frozenset()
    is_local: bool = False
    separator: str = "\n"


_PATHS: Final = {"python", "manage", "directory"}
SCHEDULERS: Final[Mapping[str, Scheduler]] = {
    "crontab": Scheduler(render=crontab.render, options=frozenset({*_PATHS, "user", "mailto"}), is_local=True),
    "systemd": Scheduler(
        render=systemd.render, options=frozenset({*_PATHS, "user", "env_file", "on_failure"}), is_local=True
    ),
    "kubernetes": Scheduler(
        render=kubernetes.render,
        options=frozenset({*_PATHS, "image", "namespace", "secret"}),
        required=frozenset({"image"}),
        separator="---\n",
    ),
    "celery-beat": Scheduler(render=celery_beat.render, options=frozenset({"task"}), required=frozenset({"task"})),
    "github": Scheduler(render=github.render, options=frozenset({*_PATHS, "image", "setup"})),
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
        if value is None and name in known.required:
            raise InvalidUsage(f"--to {target} needs {flag}")
