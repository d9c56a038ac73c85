"""Loads the Celery application of the project, as Celery's guide for Django does."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings


class QueueAppConfig(AppConfig):
    name = "tests.queues.queueapp"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        if getattr(settings, "CELERY_BROKER_URL", ""):
            from celery import Celery

            Celery("queues").config_from_object("django.conf:settings", namespace="CELERY")
