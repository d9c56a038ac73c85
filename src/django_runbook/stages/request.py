"""Describes one run, as ``run_runbook`` or Python code asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from django_runbook.exceptions import InvalidUsage
from django_runbook.planning.selection import Selection
from django_runbook.structs import Struct, field

NEWEST: Final = ""
"""Resumes the newest run that can be resumed."""


class RunRequest(Struct):
    """Describes one run: the runbook, its parameters, and the options of ``run_runbook``, which say what each means.

    ``file`` is found as ``run_runbook`` finds it. ``params`` maps names to texts, which are converted as those of
    ``--param`` are. ``resume`` holds the first characters of a run's id, or is ``NEWEST``; None starts a new run.
    ``verbosity`` is passed on to commands that take it, unless it is 1. ``journal`` records the run, if the settings
    allow it. ``junit`` and ``log_dir`` are where to write those reports.
    """

    file: str
    params: Mapping[str, str] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    start_at: str | None = None
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    resume: str | None = None
    rerun: tuple[str, ...] = ()
    accept_changes: bool = False
    dry_run: bool = False
    keep_going: bool = False
    strict: bool = False
    yes: bool = False
    ask_before_steps: bool = False
    inline: bool = False
    journal: bool = True
    junit: str | None = None
    log_dir: str | None = None
    timings: bool = False
    verbosity: int = 1

    @property
    def selection(self) -> Selection:
        return Selection(
            only=self.only, skip=self.skip, start_at=self.start_at, tags=self.tags, skip_tags=self.skip_tags
        )

    def refuse_combinations(self, *, has_journal: bool) -> None:
        """Raise InvalidUsage for options that contradict each other, in the words of ``run_runbook``.

        ``has_journal`` is the setting.
        """
        for message in self._contradictions(has_journal=has_journal):
            raise InvalidUsage(message)

    def _contradictions(self, *, has_journal: bool) -> Iterator[str]:
        if self.resume is None:
            for option, value in (("--rerun", self.rerun), ("--accept-changes", self.accept_changes)):
                if value:
                    yield f"{option} belongs to --resume"
            return
        kept = {
            "--only": self.only,
            "--start-at": self.start_at,
            "--tags": self.tags,
            "--skip-tags": self.skip_tags,
        }
        for option in (option for option, value in kept.items() if value):
            yield f"{option}: a resumed run keeps the selection that it began with"
        for option, value in (("--dry-run", self.dry_run), ("--no-journal", not self.journal)):
            if value:
                yield f"{option} cannot be combined with --resume"
        if not has_journal:
            yield '--resume needs the run history, but RUNBOOK["JOURNAL"] is False'
