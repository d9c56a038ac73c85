"""Makes the reporters of ``RUNBOOK["REPORTERS"]`` that a runbook chooses, and connects them with a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from django.utils.timezone import get_default_timezone_name

from django_runbook.backend_loading import make_backend
from django_runbook.cleaning import Mask, cleaned_fields
from django_runbook.conf import Configuration, ReporterSettings
from django_runbook.document.diagnostics import Diagnostic, diagnose
from django_runbook.document.runbook import Runbook
from django_runbook.document.similar_names import nearest
from django_runbook.events import RunFinished, RunStarted
from django_runbook.exceptions import InvalidUsage, in_words
from django_runbook.option_secrets import secrets_in
from django_runbook.process import masking
from django_runbook.process.django_internals import is_django_test_run
from django_runbook.reporters import Reporter
from django_runbook.reporters.delivery import DeliveredReporter, Delivery
from django_runbook.reporters.notifiers.notices import NoticeReporter, RunbookFacts, Subscription
from django_runbook.results import Occasion, RunResult
from django_runbook.structs import Struct
from django_runbook.wording import did_you_mean

# Short names. Any other backend is the import path of a callable, which receives the options and returns a notifier,
# with a method `notify`, or a reporter, which is called with each event.
BACKENDS: Final = {
    "ping": "django_runbook.reporters.notifiers.ping.PingNotifier",
    "webhook": "django_runbook.reporters.notifiers.webhook.WebhookNotifier",
    "notify": "django_runbook.reporters.notifiers.apprise_.AppriseNotifier",
    "sentry": "django_runbook.reporters.notifiers.sentry.SentryNotifier",
    "prometheus": "django_runbook.reporters.notifiers.prometheus.PrometheusNotifier",
    "opentelemetry": "django_runbook.reporters.opentelemetry_.OpenTelemetryReporter",
    "logging": "django_runbook.reporters.logging_.LoggingReporter",
}
_DEFAULT_OCCASIONS: Final = frozenset((Occasion.FAILURE, Occasion.WARNING, Occasion.RECOVERY, Occasion.UNUSUAL))


class ConfiguredReporter(Struct):
    """Holds a notifier or a reporter with the settings that it was made from."""

    settings: ReporterSettings
    backend: Any

    @property
    def is_notifier(self) -> bool:
        return callable(getattr(self.backend, "notify", None))

    @property
    def occasions(self) -> frozenset[Occasion]:
        """Return the occasions that it is notified of."""
        if self.settings.on is not None:
            return self.settings.on
        return frozenset(getattr(self.backend, "default_occasions", _DEFAULT_OCCASIONS))


class Connected(Struct):
    """Holds the reporters of one run; ``notices`` is among them."""

    reporters: Sequence[Reporter]
    notices: NoticeReporter
    delivered: Sequence[DeliveredReporter]

    def environ_of(self, step_id: str) -> dict[str, str]:
        """Return the environment variables that reporters set for the process of a step."""
        found: dict[str, str] = {}
        for reporter in self.delivered:
            found |= reporter.environ_of(step_id)
        return found


def make_all(configuration: Configuration) -> list[ConfiguredReporter]:
    """Make all reporters of the project, to check their settings; raise InvalidUsage if one is invalid."""
    return [_make(settings) for settings in configuration.reporters]


def make_chosen(configuration: Configuration, runbook: Runbook | None) -> list[ConfiguredReporter]:
    """Make the reporters of a runbook, all if it is unknown; in a test of the project, only those set up for tests."""
    is_test = is_django_test_run()
    names = None if runbook is None or runbook.notify is None else {str(name.value) for name in runbook.notify}
    return [
        _make(settings)
        for settings in configuration.reporters
        if (names is None or settings.name in names) and (settings.is_used_in_tests or not is_test)
    ]


def check_names(runbook: Runbook, configuration: Configuration) -> Iterator[Diagnostic]:
    """Report each name under ``notify`` that the project does not define."""
    known = [settings.name for settings in configuration.reporters]
    for name in runbook.notify or ():
        if name.value not in known:
            near = nearest(str(name.value), known)
            listed = f"the project has: {', '.join(known)}" if known else 'define it in RUNBOOK["REPORTERS"]'
            help_text = did_you_mean(near) if near else listed
            yield diagnose("RB440", message=f'unknown reporter "{name.value}"', span=name.span, help_text=help_text)


def notify_of_error(
    configuration: Configuration,
    runbook: Runbook | None,
    result: RunResult,
    *,
    key: str,
    started: RunStarted,
    warn: Callable[[str], None],
    mask: Mask,
) -> None:
    """Notify of the failure of a run that never began; ``runbook`` is None if its file could not be read.

    Settings that are invalid notify nobody: they are the error that the run ends with.
    """
    try:
        chosen = make_chosen(configuration, runbook)
    except InvalidUsage:
        return
    facts = RunbookFacts(key=key) if runbook is None else facts_of(runbook, key=key)
    notices = connect([one for one in chosen if one.is_notifier], facts, warn=warn, mask=mask).notices
    notices(cleaned_fields(started, mask))
    notices(cleaned_fields(RunFinished(at=started.at, result=result), mask))
    notices.close()


def connect(
    chosen: Iterable[ConfiguredReporter], facts: RunbookFacts, *, warn: Callable[[str], None], mask: Mask
) -> Connected:
    """Connect reporters with one run; ``warn`` writes a line about one that fails."""
    subscriptions: list[Subscription] = []
    delivered: list[DeliveredReporter] = []
    for one in chosen:
        title = f'reporter "{one.settings.name}"'
        delivery = Delivery(title=title, seconds=one.settings.timeout_seconds, warn=warn, mask=mask)
        if one.is_notifier:
            subscriptions.append(Subscription(notifier=one.backend, occasions=one.occasions, delivery=delivery))
        else:
            delivered.append(DeliveredReporter(one.backend, delivery))
    notices = NoticeReporter(subscriptions, runbook=facts)
    return Connected(reporters=[*delivered, notices], notices=notices, delivered=delivered)


def facts_of(runbook: Runbook, *, key: str) -> RunbookFacts:
    """Return what notifiers know of a runbook."""
    schedule = runbook.schedule
    return RunbookFacts(
        key=key,
        cron="" if schedule is None else schedule.cron.text,
        timezone="" if schedule is None else schedule.timezone or get_default_timezone_name(),
        timeout_seconds=runbook.timeout_seconds,
    )


def _make(settings: ReporterSettings) -> ConfiguredReporter:
    try:
        return _made(settings)
    except InvalidUsage as error:
        masked = masking.masker(secrets_in(settings.options))(str(error))
        if masked == str(error):
            raise
        # The code of a project may repeat a URL; the cause is left out, because a traceback would show it.
        raise InvalidUsage(masked) from None


def _made(settings: ReporterSettings) -> ConfiguredReporter:
    where = settings.setting
    try:
        backend = make_backend(
            settings.backend,
            setting=where,
            kind="backend",
            known=BACKENDS,
            options=settings.options,
            has_auto=False,
        )
    except InvalidUsage as error:
        raise error if str(error).startswith(where) else InvalidUsage(f"{where}: {error}") from error
    except Exception as error:  # the code of a project
        raise InvalidUsage(f'{where}: the backend "{settings.backend}" failed: {in_words(error)}') from error
    made = ConfiguredReporter(settings=settings, backend=backend)
    if made.is_notifier:
        return made
    if not callable(backend) or not callable(getattr(backend, "close", None)):
        raise InvalidUsage(
            f'{where}: the backend "{settings.backend}" has no method "notify", and is not a reporter with "close"'
        )
    if settings.on is not None:
        raise InvalidUsage(f'{where}: "{settings.backend}" receives every event, and has no ON')
    return made
