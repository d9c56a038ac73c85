"""Configures the test project with a reporter that sends traces to a collector."""

from tests.settings import *  # noqa: F403 - all of them, with a reporter
from tests.settings import RUNBOOK as DEFAULTS
from tests.tracing import REPORTER

RUNBOOK = {**DEFAULTS, "ISOLATE": True, "REPORTERS": {"traces": REPORTER}}
