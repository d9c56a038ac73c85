"""Checks the text of a runbook that is in no file yet."""

from __future__ import annotations

import os
from pathlib import Path

from django_runbook import checking, conf
from django_runbook.binding.binder import Binder
from django_runbook.checking import Checked
from django_runbook.document.diagnostics import Diagnostic, in_order
from django_runbook.document.syntax import source
from django_runbook.document.syntax.source import Source
from django_runbook.lookup import ON_DISK, Files


def check_text(text: str, *, path: Path, name: str, binder: Binder, configuration: conf.Configuration) -> Checked:
    """Check a text as if it were the file at ``path``."""

    def read(wanted: Path, label: str) -> tuple[Source, list[Diagnostic]]:
        return source.decode(text.encode(), name=label) if wanted == path else ON_DISK.read(wanted, label)

    files = Files(exists=lambda wanted: wanted == path or os.path.lexists(wanted), read=read)
    loaded = checking.load(path, name=name, configuration=configuration, files=files)
    diagnostics = loaded.diagnostics
    if loaded.runbook is not None:
        planned = checking.plan_without_secrets(loaded.runbook, binder=binder, configuration=configuration)
        diagnostics = in_order([*diagnostics, *planned.diagnostics])
    return Checked(path=loaded.path, lines=loaded.lines, diagnostics=diagnostics)
