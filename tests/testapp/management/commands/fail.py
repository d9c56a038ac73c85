"""Fails in the way that is asked for."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError

from tests.testapp.management.commands.effect import wait_for


class Command(BaseCommand):
    help = "Fail."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--kind", choices=["command", "error", "exit", "text", "integrity"], default="command")
        parser.add_argument("--code", type=int, default=1)
        parser.add_argument("--counter", help="A file that counts the calls.")
        parser.add_argument("--after", type=Path, help="Fail when this file is there.")
        parser.add_argument("--until", type=int, default=0, help="Succeed from this call on.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["after"]:
            wait_for(options["after"])
        self.stdout.write("about to fail")
        if options["counter"]:
            path = Path(options["counter"])
            path.write_text(path.read_text() + "x" if path.exists() else "x")
            if options["until"] and len(path.read_text()) >= options["until"]:
                return
        match options["kind"]:
            case "command":
                raise CommandError("it went wrong", returncode=options["code"])
            case "exit":
                sys.exit(options["code"])
            case "text":
                sys.exit("a text as exit code")
            case "integrity":
                raise IntegrityError("a constraint")
        raise ValueError("nobody meant this")
