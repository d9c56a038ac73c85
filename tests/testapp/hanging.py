"""Hangs as a service or a name server does that never answers."""

from __future__ import annotations

import time
from typing import Final

from django_runbook.reporters.notifiers.notices import Notice
from tests.patience import PATIENCE_SECONDS

# Longer than any test waits.
FOREVER_SECONDS: Final = 10 * PATIENCE_SECONDS


class HangingNotifier:
    """Never returns."""

    def notify(self, notice: Notice) -> None:
        time.sleep(FOREVER_SECONDS)
