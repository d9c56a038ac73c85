"""Changes the user of its process."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

NOBODY = 65534


def for_good() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def for_now() -> None:
    os.setegid(NOBODY)
    os.seteuid(NOBODY)


def with_a_way_back() -> None:
    os.setresgid(NOBODY, NOBODY, 0)
    os.setresuid(NOBODY, NOBODY, 0)


def groups() -> None:
    os.setgroups([NOBODY])


HOW = {function.__name__: function for function in (for_good, for_now, with_a_way_back, groups)}


class Command(BaseCommand):
    help = "Change the user."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("how", choices=sorted(HOW))

    def handle(self, *args: Any, **options: Any) -> None:
        HOW[options["how"]]()
