"""Defines the Django app, which registers a system check."""

from __future__ import annotations

from django.apps import AppConfig


class RunbookConfig(AppConfig):
    name = "django_runbook"
    label = "django_runbook"
    verbose_name = "Runbooks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django_runbook import system_checks  # noqa: F401 - a check is registered by its import
