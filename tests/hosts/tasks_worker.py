"""Is the ``manage.py db_worker`` of a project that has put calls of runbooks into its queue."""

from __future__ import annotations

import sys

import django
from django.core.management import call_command, execute_from_command_line


def main(log: str, *paths: str) -> None:
    """Make the tables, enqueue a call for each path, and work on them."""
    django.setup()
    from tests.hosts.tasks import call

    call_command("migrate", verbosity=0)
    for path in paths:
        call.enqueue(path, log)
    execute_from_command_line(["manage.py", "db_worker", "--interval", "0.1", "--no-startup-delay"])


if __name__ == "__main__":
    main(*sys.argv[1:])
