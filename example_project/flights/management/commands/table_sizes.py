"""Counts the rows of all tables of an app."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core.management.base import AppCommand

from django_runbook.batch.parts.database_command import DatabaseCommand


class Command(DatabaseCommand, AppCommand):
    help = "Count the rows of each model of these apps."
    read_only = True

    def handle_app_config(self, app_config: AppConfig, **options: Any) -> str:
        return "\n".join(
            f"{model._meta.label}: {model._default_manager.using(self.database).count()}"
            for model in app_config.get_models()
            if model._meta.managed
        )
