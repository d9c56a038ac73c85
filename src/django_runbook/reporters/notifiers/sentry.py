"""Checks runs in with the cron monitors of Sentry, through the SDK that the project has set up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from django_runbook.exceptions import InvalidUsage
from django_runbook.reporters.http_post import PostError
from django_runbook.reporters.notifiers.notices import Notice
from django_runbook.results import Occasion

if TYPE_CHECKING:
    from types import ModuleType

_SLUG: Final = "{slug}"
# Sentry keeps no more.
_MAX_SLUG_LENGTH: Final = 50
_FLUSH_SECONDS: Final = 4.0


class SentryNotifier:
    """Reports runs to the monitor with the slug ``monitor``, which is created from the runbook's ``schedule``.

    ``config`` has further settings of the monitor, such as ``checkin_margin``.
    """

    default_occasions = frozenset(Occasion) - {Occasion.UNUSUAL}

    def __init__(self, *, monitor: str = _SLUG, config: Mapping[str, Any] | None = None) -> None:
        if not isinstance(monitor, str) or not monitor:
            raise InvalidUsage('"monitor" must be the slug of a monitor')
        if not isinstance(config, Mapping | None):
            raise InvalidUsage('"config" must be a dictionary')
        self._sdk = _sdk()
        self._monitor = monitor
        self._config = dict(config or {})
        self._check_in_id: str | None = None

    def notify(self, notice: Notice) -> None:
        if not self._sdk.is_initialized():
            raise PostError("sentry_sdk.init() was not called, so no check-in was sent")
        from sentry_sdk.crons import capture_checkin

        result = notice.result
        self._check_in_id = capture_checkin(
            monitor_slug=self._monitor.replace(_SLUG, notice.slug)[:_MAX_SLUG_LENGTH],
            check_in_id=self._check_in_id,
            status=_status(notice),
            duration=None if result is None else result.duration_seconds,
            monitor_config=self._monitor_config(notice),  # type: ignore[arg-type]  # the config of the project is checked by Sentry
        )
        self._sdk.flush(timeout=_FLUSH_SECONDS)

    def _monitor_config(self, notice: Notice) -> dict[str, Any] | None:
        """Return the settings with which Sentry creates the monitor; None without a schedule."""
        runbook = notice.runbook
        if not runbook.cron:
            return self._config or None
        known: dict[str, Any] = {"schedule": {"type": "crontab", "value": runbook.cron}, "timezone": runbook.timezone}
        if runbook.timeout_seconds is not None:
            known["max_runtime"] = math.ceil(runbook.timeout_seconds / 60)
        return {**known, **self._config}


def _status(notice: Notice) -> str:
    if notice.result is None:
        return "in_progress"
    return "error" if Occasion.FAILURE in notice.occasions else "ok"


def _sdk() -> ModuleType:
    try:
        import sentry_sdk
    except ImportError as error:
        raise InvalidUsage("the backend needs the SDK of Sentry: pip install sentry-sdk") from error
    return sentry_sdk
