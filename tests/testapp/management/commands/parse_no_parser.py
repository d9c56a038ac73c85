"""Has no argparse parser, as the commands of django-click have none."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from tests.testapp.parsing import RECEIVED


class Adapter:
    """What django-click gives for a parser."""

    def parse_args(self, args: list[str]) -> Any:
        return _Namespace(args)


class _Namespace:
    def __init__(self, args: list[str]) -> None:
        self.args = args


class Command(BaseCommand):
    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return Adapter()

    def handle(self, *args: Any, **options: Any) -> None:
        RECEIVED.append((args, options))
