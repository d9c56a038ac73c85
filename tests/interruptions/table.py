"""Writes what a walk has seen as the tables of the page in the docs, and finds what no cell may show."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Seen = Mapping[str, Any]
HEAD: Final = (
    "| what happens | exit code | run | steps that have not succeeded | the report says | `--resume` |\n"
    "|---|---|---|---|---|---|\n"
)
EVENTS: Final = {
    "one signal": "one signal",
    "two signals": "two signals",
    "storm": "a storm of signals",
    "killed child": "its process is killed",
    "killed server": "the server is killed",
    "database away": "the database is away",
}
# In the order of the runbooks; those of `finally` run in each attempt.
_STEPS: Final = ("migrate", "one", "two", "both", "left", "right", "three", "tell", "more", "clean", "last")
_FINALLY: Final = ("clean", "last")
_SAID: Final = (
    "stopping after the current command",
    "ending the current command",
    "the run was stopped before attempt 2",
    "the run was stopped; the lock",
    "its process was ended by SIGKILL",
    "it was ended because the process that watches over it was killed",
    "this run was not recorded",
)
# Whichever finds first that the database is away: the history, a lock that is held, or one that is waited for.
_AWAITED: Final = re.compile(
    r"^ +waiting  .*(the run history database|the store of the lock|the locks in the database)", re.MULTILINE
)
_ENDS: Final = {
    "is in doubt": r"was interrupted and its outcome is unknown",
    "it has succeeded": r"has succeeded and cannot be resumed",
    "it has ended with a warning": r"ended with a warning and cannot be resumed",
    "it had not begun": r"had not begun; start a new run",
    "it was not recorded": r"nothing to resume: the tables",
}
_SUMMARY: Final = re.compile(
    r"^(succeeded|warning|failed|interrupted): .*\bin [\dhms.]+(?:, exit code (\d+))?$", re.MULTILINE
)


def table_of(cells: Sequence[Seen]) -> str:
    """Return the rows of one moment."""
    return HEAD + "".join(f"| {' | '.join(_row(cell))} |\n" for cell in cells)


def _row(cell: Seen) -> Iterator[str]:
    runs, steps = cell["rows"]["runs"], cell["rows"]["steps"]
    has_none = not cell["had_process"] and cell["event"] == "killed child"
    yield EVENTS[cell["event"]] + (": there is none" if has_none else "")
    yield str(cell["exit_code"])
    yield runs[0][0] if runs else "not recorded"
    others = [f"`{name}` {steps[name]}" for name in _in_order(steps) if steps[name] != "succeeded"]
    yield ", ".join(others) or ("none" if steps else "—")
    said = ["waiting"] if _AWAITED.search(cell["text"]) else []
    yield ", ".join(f'"{text}"' for text in [*said, *(text for text in _SAID if text in cell["text"])]) or "—"
    yield _resumed(cell)


def _resumed(cell: Seen) -> str:
    resumed = cell["resume"]
    if resumed["exit_code"] == 0:
        return f"runs {_names(resumed['begun'])}"
    why = next((words for words, text in _ENDS.items() if re.search(text, resumed["text"])), resumed["text"])
    if why == "is in doubt":
        doubted = _in_order(
            re.findall(r'^(?:CommandError: )?step "(\w+)" was interrupted', resumed["text"], re.MULTILINE)
        )
        why = f"{' and '.join(f'`{name}`' for name in doubted)} in doubt"
    again = f"; the file again runs {_names(cell['again']['begun'])}" if "again" in cell else ""
    return f"ends with {resumed['exit_code']}: {why}{again}"


def _names(begun: list[str]) -> str:
    names = [f"`{name}`" for name in _in_order(begun) if name not in _FINALLY]
    return ", ".join([*names, "`finally`"])


def _in_order(names: Any) -> list[str]:
    return [name for name in _STEPS if name in names]


def failures(cell: Seen) -> Iterator[str]:
    """Yield what is wrong, whatever the page says of the cell."""
    if "error" in cell:
        yield cell["error"]
        return
    runs, steps, resumed = cell["rows"]["runs"], cell["rows"]["steps"], cell["resume"]
    summary = _SUMMARY.findall(cell["text"])
    if len(summary) != 1 or int(summary[0][1] or 0) != cell["exit_code"]:
        yield f"the report has no summary with the exit code {cell['exit_code']}"
    elif runs and runs[-1] != [summary[0][0], cell["exit_code"]]:
        yield f"the row says {runs[-1]}, and the report {summary[0]}"
    if cell["text"].count("Traceback"):
        yield "the report shows a traceback"
    if "running" in {*steps.values(), *(status for status, _ in runs)}:
        yield f"a row says that it is running: {cell['rows']}"
    is_begun = bool(cell["begun"]) or bool(steps)
    if is_begun and not set(_FINALLY) <= set(cell["begun"]):
        yield f"finally did not run: {cell['begun']}"
    again = [name for name in resumed["begun"] if steps.get(name) == "succeeded" and name not in _FINALLY]
    if again:
        yield f"--resume has repeated {again}"
    last = cell.get("again", resumed)
    if last["exit_code"] == 0 and not set(_FINALLY) <= set(last["begun"]):
        yield f"the second attempt did not reach its end: {last['begun']}"
    if "Traceback" in resumed["text"] or (resumed["exit_code"] and len(resumed["text"].splitlines()) > 2):
        yield f"--resume says more than a line: {resumed['text']}"
