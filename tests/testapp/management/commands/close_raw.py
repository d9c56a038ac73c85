"""Closes the connection of the driver, and not Django's own."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection, transaction

from tests.testapp.models import Mark


class Command(BaseCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--then", choices=["return", "ask", "insert", "leave_open"], default="return")

    def handle(self, *args: Any, **options: Any) -> None:
        connection.ensure_connection()
        if options["then"] == "leave_open":
            transaction.atomic().__enter__()
        connection.connection.close()
        match options["then"]:
            case "ask":
                list(Mark.objects.all())
            case "insert":
                Mark.objects.create(name="never")
