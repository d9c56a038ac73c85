"""Prints a script that lets a shell complete runbooks, steps and parameters, and answers that script."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django_runbook.management import completion
from django_runbook.management.clean_command import CleanCommand


class Command(CleanCommand):
    help = "Print a script that lets a shell complete the names of runbooks, steps, tags, parameters and options."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("shell", choices=("bash", "zsh"), help="The shell that loads the script.")
        parser.add_argument(
            "--line",
            metavar="TEXT",
            help="Print what the last word of the command line TEXT can become: for the script.",
        )
        parser.add_argument(
            "--word", metavar="TEXT", help="Print what replaces TEXT, the end of that word: for the script."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["line"] is None:
            script = Path(completion.__file__).with_suffix(".sh").read_text(encoding="utf-8")
            commands = " ".join(completion.own_commands())
            self.stdout.write_file(script.replace("__SHELL__", options["shell"]).replace("__COMMANDS__", commands))
            return
        current, found = completion.complete(options["line"])
        kept = "" if options["word"] is None else completion.kept_part(current, options["word"])
        for word in found:
            self.stdout.write_file(f"{word.removeprefix(kept)}\n")
