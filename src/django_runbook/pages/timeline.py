"""Arranges attempts as the rows of a timeline, one for each step and each item of a loop."""

from __future__ import annotations

import datetime
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from django.utils.safestring import SafeString

from django_runbook import wording
from django_runbook.models import RUNNING, Run, seconds_between
from django_runbook.pages import formatting
from django_runbook.pages.attempt_rows import Attempt, retries
from django_runbook.pages.axis import Axis, Stretch, percent
from django_runbook.pages.item_progress import ItemProgress, item_progress
from django_runbook.results import Role, RunStatus, StepStatus
from django_runbook.structs import Struct, replace

_MAX_DEPTH: Final = 8
_ROLES: Final = {role.value: place for place, role in enumerate(Role)}
_INDEXES: Final = re.compile(r"\[([\d,]+)\]$")
_FAILURES: Final = {StepStatus.FAILED.value, StepStatus.TIMED_OUT.value, StepStatus.INTERRUPTED.value}


class Bar(Struct):
    """Draws one attempt to scale; ``text`` describes it."""

    status: str
    stretch: Stretch
    text: str


class Row(Struct):
    """Shows a step; ``key`` is the same during the whole run, and ``pk`` is that of its last attempt.

    ``worker`` is the queue or the worker of a step that does not run on the host of the run.
    """

    key: int
    pk: int
    step_id: str
    name: str
    kind: str
    status: str
    depth: int
    inside: str
    role: str
    note: str
    duration: str
    attempts_text: str
    progress: ItemProgress | None
    bars: tuple[Bar, ...]
    is_command: bool
    changed_at: datetime.datetime | None
    url: str
    failed_rows: FailedRowsLink | None
    worker: str = ""

    @property
    def html_id(self) -> str:
        return f"rb-{self.key}"

    @property
    def badge(self) -> SafeString:
        return formatting.badge(self.status)

    @property
    def bars_text(self) -> str:
        """Describe the bars."""
        return "; ".join(bar.text for bar in self.bars)

    @property
    def is_failure(self) -> bool:
        """Return whether it is a failed command; a group fails because of a step inside."""
        return self.is_command and self.status in _FAILURES

    @property
    def is_ignored(self) -> bool:
        """Return whether its failure was ignored, which gives the run a warning."""
        return self.is_command and self.status == formatting.IGNORED


class FailedRowsLink(Struct):
    """Links to the failed rows of a batch command."""

    count: int
    url: str

    @property
    def text(self) -> str:
        return wording.number_of(self.count, "failed row")


class StatusShare(Struct):
    """Counts the steps with a status, and locates their section of the bar of all steps."""

    status: str
    count: int
    x: str
    width: str

    @property
    def label(self) -> str:
        return formatting.counted(self.status)


class Timeline(Struct):
    axis: Axis
    rows: tuple[Row, ...]

    @property
    def failures(self) -> list[Row]:
        """Return the steps that failed, then those whose failures were ignored."""
        failed = [row for row in self.rows if row.is_failure]
        return [*failed, *(row for row in self.rows if row.is_ignored)]


class RowContext(Struct):
    """Holds the input of the rows besides the attempts.

    ``now`` is None if no process is running; ``is_dead`` means that it died; ``url_of`` returns the URL of an attempt.
    """

    now: datetime.datetime | None
    is_dead: bool
    url_of: Callable[[int], str]
    failed_rows: Mapping[str, FailedRowsLink]
    workers: Mapping[str, str]
    # The groups in which a failure was ignored.
    warned: frozenset[str] = frozenset()


def timeline_of(run: Run, attempts: Sequence[Attempt], context: RowContext) -> Timeline:
    """Create the timeline of a run, in the order of the definitions of its steps."""
    axis = Axis.of(run, attempts, now=context.now)
    steps: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        steps[attempt.step_id].append(attempt)
    ignored = (mine[-1].group_ids for mine in steps.values() if mine[-1].ignored)
    context = replace(context, warned=frozenset(group for groups in ignored for group in groups))
    children: dict[str, list[str]] = defaultdict(list)
    for step_id, mine in steps.items():
        # A group may be missing because there are too many rows.
        parent = next((group for group in reversed(mine[-1].group_ids) if group in steps and group != step_id), "")
        children[parent].append(step_id)

    def walk(group: str, *, depth: int, path: str, role: str) -> Iterator[Row]:
        for step_id in sorted(children.pop(group, ()), key=lambda step_id: _place(steps[step_id])):
            mine = steps[step_id]
            last = mine[-1]
            yield _row(mine, context, axis, depth=depth, inside=path, is_first_of_role=last.role != role)
            yield from walk(step_id, depth=depth + 1, path=last.name, role=last.role)

    return Timeline(axis=axis, rows=tuple(walk("", depth=0, path="", role=Role.STEP.value)))


def shares(rows: Iterable[Row], *, step_count: int, succeeded_count: int = 0) -> list[StatusShare]:
    """Count the commands of the file by status; the rest of the bar is for commands without a row."""
    counts = Counter(row.status for row in rows if row.is_command)
    counts[StepStatus.SUCCEEDED.value] += succeeded_count
    total = max(step_count, sum(counts.values()), 1)
    found, place = [], 0.0
    for status in formatting.LABELS:
        if counts[status]:
            width = 100 * counts[status] / total
            found.append(StatusShare(status=status, count=counts[status], x=percent(place), width=percent(width)))
            place += width
    return found


def _place(attempts: Sequence[Attempt]) -> tuple[int, int, tuple[int, ...], int]:
    """Return the sort key of a step in its group, whose steps are in one file; items of a loop are on one line."""
    last = attempts[-1]
    found = _INDEXES.search(last.step_id)
    indexes = tuple(int(index) for index in found[1].split(",")) if found else ()
    return _ROLES.get(last.role, 0), last.line, indexes, attempts[0].pk


def _row(
    attempts: Sequence[Attempt], context: RowContext, axis: Axis, *, depth: int, inside: str, is_first_of_role: bool
) -> Row:
    last = attempts[-1]
    tried = [attempt for attempt in attempts if attempt.started_at is not None]
    return Row(
        key=attempts[0].pk,
        pk=last.pk,
        step_id=last.step_id,
        name=last.name or last.step_id,
        kind=last.kind,
        status=_status(last, context),
        depth=min(depth, _MAX_DEPTH),
        inside=inside,
        role=formatting.ROLES.get(last.role, last.role) if is_first_of_role else "",
        note=_note(last),
        duration=_took(attempts, context),
        attempts_text=f"{formatting.number(len(tried))} attempts" if len(tried) > 1 else "",
        progress=item_progress(attempts, now=context.now),
        bars=tuple(
            _bar(attempt, context, axis, is_retry=is_retry)
            for attempt, is_retry in zip(tried, retries(tried), strict=True)
        ),
        is_command=last.kind == "command",
        changed_at=last.finished_at or last.started_at,
        url=context.url_of(last.pk),
        failed_rows=context.failed_rows.get(last.step_id),
        worker=context.workers.get(last.step_id, ""),
    )


def _status(attempt: Attempt, context: RowContext) -> str:
    status = formatting.attempt_status(attempt.status, ignored=attempt.ignored, is_dead=context.is_dead)
    is_warned = status == StepStatus.SUCCEEDED and attempt.step_id in context.warned
    return RunStatus.WARNING.value if is_warned else status


def _note(attempt: Attempt) -> str:
    if attempt.message and attempt.kind == "command":
        is_plain = attempt.error_type in {"", "CommandError", "SystemExit"}
        first = (attempt.message.splitlines() or [""])[0]
        return first if is_plain else f"{attempt.error_type}: {first}"
    return attempt.reason


def _took(attempts: Sequence[Attempt], context: RowContext) -> str:
    """Format the duration of a step in the last attempt of the run, with its retries and the pauses between them."""
    last = attempts[-1]
    if last.duration_seconds is not None:
        return formatting.took(last.duration_seconds)
    begins = [one.started_at for one in attempts if one.run_attempt == last.run_attempt and one.started_at is not None]
    end = last.finished_at or (context.now if last.status == RUNNING else None)
    return formatting.took(seconds_between(begins[0] if begins else None, end))


def _bar(attempt: Attempt, context: RowContext, axis: Axis, *, is_retry: bool) -> Bar:
    assert attempt.started_at is not None
    status = _status(attempt, context)
    seconds = attempt.took_seconds(is_retry=is_retry, now=context.now)
    # The clock may have been set back, so the stored end is not used.
    end = None if seconds is None else attempt.started_at + datetime.timedelta(seconds=seconds)
    took = formatting.took(seconds)
    return Bar(
        status=status,
        stretch=axis.stretch(attempt.started_at, end, attempt.run_attempt),
        text=f"attempt {attempt.attempt}: {formatting.LABELS.get(status, status)}{f', {took}' if took else ''}",
    )
