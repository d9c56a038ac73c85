"""Returns what is not text."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    def handle(self, *args: Any, **options: Any) -> Any:
        self.stdout.write("done")
        return 5
