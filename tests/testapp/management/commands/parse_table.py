"""Asks the database, while its parser is built, for a table that may not be there yet."""

from __future__ import annotations

from argparse import ArgumentParser

from django.db import connection

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM testapp_choice ORDER BY name")
            names = [name for (name,) in cursor.fetchall()]
        parser.add_argument("--choice", choices=names)
