"""Writes to every stream that a command has."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

WAYS = ("stdout", "stderr", "print", "log", "bytes", "return", "descriptor", "subprocess")


class Command(BaseCommand):
    help = "Say the words."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("words", nargs="*")
        parser.add_argument("--to", choices=[*WAYS], default="stdout")

    def handle(self, *args: Any, **options: Any) -> str | None:
        text = " ".join(options["words"])
        match options["to"]:
            case "stdout":
                self.stdout.write(text)
            case "stderr":
                self.stderr.write(text)
            case "print":
                print(text)
            case "log":
                logging.getLogger("tests").warning("%s", text)
            case "bytes":
                sys.stdout.buffer.write(text.encode() + b"\n")
            case "descriptor":
                os.write(1, text.encode() + b"\n")
            case "subprocess":
                subprocess.run(["echo", text], check=True)
            case "return":
                return text
        return None
