"""Writes a row, and may fail after it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.sites.models import Site
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("domain")
        parser.add_argument("--fail", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        Site.objects.create(domain=options["domain"], name=options["domain"])
        if options["fail"]:
            raise CommandError("after the row was written")
