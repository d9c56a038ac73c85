"""Formats the states of runbooks for people and for monitoring systems."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from django_runbook import wording
from django_runbook.monitoring.states import RunbookState, ScheduleState

_WARNINGS: Final = frozenset((ScheduleState.LATE,))
# The exit codes of the plugins of Nagios, which Icinga and others share.
NAGIOS_OK, NAGIOS_WARNING, NAGIOS_CRITICAL, NAGIOS_UNKNOWN = range(4)
_NAGIOS: Final = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


def has_problems(states: Sequence[RunbookState]) -> bool:
    return any(state.problems for state in states)


def exit_code(states: Sequence[RunbookState], format_: str) -> int:
    """Return the exit code that the users of a format expect."""
    if format_ == "prometheus":
        # The metrics say it; a collector would drop them after a failure.
        return 0
    if format_ == "nagios":
        return _nagios_code(states)
    return 1 if has_problems(states) else 0


def as_text(states: Sequence[RunbookState]) -> str:
    """Return one line for each runbook."""
    if not states:
        return "no runbook has a schedule"
    names = [_line(state.runbook) for state in states]
    width = max(map(len, names))
    return "\n".join(
        f"{state.state.value:<8} {name:<{width}}  {_line(state.text) or _next_text(state)}".rstrip()
        for name, state in zip(names, states, strict=True)
    )


def as_json(states: Sequence[RunbookState]) -> str:
    """Return a list of objects."""
    return json.dumps([_as_dict(state) for state in states], indent=2)


def as_prometheus(states: Sequence[RunbookState]) -> str:
    """Return metrics in the text format of Prometheus."""
    lines = [
        "# HELP django_runbook_state Whether the runbook is in this state.",
        "# TYPE django_runbook_state gauge",
    ]
    for state in states:
        found = {problem.state for problem in state.problems} or {ScheduleState.OK}
        lines += [
            f'django_runbook_state{{runbook="{_label(state.runbook)}",state="{one.value}"}} {int(one in found)}'
            for one in ScheduleState
        ]
    for name, text, at_of in _TIMES:
        known = [(state, at) for state in states if (at := at_of(state)) is not None]
        if known:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
            lines += [f'{name}{{runbook="{_label(state.runbook)}"}} {at.timestamp():.0f}' for state, at in known]
    return "\n".join(lines)


def as_nagios(states: Sequence[RunbookState]) -> str:
    """Return a line for Nagios with counts as performance data, and one for each problem."""
    code = _nagios_code(states)
    counts = Counter(state.state for state in states)
    words = ", ".join(
        f"{counts[one]} {one.value}" for one in reversed(ScheduleState) if one is not ScheduleState.OK and counts[one]
    )
    checked = wording.number_of(len(states), "runbook")
    problems = [f"{_plain(state.runbook)}: {_plain(state.text)}" for state in states if state.problems]
    data = " ".join(f"{one.value}={counts[one]}" for one in ScheduleState)
    return "\n".join([f"RUNBOOKS {_NAGIOS[code]} - {words or 'all ran'} of {checked} | {data}", *problems])


FORMATS: Final[Mapping[str, Callable[[Sequence[RunbookState]], str]]] = {
    "text": as_text,
    "json": as_json,
    "prometheus": as_prometheus,
    "nagios": as_nagios,
}
_TIMES: Final[tuple[tuple[str, str, Callable[[RunbookState], datetime.datetime | None]], ...]] = (
    ("django_runbook_last_start_seconds", "When the last run started.", lambda state: state.last_started_at),
    (
        "django_runbook_last_success_seconds",
        "When the last successful run started.",
        lambda state: state.last_success_at,
    ),
    ("django_runbook_next_due_seconds", "When the runbook is due next.", lambda state: state.next_due_at),
)


def _nagios_code(states: Sequence[RunbookState]) -> int:
    if not has_problems(states):
        return NAGIOS_OK
    is_warning = all(state.state in _WARNINGS for state in states if state.problems)
    return NAGIOS_WARNING if is_warning else NAGIOS_CRITICAL


def _as_dict(state: RunbookState) -> dict[str, object]:
    return {
        "runbook": state.runbook,
        "state": state.state.value,
        "problems": [
            {"state": problem.state.value, "text": problem.text, "since": _iso(problem.since)}
            for problem in state.problems
        ],
        "last_started_at": _iso(state.last_started_at),
        "last_success_at": _iso(state.last_success_at),
        "next_due_at": _iso(state.next_due_at),
    }


def _iso(at: datetime.datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _next_text(state: RunbookState) -> str:
    return "" if state.next_due_at is None else f"next due at {state.next_due_at:%Y-%m-%d %H:%M %Z}"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _plain(text: str) -> str:
    # What follows a bar is performance data.
    return _line(text).replace("|", "/")


def _line(text: str) -> str:
    # The name of a file may have line breaks.
    return " ".join(text.split())
