"""Prepares the banner about runbooks that did not run as they should."""

from __future__ import annotations

from typing import Final

from django.core.cache import cache
from django.db import Error

from django_runbook import wording
from django_runbook.exceptions import RunbookError
from django_runbook.structs import Struct

# Reading the files and asking for their runs takes too long for each view of a page.
CACHE_KEY: Final = "django_runbook.missed_runs"
CACHE_SECONDS: Final = 60
_MAX_LINES: Final = 5


class MissedRun(Struct):
    """Describes one runbook that is late, missing, failing or stuck."""

    runbook: str
    state: str
    text: str


class MissedRuns(Struct):
    """Holds the first of them; ``error`` says why nothing is known."""

    runs: tuple[MissedRun, ...] = ()
    count: int = 0
    error: str = ""

    @property
    def more(self) -> str:
        """Count those that are not listed; empty if all are."""
        return wording.number_of(self.count - len(self.runs), "more runbook") if self.count > len(self.runs) else ""


def missed_runs() -> MissedRuns:
    """Return what is wrong now, or was up to a minute ago."""
    found = cache.get_or_set(CACHE_KEY, _check, CACHE_SECONDS)
    return found if isinstance(found, MissedRuns) else MissedRuns()


def _check() -> MissedRuns:
    # Django imports each admin with its apps: every command of the project would wait for the folders that check files.
    from django_runbook.monitoring.checking_runs import check_runs
    from django_runbook.monitoring.states import Limits

    try:
        bad = [state for state in check_runs(limits=Limits()) if state.problems]
    except (RunbookError, Error, OSError) as error:
        return MissedRuns(error=f"The schedules could not be checked: {error}")
    listed = tuple(MissedRun(runbook=one.runbook, state=one.state.value, text=one.text) for one in bad[:_MAX_LINES])
    return MissedRuns(runs=listed, count=len(bad))
