#!/usr/bin/env python
"""Runs the commands of the Flight desk."""

import os
import sys


def main() -> None:
    """Pass the command line to Django."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flightdesk.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
