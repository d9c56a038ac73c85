"""Pings a monitor in the style of healthchecks.io at the start and at the end of each run."""

from __future__ import annotations

import uuid
from typing import Final
from urllib.parse import urlencode, urlunsplit

from django_runbook.exceptions import InvalidUsage
from django_runbook.reporters.http_post import checked_url, post
from django_runbook.reporters.notifiers.notice_text import summary_of
from django_runbook.reporters.notifiers.notices import Notice
from django_runbook.results import Occasion

# The service keeps no more.
MAX_BODY_LENGTH: Final = 100_000
_SLUG: Final = "{slug}"


class PingNotifier:
    """Posts the summary to ``url``, or below it: to ``/start``, and to the exit code of a run that did not succeed.

    ``{slug}`` in the URL is replaced by that of the name of the runbook.
    """

    default_occasions = frozenset(Occasion)

    def __init__(self, *, url: str) -> None:
        checked_url(url.replace(_SLUG, "slug") if isinstance(url, str) else url)
        if "{" in url.replace(_SLUG, ""):
            raise InvalidUsage(f'"url" may contain {_SLUG}, and no other placeholder')
        self._url = url

    def notify(self, notice: Notice) -> None:
        body = summary_of(notice).encode()[:MAX_BODY_LENGTH]
        post(self._url_of(notice), body, headers={"Content-Type": "text/plain; charset=utf-8"})

    def _url_of(self, notice: Notice) -> str:
        parts = checked_url(self._url.replace(_SLUG, notice.slug))
        # A run that never began has no id.
        run = urlencode({"rid": str(_uuid_of(notice.run.run_id))} if notice.run.run_id else {})
        query = "&".join(filter(None, (parts.query, run)))
        return urlunsplit(parts._replace(path=parts.path.rstrip("/") + _suffix(notice), query=query, fragment=""))


def _suffix(notice: Notice) -> str:
    if notice.result is None:
        return "/start" if Occasion.START in notice.occasions else "/log"
    # A monitor takes 1 to 255 for a failure.
    return f"/{notice.result.exit_code}" if notice.result.exit_code else ""


def _uuid_of(run_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(run_id)
    except ValueError:
        return uuid.uuid5(uuid.NAMESPACE_OID, run_id)
