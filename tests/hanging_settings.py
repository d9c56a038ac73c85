"""Configures the test project with a reporter that never returns."""

from tests.settings import *  # noqa: F403 - all of them, with a reporter
from tests.settings import RUNBOOK as DEFAULTS

RUNBOOK = {
    **DEFAULTS,
    "REPORTERS": {
        "oncall": {"BACKEND": "tests.testapp.hanging.HangingNotifier", "ON": ["start", "failure"], "TIMEOUT": 0.5}
    },
}
