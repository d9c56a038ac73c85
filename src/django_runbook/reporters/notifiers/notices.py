"""Turns the events of a run into notices, and passes each to the notifiers that are set up for its occasion."""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Iterable
from functools import partial
from typing import Any, Final, Protocol

from django_runbook import events
from django_runbook.events import Event, RunStarted
from django_runbook.reporters import phrases
from django_runbook.reporters.delivery import Delivery
from django_runbook.results import ExitCode, Occasion, RunResult, RunStatus
from django_runbook.structs import Struct

_NOT_IN_SLUG: Final = re.compile(r"[^a-z0-9]+")
_FINE: Final = frozenset((RunStatus.SUCCEEDED, RunStatus.WARNING))
# They may come before the run has its own lock.
_BEFORE_WORK: Final = (
    RunStarted,
    events.LockAwaited,
    events.HistoryAwaited,
    events.LockRetaken,
    events.StopRequested,
    events.ForecastMade,
)


class RunbookFacts(Struct):
    """Holds what is known of a runbook besides its name.

    ``key`` is the same in all releases of the project. ``cron`` is the expression of its schedule, in ``timezone``, or
    empty.
    """

    key: str = ""
    cron: str = ""
    timezone: str = ""
    timeout_seconds: float | None = None


class Notice(Struct):
    """Holds what a notifier is informed of: a run that has started, has ended, or is unusual.

    ``result`` is None unless the run has ended, and ``text`` says what is unusual.
    """

    occasions: frozenset[Occasion]
    runbook: RunbookFacts
    run: RunStarted
    at: datetime.datetime
    result: RunResult | None = None
    text: str = ""

    @property
    def slug(self) -> str:
        """Return the name of the runbook in lower-case letters, digits and hyphens."""
        return slug_of(self.run.name)


class Notifier(Protocol):
    """Sends notices to a service; may raise any exception, and may take its time."""

    def notify(self, notice: Notice) -> None: ...


class Subscription(Struct):
    """Connects a notifier with the occasions that it is notified of."""

    notifier: Notifier
    occasions: frozenset[Occasion]
    delivery: Delivery


class NoticeReporter:
    """Passes the notices of one run to its subscriptions.

    ``has_recovered`` is set before the end of the run if the run before it had failed.
    """

    def __init__(self, subscriptions: Iterable[Subscription], *, runbook: RunbookFacts) -> None:
        self.has_recovered = False
        self._runbook = runbook
        self._subscriptions = tuple(subscriptions)
        self._run: RunStarted | None = None
        self._is_started = False
        self._is_over = False

    def wants_recovery(self, result: RunResult) -> bool:
        """Return whether it matters that the run before this one had failed."""
        is_wanted = any(Occasion.RECOVERY in one.occasions for one in self._subscriptions)
        return is_wanted and result.status in _FINE

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._run = event
            case events.RunFinished():
                self._end(event.at, event.result)
            case events.UnusualNoticed():
                self._start(event.at)
                self._report_unusual(event)
            case _ if not isinstance(event, _BEFORE_WORK):
                self._start(event.at)

    def close(self) -> None:
        """Wait until the notices are sent; a run that was aborted has failed."""
        if self._run is not None and not self._is_over:
            reason = "the run was aborted"
            aborted = RunResult(
                status=RunStatus.FAILED, exit_code=ExitCode.FAILED, reason=reason, run_id=self._run.run_id
            )
            self._end(datetime.datetime.now(datetime.UTC), aborted)
        for subscription in self._subscriptions:
            subscription.delivery.finish(_do_nothing)
        for subscription in self._subscriptions:
            subscription.delivery.wait()

    def _start(self, at: datetime.datetime) -> None:
        """Notify of a start once the first step is due: a run that is refused has not started."""
        if not self._is_started and self._run is not None:
            self._is_started = True
            self._send(frozenset((Occasion.START,)), run=self._run, at=at)

    def _report_unusual(self, event: events.UnusualNoticed) -> None:
        if self._run is not None:
            text = phrases.unusual(event)
            self._send(frozenset((Occasion.UNUSUAL,)), run=self._run, at=event.at, text=text)

    def _end(self, at: datetime.datetime, result: RunResult) -> None:
        self._is_over = True
        if self._run is not None:
            is_recovery = result.status in _FINE and (self.has_recovered or self._run.attempt > 1)
            occasions = occasions_of(result) | ({Occasion.RECOVERY} if is_recovery else frozenset())
            self._send(occasions, run=self._run, at=at, result=result)
        for subscription in self._subscriptions:
            subscription.delivery.finish(_do_nothing)

    def _send(self, occasions: frozenset[Occasion], **more: Any) -> None:
        notice = Notice(occasions=occasions, runbook=self._runbook, **more)
        for one in self._subscriptions:
            if one.occasions & notice.occasions:
                one.delivery.call(partial(one.notifier.notify, notice))


def occasions_of(result: RunResult) -> frozenset[Occasion]:
    """Return the occasions of the end of a run, without its history."""
    match result.status:
        case RunStatus.SUCCEEDED:
            return frozenset((Occasion.SUCCESS,))
        case RunStatus.WARNING:
            return frozenset((Occasion.WARNING,))
        case RunStatus.REFUSED if not result.exit_code:
            # Its file allows it to be skipped, and the run that holds the lock does its work.
            return frozenset()
    return frozenset((Occasion.FAILURE,))


def slug_of(name: str) -> str:
    """Return a name in lower-case letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return _NOT_IN_SLUG.sub("-", plain).strip("-") or "runbook"


def _do_nothing() -> None:
    pass
