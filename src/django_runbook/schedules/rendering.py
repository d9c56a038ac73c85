"""Renders the schedules of a project for a scheduler, and compares the result with the files of a folder."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from django_runbook import checking, conf, lookup
from django_runbook.document.diagnostics import has_errors
from django_runbook.document.runbook import Runbook
from django_runbook.exceptions import InvalidRunbook, InvalidUsage
from django_runbook.file_writing import replace_shared
from django_runbook.schedules.job import Installation, Job, new_job
from django_runbook.schedules.schedulers import SCHEDULERS

_MARK: Final = 'rendered by "manage.py render_schedule"'
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9]+")


class NoSchedule(InvalidUsage):
    """Reports a project without any schedule."""


def render(files: Collection[str], target: str, place: Installation) -> dict[str, str]:
    """Return the files of a scheduler by their names, for these runbooks or for all that have a schedule.

    Raises InvalidRunbook if a runbook has errors, and InvalidUsage if the scheduler cannot express a schedule.
    """
    jobs = list(_jobs(files, place))
    if not jobs:
        raise NoSchedule('no runbook of this project has a "schedule"')
    _refuse_equal_names(jobs)
    sources = {job.name: job.file for job in jobs}
    rendered = SCHEDULERS[target].render(jobs, place)
    return {name: f"# {name}, {_MARK}{_source(name, sources)}\n{text}" for name, text in rendered.items()}


def in_one_text(rendered: Mapping[str, str], target: str) -> str:
    """Join the files of a scheduler for standard output."""
    return SCHEDULERS[target].separator.join(rendered.values())


def stale_files(rendered: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Yield which files of a folder are missing or out of date."""
    for name, text in rendered.items():
        path = folder / name
        if not path.is_file():
            yield f'"{path}" is missing'
        elif path.read_bytes() != text.encode():
            yield f'"{path}" is out of date'


def left_over(rendered: Collection[str], folder: Path, target: str) -> list[str]:
    """Return which files of a folder were rendered from a schedule that is gone; those of other schedulers stay."""
    found = sorted(path for pattern in SCHEDULERS[target].files for path in folder.glob(pattern))
    return [
        f'"{path}" has no schedule any more: delete it'
        for path in found
        if path.name not in rendered and path.is_file() and _is_rendered(path)
    ]


def write(rendered: Mapping[str, str], folder: Path) -> None:
    """Write the files that are new or have changed; on an error, each file is the old one or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {folder / name: text.encode() for name, text in rendered.items()}
    replace_shared({path: new for path, new in contents.items() if not path.is_file() or path.read_bytes() != new})


def _is_rendered(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as lines:
        return _MARK in lines.readline(1000)


def _source(name: str, sources: Mapping[str, str]) -> str:
    source = sources.get(name.rpartition(".")[0])
    return f" from {source}" if source else ""


def _jobs(files: Collection[str], place: Installation) -> Iterator[Job]:
    configuration = conf.read()
    paths = [lookup.find(name, configuration)[0] for name in files] or lookup.find_all(configuration)
    for path in paths:
        loaded = checking.load(path, name=lookup.label(path), configuration=configuration)
        runbook = loaded.runbook
        if runbook is None or has_errors(loaded.diagnostics):
            raise InvalidRunbook(f"{loaded.path} has errors: see check_runbooks")
        if runbook.schedule is None:
            if files:
                raise InvalidUsage(f'{loaded.path} has no "schedule"')
            continue
        _refuse_missing_params(runbook, place.arguments or ())
        key = lookup.key_of(path, configuration)
        is_inside = not Path(key).is_absolute()
        yield new_job(
            runbook,
            runbook.schedule,
            name=_NOT_IN_NAMES.sub("-", str(Path(key if is_inside else path.name).with_suffix("")).lower()).strip("-"),
            file=key if is_inside else lookup.label(path),
            stop_timeout_seconds=configuration.stop_timeout_seconds,
        )


def _refuse_missing_params(runbook: Runbook, arguments: Sequence[str]) -> None:
    given = {word.removeprefix("--param=").partition("=")[0] for word in arguments}
    missing = [param.name for param in runbook.params if param.default is None and param.name not in given]
    if missing:
        raise InvalidUsage(
            f"{runbook.path} cannot be started by a scheduler: it needs a value for {', '.join(missing)}; "
            f'declare a default, or use --arguments="--param {missing[0]}=..."'
        )


def _refuse_equal_names(jobs: Sequence[Job]) -> None:
    seen: dict[str, Job] = {}
    for job in jobs:
        if not job.name:
            raise InvalidUsage(
                f"{job.file}: its name has no letter or digit from which a name for a scheduler can be made"
            )
        if not job.file.isprintable():
            raise InvalidUsage(
                f"{job.file!a}: its name has a character that is not printable, which no scheduler accepts"
            )
        if job.name in seen:
            raise InvalidUsage(f'{seen[job.name].file} and {job.file} would both be called "{job.name}": rename one')
        seen[job.name] = job
