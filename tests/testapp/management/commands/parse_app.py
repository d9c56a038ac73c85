"""An AppCommand."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core.management.base import AppCommand

from tests.testapp.parsing import received


class Command(AppCommand):
    requires_system_checks = ()

    def handle_app_config(self, app_config: AppConfig, **options: Any) -> str:
        received((app_config.label,), options)
        return app_config.label
