"""Deletes sessions that have expired."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.sessions.models import Session
from django.core.management.base import BaseCommand
from django.utils import timezone


class Command(BaseCommand):
    help = "Delete expired sessions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Count what would be deleted.")

    def handle(self, *args: Any, **options: Any) -> None:
        expired = Session.objects.filter(expire_date__lt=timezone.now())
        if options["dry_run"]:
            self.stdout.write(f"{expired.count()} sessions would be deleted")
            return
        count, _ = expired.delete()
        self.stdout.write(f"{count} sessions deleted")
