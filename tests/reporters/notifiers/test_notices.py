"""Tests which notices the events of a run become, and who gets them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from django_runbook import events
from django_runbook.events import Event
from django_runbook.reporters.delivery import Delivery
from django_runbook.reporters.notifiers.notices import Notice, NoticeReporter, RunbookFacts, Subscription, slug_of
from django_runbook.results import Occasion, RunStatus
from django_runbook.structs import replace
from tests.patience import PATIENCE_SECONDS
from tests.reporters.scenes import AT, RUN, ended, finished, send, started

BEGIN = events.RunStarted(at=AT, run_id="1", name="Daily", file="daily.yml", step_count=1)
WORK: list[Event] = [started("one"), finished("one")]
AWAITED = events.LockAwaited(at=AT, step_id="", name="runbook daily.yml", holder="another run")


class Kept:
    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def notify(self, notice: Notice) -> None:
        self.notices.append(notice)

    @property
    def words(self) -> list[str]:
        return [" ".join(sorted(notice.occasions)) for notice in self.notices]


def notices_of(
    listed: Iterable[Event],
    *on: str,
    has_recovered: bool = False,
    at_end: Callable[[NoticeReporter], None] | None = None,
) -> list[str]:
    """Send events to a notifier that is interested in these occasions; return those of its notices."""
    kept = Kept()
    occasions = frozenset(map(Occasion, on)) if on else frozenset(Occasion)
    delivery = Delivery(title="it", seconds=PATIENCE_SECONDS, warn=pytest.fail)
    reporter = NoticeReporter(
        [Subscription(notifier=kept, occasions=occasions, delivery=delivery)], runbook=RunbookFacts()
    )
    reporter.has_recovered = has_recovered
    send(reporter, listed)
    reporter.close()
    return kept.words


@pytest.mark.parametrize(
    ("status", "exit_code", "expected"),
    [
        (RunStatus.SUCCEEDED, 0, "success"),
        (RunStatus.WARNING, 0, "warning"),
        (RunStatus.WARNING, 1, "warning"),
        (RunStatus.FAILED, 1, "failure"),
        (RunStatus.FAILED, 124, "failure"),
        (RunStatus.INTERRUPTED, 143, "failure"),
    ],
)
def test_the_status_of_a_run_decides_the_occasion(status: RunStatus, exit_code: int, expected: str) -> None:
    assert notices_of([BEGIN, *WORK, ended(WORK, status, exit_code)]) == ["start", expected]


def test_what_is_unusual_is_an_occasion_of_its_own() -> None:
    forecast = events.ForecastMade(at=AT, usual_seconds=60, most_seconds=60, run_count=5, end_at=AT)
    unusual = events.UnusualNoticed(at=AT, step_id="one", kind="rows", text="did 0 rows")
    assert notices_of([BEGIN, forecast, AWAITED, ended([], RunStatus.REFUSED, 75)]) == ["failure"]
    done = ended(WORK, RunStatus.SUCCEEDED)
    assert notices_of([BEGIN, forecast, WORK[0], unusual, WORK[1], done]) == ["start", "unusual", "success"]


def test_a_refused_run_has_not_started_and_has_failed() -> None:
    refused = ended([], RunStatus.REFUSED, 75, reason="the lock is held")
    assert notices_of([BEGIN, AWAITED, refused]) == ["failure"]


def test_a_run_that_its_file_allows_to_be_skipped_is_not_an_occasion() -> None:
    assert notices_of([BEGIN, ended([], RunStatus.REFUSED, 0)]) == []


def test_a_run_starts_with_its_first_step_after_it_has_waited_for_its_lock() -> None:
    assert notices_of([BEGIN, AWAITED]) == ["failure"]
    assert notices_of([BEGIN, AWAITED, WORK[0]], "start") == ["start"]


def test_what_is_unusual_is_an_occasion() -> None:
    noticed = events.UnusualNoticed(at=AT, step_id="one", kind="slow", text="has run for 2h")
    assert notices_of([BEGIN, *WORK, noticed, ended(WORK, RunStatus.SUCCEEDED)], "unusual") == ["unusual"]


def test_a_run_that_was_aborted_has_failed() -> None:
    assert notices_of([BEGIN, *WORK]) == ["start", "failure"]
    assert notices_of([]) == []


@pytest.mark.parametrize("status", [RunStatus.SUCCEEDED, RunStatus.WARNING])
def test_a_run_that_does_not_fail_after_one_that_did_is_a_recovery(status: RunStatus) -> None:
    end = ended(WORK, status)
    word = "success" if status is RunStatus.SUCCEEDED else "warning"
    assert notices_of([BEGIN, *WORK, end], "recovery", has_recovered=True) == [" ".join(sorted(("recovery", word)))]
    assert notices_of([BEGIN, *WORK, end], "recovery") == []


def test_a_resumed_run_that_ends_well_is_a_recovery() -> None:
    again = replace(BEGIN, attempt=2)
    assert notices_of([again, *WORK, ended(WORK, RunStatus.SUCCEEDED)], "recovery") == ["recovery success"]


def test_a_failure_is_not_a_recovery() -> None:
    assert notices_of([BEGIN, *WORK, ended(WORK, RunStatus.FAILED, 1)], "recovery", has_recovered=True) == []


def test_a_notifier_gets_the_occasions_that_it_is_set_up_for() -> None:
    assert notices_of(RUN, "success", "warning") == []
    assert notices_of(RUN, "failure") == ["failure"]


def test_a_notifier_that_fails_at_the_start_is_notified_of_the_end() -> None:
    lines: list[str] = []
    kept = Kept()

    class Flaky:
        def notify(self, notice: Notice) -> None:
            kept.notify(notice)
            raise OSError("unplugged")

    delivery = Delivery(title="it", seconds=PATIENCE_SECONDS, warn=lines.append)
    reporter = NoticeReporter(
        [Subscription(notifier=Flaky(), occasions=frozenset(Occasion), delivery=delivery)], runbook=RunbookFacts()
    )
    send(reporter, RUN)
    reporter.close()
    assert (kept.words, lines) == (["start", "failure"], ["it failed: OSError: unplugged"])


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Nightly maintenance", "nightly-maintenance"),
        ("Tägl. Lauf (1)", "tagl-lauf-1"),
        ("夜間", "runbook"),
        ("-", "runbook"),
    ],
)
def test_a_slug_has_lower_case_letters_digits_and_hyphens(name: str, slug: str) -> None:
    assert slug_of(name) == slug
