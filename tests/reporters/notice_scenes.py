"""Provides the notices of runs that went well, failed or were refused."""

from __future__ import annotations

from django_runbook import events
from django_runbook.reporters.notifiers.notices import Notice, RunbookFacts, occasions_of
from django_runbook.results import Occasion, RunResult, RunStatus
from tests.reporters.scenes import AT, RUN, ended, finished

NIGHTLY = RunbookFacts(key="nightly.yml", cron="15 2 * * *", timezone="Europe/Berlin", timeout_seconds=5401)
RUN_ID = "1f0d898b6c2f4c55a3b5d2a1c0ffee00"
STARTED = events.RunStarted(at=AT, run_id=RUN_ID, name="Nightly maintenance", file="nightly.yml", step_count=5)
FAILED_RESULT = (
    RUN[-1].result if isinstance(RUN[-1], events.RunFinished) else RunResult(status=RunStatus.FAILED, exit_code=1)
)


def notice(result: RunResult | None, *more: Occasion) -> Notice:
    occasions = frozenset((Occasion.START,)) if result is None else occasions_of(result)
    return Notice(occasions=occasions | frozenset(more), runbook=NIGHTLY, run=STARTED, at=AT, result=result)


START = notice(None)
FAILURE = notice(FAILED_RESULT)
SUCCESS = notice(ended([finished("one")], RunStatus.SUCCEEDED).result)
RECOVERY = notice(SUCCESS.result, Occasion.RECOVERY)
REFUSED = notice(ended([], RunStatus.REFUSED, 75, reason='the lock "nightly" is held by run 7').result)
STOPPED = notice(ended([], RunStatus.INTERRUPTED, 143).result)
UNUSUAL = Notice(occasions=frozenset((Occasion.UNUSUAL,)), runbook=NIGHTLY, run=STARTED, at=AT, text='"one" is slow')
