"""Makes the reporters of the Flight desk from environment variables: each is off without its variable.

| variable | example | |
|---|---|---|
| FLIGHTDESK_PING | https://hc-ping.com/PING-KEY/{slug} | is pinged by each run |
| FLIGHTDESK_WEBHOOK | https://ops.example.com/runbooks | gets JSON when a run fails, and when it works again |
| FLIGHTDESK_NOTIFY | slack://TOKENS mailto://ADDRESS | is notified of the same through Apprise |
| FLIGHTDESK_SENTRY | https://KEY@sentry.example.com/1 | gets a check-in from each run |
| FLIGHTDESK_TRACES | http://127.0.0.1:4318 | gets a trace and metrics of each run (OTLP over HTTP) |
| FLIGHTDESK_LOG | /var/log/flightdesk.log | gets one line for each event |

``receiver.py`` receives all of them on this host, and prints them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_INCIDENTS: Final = ["failure", "recovery"]


def reporters(environ: Mapping[str, str], *, metrics: Path) -> dict[str, Any]:
    """Return RUNBOOK["REPORTERS"]; the last run of each runbook is a file for Prometheus in any case."""
    found: dict[str, Any] = {"metrics": {"BACKEND": "prometheus", "OPTIONS": {"directory": metrics}}}
    if url := environ.get("FLIGHTDESK_PING"):
        found["heartbeat"] = {"BACKEND": "ping", "OPTIONS": {"url": url}}
    if url := environ.get("FLIGHTDESK_WEBHOOK"):
        found["incidents"] = {"BACKEND": "webhook", "OPTIONS": {"url": url}, "ON": _INCIDENTS}
    if urls := environ.get("FLIGHTDESK_NOTIFY"):
        found["team"] = {"BACKEND": "notify", "OPTIONS": {"urls": urls.split()}, "ON": _INCIDENTS}
    if environ.get("FLIGHTDESK_SENTRY"):
        found["crons"] = {"BACKEND": "sentry", "OPTIONS": {"monitor": "desk-{slug}"}}
    if environ.get("FLIGHTDESK_TRACES"):
        found["traces"] = {"BACKEND": "opentelemetry", "OPTIONS": {"setup": "flightdesk.tracing.set_up"}}
    if environ.get("FLIGHTDESK_LOG"):
        found["log"] = "logging"
    return found


def set_up_sentry(environ: Mapping[str, str]) -> None:
    """Set up the SDK of Sentry, if there is an address."""
    if dsn := environ.get("FLIGHTDESK_SENTRY"):
        import sentry_sdk

        sentry_sdk.init(dsn=dsn)


def logging_settings(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return LOGGING: Django's own, and a file for the log of the runs if there is a path."""
    path = environ.get("FLIGHTDESK_LOG")
    if not path:
        return {}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(levelname)s %(message)s"}},
        "handlers": {"runs": {"class": "logging.FileHandler", "filename": path, "formatter": "line", "delay": True}},
        "loggers": {"django_runbook": {"handlers": ["runs"], "level": "INFO"}},
    }
