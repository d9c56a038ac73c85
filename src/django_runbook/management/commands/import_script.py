"""Writes the runbook of a shell script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django_runbook.importing.draft import Imported
from django_runbook.importing.script import import_script
from django_runbook.management.import_command import STANDARD_INPUT, ImportCommand


class Command(ImportCommand):
    help = "Write the runbook of a shell script that calls management commands; what has no counterpart is a comment."

    def translate(self, text: str, name: str, options: dict[str, Any]) -> Imported:
        stem = "script" if options["file"] == STANDARD_INPUT else Path(name).stem
        return Imported(drafts=(import_script(text, name=name, stem=stem),))
