"""Notifies the people on duty by mail."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Mail a message to the people on duty."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("message")
        parser.add_argument("--to", default="operations@example.com")

    def handle(self, *args: Any, **options: Any) -> None:
        EmailMessage("Flight desk", options["message"], settings.DEFAULT_FROM_EMAIL, [options["to"]]).send()
        self.stdout.write(f"mailed to {options['to']}")
