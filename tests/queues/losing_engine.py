"""Sends messages as a bad network does: some twice, some late, some never."""

from __future__ import annotations

import random
import threading
from typing import Any

from django.db import connections
from django.utils.module_loading import import_string

from django_runbook.queues.engines.choice import ENGINES

_MAX_DELAY_SECONDS = 2.0


class LosingEngine:
    """Sends with another engine, whose short name or import path is ``path``."""

    def __init__(self, *, path: str) -> None:
        self._inner: Any = import_string(ENGINES.get(path, path))()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def send(self, call_id: str, *, queue: str) -> None:
        number = random.random()
        if number > 0.15:
            self._inner.send(call_id, queue=queue)
        if 0.35 < number < 0.5:
            self._inner.send(call_id, queue=queue)
        if number < 0.25:
            timer = threading.Timer(random.uniform(0, _MAX_DELAY_SECONDS), self._send_late, [call_id, queue])
            timer.daemon = True
            # One in three is lost.
            if number > 0.05:
                timer.start()

    def _send_late(self, call_id: str, queue: str) -> None:
        try:
            self._inner.send(call_id, queue=queue)
        finally:
            connections.close_all()
