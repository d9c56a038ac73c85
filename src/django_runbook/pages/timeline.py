"""The attempts of a run's steps to the rows of its timeline: one for each step and each item of a loop."""

from __future__ import annotations

import datetime
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from django.utils.safestring import SafeString

from django_runbook.models import RUNNING, Run, seconds_between
from django_runbook.pages import words
from django_runbook.pages.attempts import Attempt, retries
from django_runbook.pages.axis import Axis, Stretch, percent
from django_runbook.pages.progress import Progress, progress_of
from django_runbook.results import Role, RunStatus, StepStatus

_MAX_DEPTH: Final = 8
_ROLES: Final = {role.value: place for place, role in enumerate(Role)}
_INDEXES: Final = re.compile(r"\[([\d,]+)\]$")
_FAILURES: Final = {StepStatus.FAILED.value, StepStatus.TIMED_OUT.value, StepStatus.INTERRUPTED.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One attempt, to scale; ``text`` says the same in words."""

    look: str
    stretch: Stretch
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A step as the timeline shows it. ``key`` stays the same while the run goes on; ``pk`` is its last attempt."""

    key: int
    pk: int
    step_id: str
    name: str
    kind: str
    look: str
    depth: int
    inside: str
    role: str
    note: str
    duration: str
    tries: str
    progress: Progress | None
    bars: tuple[Bar, ...]
    is_command: bool
    changed_at: datetime.datetime | None
    url: str
    failed_rows: FailedRowsLink | None

    @property
    def mark(self) -> str:
        """Its id on the page."""
        return f"rb-{self.key}"

    @property
    def badge(self) -> SafeString:
        return words.badge(self.look)

    @property
    def bars_text(self) -> str:
        """The bars in words."""
        return "; ".join(bar.text for bar in self.bars)

    @property
    def is_failure(self) -> bool:
        """Whether the run failed for it: a handler's failure is one too, a group's is that of a step inside."""
        return self.is_command and self.look in _FAILURES

    @property
    def is_ignored(self) -> bool:
        """Whether its failure was ignored, which makes the run one with a warning."""
        return self.is_command and self.look == words.IGNORED


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRowsLink:
    """Links to the failed rows of a batch command, with their number."""

    count: int
    url: str

    @property
    def text(self) -> str:
        return f"{words.number(self.count)} failed row{'' if self.count == 1 else 's'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many steps are in a state, and their part of a bar of all."""

    look: str
    count: int
    x: str
    width: str

    @property
    def label(self) -> str:
        return words.counted(self.look)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    axis: Axis
    rows: tuple[Row, ...]

    @property
    def failures(self) -> list[Row]:
        """Return the steps that failed, then those whose failures were ignored."""
        failed = [row for row in self.rows if row.is_failure]
        return [*failed, *(row for row in self.rows if row.is_ignored)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the rows need besides the attempts. ``now`` is None where no process is at work; ``is_gone`` says that it
    died; ``url_of`` leads from the key of an attempt to its page."""

    now: datetime.datetime | None
    is_gone: bool
    url_of: Callable[[int], str]
    failed_rows: Mapping[str, FailedRowsLink]
    # The groups in which the failure of a step was ignored.
    warned: frozenset[str] = frozenset()


def timeline_of(run: Run, attempts: Sequence[Attempt], frame: Frame) -> Timeline:
    """The timeline of a run, in the order in which its steps stand in their files."""
    axis = Axis.of(run, attempts, now=frame.now)
    steps: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        steps[attempt.step_id].append(attempt)
    allowed = (mine[-1].group_ids for mine in steps.values() if mine[-1].ignored)
    frame = replace(frame, warned=frozenset(group for groups in allowed for group in groups))
    below: dict[str, list[str]] = defaultdict(list)
    for step_id, mine in steps.items():
        # A group that is not among the rows, because there are too many, cannot hold any.
        around = next((group for group in reversed(mine[-1].group_ids) if group in steps and group != step_id), "")
        below[around].append(step_id)

    def walk(group: str, *, depth: int, path: str, role: str) -> Iterator[Row]:
        for step_id in sorted(below.pop(group, ()), key=lambda step_id: _place(steps[step_id])):
            mine = steps[step_id]
            last = mine[-1]
            yield _row(mine, frame, axis, depth=depth, inside=path, is_first_of_role=last.role != role)
            yield from walk(step_id, depth=depth + 1, path=last.name, role=last.role)

    return Timeline(axis=axis, rows=tuple(walk("", depth=0, path="", role=Role.STEP.value)))


def shares(rows: Iterable[Row], *, step_count: int, succeeded_count: int = 0) -> list[Share]:
    """How many commands of the file are in which state, those that are to come with the ones that were not run."""
    counts = Counter(row.look for row in rows if row.is_command)
    counts[StepStatus.SUCCEEDED.value] += succeeded_count
    total = max(step_count, sum(counts.values()), 1)
    found, place = [], 0.0
    for look in words.LABELS:
        if counts[look]:
            width = 100 * counts[look] / total
            found.append(Share(look=look, count=counts[look], x=percent(place), width=percent(width)))
            place += width
    return found


def _place(attempts: Sequence[Attempt]) -> tuple[int, int, tuple[int, ...], int]:
    """Where a step stands among its neighbours: those of a group are in one file, the items of a loop on one line."""
    last = attempts[-1]
    found = _INDEXES.search(last.step_id)
    indexes = tuple(int(index) for index in found[1].split(",")) if found else ()
    return _ROLES.get(last.role, 0), last.line, indexes, attempts[0].pk


def _row(
    attempts: Sequence[Attempt], frame: Frame, axis: Axis, *, depth: int, inside: str, is_first_of_role: bool
) -> Row:
    last = attempts[-1]
    tried = [attempt for attempt in attempts if attempt.started_at is not None]
    return Row(
        key=attempts[0].pk,
        pk=last.pk,
        step_id=last.step_id,
        name=last.name or last.step_id,
        kind=last.kind,
        look=_look(last, frame),
        depth=min(depth, _MAX_DEPTH),
        inside=inside,
        role=words.ROLES.get(last.role, last.role) if is_first_of_role else "",
        note=_note(last),
        duration=_took(attempts, frame),
        tries=f"{words.number(len(tried))} attempts" if len(tried) > 1 else "",
        progress=progress_of(attempts, now=frame.now),
        bars=tuple(
            _bar(attempt, frame, axis, is_retry=is_retry)
            for attempt, is_retry in zip(tried, retries(tried), strict=True)
        ),
        is_command=last.kind == "command",
        changed_at=last.finished_at or last.started_at,
        url=frame.url_of(last.pk),
        failed_rows=frame.failed_rows.get(last.step_id),
    )


def _look(attempt: Attempt, frame: Frame) -> str:
    look = words.look_of(attempt.status, ignored=attempt.ignored, is_gone=frame.is_gone)
    is_warned = look == StepStatus.SUCCEEDED and attempt.step_id in frame.warned
    return RunStatus.WARNING.value if is_warned else look


def _note(attempt: Attempt) -> str:
    if attempt.message and attempt.kind == "command":
        is_plain = attempt.error_type in {"", "CommandError", "SystemExit"}
        first = (attempt.message.splitlines() or [""])[0]
        return first if is_plain else f"{attempt.error_type}: {first}"
    return attempt.reason


def _took(attempts: Sequence[Attempt], frame: Frame) -> str:
    """Write how long a step took in the last attempt of the run, with its retries and the pauses between them."""
    last = attempts[-1]
    if last.duration_seconds is not None:
        return words.took(last.duration_seconds)
    begins = [one.started_at for one in attempts if one.run_attempt == last.run_attempt and one.started_at is not None]
    end = last.finished_at or (frame.now if last.status == RUNNING else None)
    return words.took(seconds_between(begins[0] if begins else None, end))


def _bar(attempt: Attempt, frame: Frame, axis: Axis, *, is_retry: bool) -> Bar:
    assert attempt.started_at is not None
    look = _look(attempt, frame)
    seconds = attempt.took_seconds(is_retry=is_retry, now=frame.now)
    # An end that is earlier than its begin is that of a clock which was set back.
    end = None if seconds is None else attempt.started_at + datetime.timedelta(seconds=seconds)
    took = words.took(seconds)
    return Bar(
        look=look,
        stretch=axis.stretch(attempt.started_at, end, attempt.run_attempt),
        text=f"attempt {attempt.attempt}: {words.LABELS.get(look, look)}{f', {took}' if took else ''}",
    )
