"""Writes a runbook for each job of a crontab."""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction
from typing import Any

from django_runbook.importing.draft import Imported
from django_runbook.importing.jobs import import_crontab
from django_runbook.management.import_command import ImportCommand


class Command(ImportCommand):
    help = "Write a runbook for each job of a crontab that calls management commands, with its schedule."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--user-column",
            action=BooleanOptionalAction,
            help="Whether the sixth column is a user, as in /etc/cron.d. Default: it is found out from the lines.",
        )

    def translate(self, text: str, name: str, options: dict[str, Any]) -> Imported:
        return import_crontab(text, name=name, has_users=options["user_column"])
