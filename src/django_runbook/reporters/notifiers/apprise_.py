"""Sends notices to chats, mail and pagers through Apprise, which knows more than a hundred services."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from django_runbook.exceptions import InvalidUsage
from django_runbook.reporters.http_post import PostError
from django_runbook.reporters.notifiers.notice_text import summary_of, title_of
from django_runbook.reporters.notifiers.notices import Notice
from django_runbook.results import Occasion
from django_runbook.wording import number_of

_MAX_REASONS: Final = 3
# The most serious occasion of a notice decides its color and its icon.
_TYPES: Final = (
    (Occasion.FAILURE, "failure"),
    (Occasion.WARNING, "warning"),
    (Occasion.UNUSUAL, "warning"),
    (Occasion.RECOVERY, "success"),
    (Occasion.SUCCESS, "success"),
)


class AppriseNotifier:
    """Sends the title and the summary to each of ``urls``, which Apprise documents for each service."""

    def __init__(self, *, urls: Sequence[str]) -> None:
        if not isinstance(urls, list | tuple) or not urls or not all(isinstance(url, str) for url in urls):
            raise InvalidUsage('"urls" must be a list of URLs of Apprise')
        try:
            import apprise
        except ImportError as error:
            raise InvalidUsage("the backend needs Apprise: pip install django-runbook[notify]") from error
        self._apprise = apprise
        self._services = apprise.Apprise(asset=apprise.AppriseAsset(app_id="django-runbook", app_desc="django-runbook"))
        for number, url in enumerate(urls, start=1):
            if not self._services.add(url):
                raise InvalidUsage(f'"urls": number {number} is not a URL that Apprise knows')

    def notify(self, notice: Notice) -> None:
        kind: Any = next((kind for occasion, kind in _TYPES if occasion in notice.occasions), "info")
        title, _, body = summary_of(notice).partition("\n")
        assert title == title_of(notice)
        # Without a handler of its own, Python would write its warnings to standard error.
        with self._apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as log:  # type: ignore[no-untyped-call]  # Apprise annotates only a part
            if not self._services.notify(title=title, body=body, notify_type=kind):
                why = "; ".join(log.getvalue().splitlines()[:_MAX_REASONS])
                of = number_of(len(self._services), "service")
                raise PostError(f"Apprise could not reach each of {of}: {why or 'no reason given'}")
