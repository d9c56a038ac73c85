"""Rebuilds the indexes of tables, which are named by their models."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import CommandError, LabelCommand
from django.db import connection


class Command(LabelCommand):
    help = "Rebuild the indexes of the tables of these models."
    label = "app.Model"

    def handle_label(self, label: str, **options: Any) -> str:
        try:
            table = apps.get_model(label)._meta.db_table
        except (LookupError, ValueError) as error:
            raise CommandError(f"{label}: {error}") from error
        quoted = connection.ops.quote_name(table)
        statements = {
            "sqlite": f"REINDEX {quoted}",
            "postgresql": f"REINDEX TABLE {quoted}",
            "mysql": f"OPTIMIZE TABLE {quoted}",
        }
        if connection.vendor not in statements:
            raise CommandError(f"{label}: nobody has said how {connection.vendor} rebuilds an index")
        with connection.cursor() as cursor:
            cursor.execute(statements[connection.vendor])
        return f"{label}: rebuilt"
