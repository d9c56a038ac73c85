"""Kills the worker that runs it."""

from __future__ import annotations

import os
import signal
import time

from django.core.management.base import BaseCommand

from django_runbook.models.calls import Call


class Command(BaseCommand):
    def handle(self, *args: object, **options: object) -> None:
        call = Call.objects.get(command="kill_worker", status="running")
        assert call.pid is not None
        os.kill(call.pid, signal.SIGKILL)
        time.sleep(60)
