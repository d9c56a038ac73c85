"""The moments of a run at which something may happen to it, each with a runbook that stays there."""

from __future__ import annotations

from dataclasses import dataclass

from tests.interruptions.apps import WAITS_BETWEEN, WAITS_IN_MIGRATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A moment, by its heading in the docs.

    ``steps`` is the runbook without its ``finally``. The run is there when the file ``shows_in`` has the text
    ``shown``. ``working`` is the step that is at work then, and ``has_others``
    says that others are at work beside it. ``ends_by_signal`` says that a first signal ends the moment
    by itself; ``has_finally`` that the run then has steps of ``finally`` to run. ``asks`` names the file by which the run is asked to stay, ``waits_for_lock`` that its lock is held.
    ``needs_tables`` says that the history has its tables before the run.
    """

    heading: str
    steps: str
    shows_in: str = "log"
    shown: str = ""
    working: str = ""
    ends_by_signal: bool = False
    has_finally: bool = True
    has_others: bool = False
    asks: str = ""
    waits_for_lock: bool = False
    waits_for_answer: bool = False
    needs_tables: bool = True
    clean: str = "stay clean --until tidy"

    @property
    def key(self) -> str:
        """Return the heading as part of a file name."""
        return self.heading.lower().replace(" ", "-").replace("'", "")

    def text(self, *, lock: str, delay: str) -> str:
        """Return the runbook."""
        steps = self.steps.replace("LOCK", lock).replace("DELAY", delay)
        return f"{steps}finally:\n  - {{id: clean, command: {self.clean}}}\n  - {{id: last, command: stay last}}\n"


_ONE = "steps:\n  - {id: one, command: stay one}\n"
_THREE = "  - {id: three, command: stay three}\n"

MOMENTS = (
    Moment(
        heading="Before the tables exist",
        steps="steps:\n  - {id: migrate, command: migrate --verbosity 0}\n" + _THREE,
        shows_in="there",
        working="migrate",
        asks=WAITS_IN_MIGRATE,
        needs_tables=False,
    ),
    Moment(
        heading="In the wait for the run's lock",
        steps="lock: {name: LOCK, on_conflict: wait}\n" + _ONE + _THREE,
        shows_in="output",
        shown="waiting",
        ends_by_signal=True,
        has_finally=False,
        waits_for_lock=True,
    ),
    Moment(
        heading="In a step",
        steps=_ONE + "  - {id: two, command: stay two --until go}\n" + _THREE,
        shown="begin two",
        working="two",
    ),
    Moment(heading="Between steps", steps=_ONE + _THREE, shows_in="there", asks=WAITS_BETWEEN),
    Moment(
        heading="In a retry's delay",
        steps=_ONE
        + "  - id: two\n    command: stay two --fail-unless go\n    retry: {attempts: 2, delay: DELAY, jitter: false}\n"
        + _THREE,
        shows_in="output",
        shown="attempt 1 of 2",
        ends_by_signal=True,
    ),
    Moment(
        heading="In the wait for a step's lock",
        steps=_ONE + "  - id: two\n    command: stay two\n    lock: {name: LOCK, on_conflict: wait}\n" + _THREE,
        shows_in="output",
        shown="waiting",
        ends_by_signal=True,
        waits_for_lock=True,
    ),
    Moment(
        heading="At a question",
        steps=_ONE + '  - {id: two, command: stay two, confirm: "Go on?"}\n' + _THREE,
        shows_in="output",
        shown="[y/N]",
        ends_by_signal=True,
        waits_for_answer=True,
    ),
    Moment(
        heading="In a parallel group",
        steps=_ONE
        + "  - id: both\n    fail_fast: false\n    parallel:\n      - {id: left, command: stay left --until go}\n"
        + "      - {id: right, command: stay right --until go}\n"
        + _THREE,
        shown="begin left+begin right",
        working="left",
        has_others=True,
    ),
    Moment(
        heading="In a handler",
        steps=_ONE
        + "  - {id: two, command: stay two --fail-unless tidied}\n"
        + _THREE
        + "on_failure:\n  - {id: tell, command: stay tell --until go}\n  - {id: more, command: stay more}\n",
        shown="begin tell",
        working="tell",
    ),
    Moment(
        heading="In finally",
        steps=_ONE + _THREE,
        shown="begin clean",
        working="clean",
        clean="stay clean --until go",
    ),
)
