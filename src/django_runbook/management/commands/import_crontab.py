"""Writes a runbook for each job of a crontab."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, Final

from django_runbook.importing.draft import Imported
from django_runbook.importing.jobs import import_crontab
from django_runbook.management.import_command import ImportCommand

_HAS_USERS: Final = {"auto": None, "yes": True, "no": False}


class Command(ImportCommand):
    help = "Write a runbook for each job of a crontab that calls management commands, with its schedule."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--user-column",
            choices=tuple(_HAS_USERS),
            default="auto",
            help="Read the sixth column as a user, as in /etc/cron.d. Default: auto, if the lines have one.",
        )

    def translate(self, text: str, name: str, options: dict[str, Any]) -> Imported:
        return import_crontab(text, name=name, has_users=_HAS_USERS[options["user_column"]])
