"""Serves an editor that is open on this project: it knows the commands, their options and the rules of runbooks."""

from __future__ import annotations

import importlib.util
import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from django_runbook import conf
from django_runbook.exceptions import InvalidUsage
from django_runbook.management.clean_command import CleanCommand
from django_runbook.results import ExitCode


class Command(CleanCommand):
    help = (
        "Serve an editor over standard input and output (language server protocol): errors, completion and help in "
        "runbooks. The editor starts it."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        # Some editors always pass --stdio, which is the only transport.
        parser.add_argument(
            "--stdio",
            action="store_true",
            help="Accepted because editors pass it: the server always uses the standard streams.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if importlib.util.find_spec("pygls") is None:
            raise CommandError(
                "runbook_lsp needs pygls: pip install 'django-runbook[editor]'", returncode=ExitCode.INVALID
            )
        try:
            configuration = conf.read()
        except InvalidUsage as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        if os.isatty(0):
            self.stderr.write("waiting for an editor on standard input; end it with Ctrl-C", style_func=str)
        # pygls and its types take long to import.
        from django_runbook.language_server.server import RunbookServer

        # What a command prints or reads when it is loaded must not reach the editor.
        stdin, stdout = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        RunbookServer(configuration=configuration, version=self.get_version()).serve(stdin, stdout)
