"""Makes a row."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from tests.testapp.models import Mark


class Command(BaseCommand):
    help = "Make a mark."

    def handle(self, *args: Any, **options: Any) -> None:
        Mark.objects.create(name="of a host")
