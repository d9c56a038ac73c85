"""A LabelCommand."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser, LabelCommand

from tests.testapp.parsing import received


class Command(LabelCommand):
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--force", action="store_true")

    def handle_label(self, label: str, **options: Any) -> str:
        received((label,), options)
        return label
