"""Writes the last run of each runbook as a file for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from django_runbook.exceptions import InvalidUsage
from django_runbook.file_writing import replace_private
from django_runbook.reporters import phrases
from django_runbook.reporters.notifiers.notices import Notice
from django_runbook.results import Occasion, RunResult, RunStatus, StepStatus
from django_runbook.structs import Struct

# The collector runs as another user.
_MODE: Final = 0o644
_MAX_NAME_LENGTH: Final = 200
_PREFIX: Final = "django_runbook_last_"
_ESCAPED: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_SAMPLE: Final = re.compile(r'^(?P<name>\w+)\{(?P<labels>(?:[^"}]|"(?:[^"\\]|\\.)*")*)\} (?P<value>\S+)$', re.MULTILINE)


class Metric(Struct, kw_only=False):
    """Describes a metric, whose name lacks the common prefix."""

    name: str
    help: str


METRICS: Final = (
    Metric("start_timestamp_seconds", "When the last run started its first step."),
    Metric("end_timestamp_seconds", "When the last run ended."),
    Metric("success_timestamp_seconds", "When a run last ended without a failure."),
    Metric("duration_seconds", "How long the last run took."),
    Metric("exit_code", "The exit code of the last run."),
    Metric("status", "1 for the status of the last run, 0 for all others."),
    Metric("steps", "The number of steps of the last run by their status."),
)
Samples = dict[tuple[str, str], float]


class PrometheusNotifier:
    """Writes a file in ``directory``, which exists, for each runbook; a reader always finds a whole file."""

    default_occasions = frozenset(Occasion) - {Occasion.UNUSUAL}

    def __init__(self, *, directory: str | Path) -> None:
        if not isinstance(directory, str | Path) or not _is_absolute(directory):
            raise InvalidUsage('"directory" must be an absolute path')
        self._directory = Path(directory)

    def notify(self, notice: Notice) -> None:
        key = notice.runbook.key
        if not key:
            # The file of the runbook could not be read, so its name is unknown; the times that are there grow old.
            return
        path = self._directory / f"{_file_name(key)}.prom"
        # The collector refuses a metric with the same labels in two files.
        runbook = f'runbook="{_escaped(notice.run.name)}",file="{_escaped(key)}"'
        samples = {**_earlier(path, runbook), **dict(_samples(notice, runbook))}
        if not self._directory.is_dir():
            raise FileNotFoundError(f'the directory "{self._directory}" does not exist')
        replace_private(path, _text(samples).encode(), mode=_MODE)


def _is_absolute(directory: str | Path) -> bool:
    return Path(directory).is_absolute() and "\0" not in str(directory)


def _file_name(key: str) -> str:
    name = quote(key, safe="")
    return name if len(name) <= _MAX_NAME_LENGTH else hashlib.sha256(key.encode()).hexdigest()


def _escaped(text: str) -> str:
    return text.translate(_ESCAPED)


def _samples(notice: Notice, runbook: str) -> Iterator[tuple[tuple[str, str], float]]:
    result, seconds = notice.result, notice.at.timestamp()
    if result is None:
        yield ("start_timestamp_seconds", runbook), seconds
        return
    yield ("end_timestamp_seconds", runbook), seconds
    if result.status in {RunStatus.SUCCEEDED, RunStatus.WARNING}:
        yield ("success_timestamp_seconds", runbook), seconds
    yield ("duration_seconds", runbook), round(result.duration_seconds, 3)
    yield ("exit_code", runbook), result.exit_code
    for status in RunStatus:
        yield ("status", f'{runbook},status="{status}"'), int(result.status is status)
    counts = _counts(result)
    for step_status in StepStatus:
        yield ("steps", f'{runbook},status="{step_status}"'), counts[step_status]


def _counts(result: RunResult) -> Counter[StepStatus]:
    return Counter(step.status for step in result.steps if not step.is_group and not phrases.is_not_due(step))


def _earlier(path: Path, runbook: str) -> Samples:
    """Read what earlier runs have written, such as the time of the last success."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return {}
    found = ((match["name"].removeprefix(_PREFIX), match["labels"], match["value"]) for match in _SAMPLE.finditer(text))
    # A runbook that was renamed starts over.
    return {
        (name, labels): number
        for name, labels, value in found
        if labels.startswith(runbook) and (number := _number(value)) is not None
    }


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _text(samples: Samples) -> str:
    lines: list[str] = []
    for metric in METRICS:
        own = [(labels, value) for (name, labels), value in samples.items() if name == metric.name]
        if own:
            name = f"{_PREFIX}{metric.name}"
            lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} gauge"]
            lines += [f"{name}{{{labels}}} {value:.15g}" for labels, value in own]
    return "\n".join(lines) + "\n"
