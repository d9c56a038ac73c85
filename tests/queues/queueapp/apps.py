"""Loads the Celery application of the project, as Celery's guide for Django does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks

from tests.queues import haste


def _note(**_: Any) -> list[checks.CheckMessage]:
    """Write to the file that a test names, whenever the system checks run."""
    if path := os.environ.get("QUEUES_CHECKS"):
        with Path(path).open("a") as file:
            file.write("checked\n")
    return []


class QueueAppConfig(AppConfig):
    name = "tests.queues.queueapp"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        checks.register(_note)
        if haste.VARIABLE in os.environ:
            haste.look_more_often()
        if getattr(settings, "CELERY_BROKER_URL", ""):
            from celery import Celery

            Celery("queues").config_from_object("django.conf:settings", namespace="CELERY")
