"""Has the server end the connection of this process, as an administrator or a fail-over does."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection


class Command(BaseCommand):
    def handle(self, *args: Any, **options: Any) -> None:
        is_postgres = connection.vendor == "postgresql"
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()" if is_postgres else "SELECT CONNECTION_ID()")
            (number,) = cursor.fetchone()
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute(f"SELECT pg_terminate_backend({number})" if is_postgres else f"KILL {number}")
        other.close()
