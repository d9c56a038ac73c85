"""Writes runbooks from what ran before: holds how the import commands read, check, print and write them."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from django_runbook import checking, conf
from django_runbook.checking import Checked
from django_runbook.document.diagnostics import has_errors
from django_runbook.document.formats import render
from django_runbook.document.syntax import source
from django_runbook.exceptions import InvalidUsage
from django_runbook.file_writing import replace_shared
from django_runbook.importing.checked_text import check_text
from django_runbook.importing.draft import Imported, Note
from django_runbook.importing.emit import OPEN_MARK, comment, emit
from django_runbook.importing.finishing import open_count
from django_runbook.management.clean_command import CleanCommand
from django_runbook.process.django_internals import is_called_from_command_line
from django_runbook.results import ExitCode
from django_runbook.structs import Struct

STANDARD_INPUT = "-"


class NewFile(Struct):
    """Holds the text of a runbook, the file that it belongs to, and what the check says about it."""

    path: Path
    text: str
    open_count: int
    checked: Checked


class ImportCommand(CleanCommand):
    """Imports one file; a subclass translates its text."""

    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="The file to import; - reads standard input.")
        parser.add_argument("--output", metavar="DIR", help="Write each runbook to a file in DIR. Default: print them.")
        parser.add_argument("--overwrite", action="store_true", help="Replace files that exist in DIR.")

    def translate(self, text: str, name: str, options: dict[str, Any]) -> Imported:
        """Return the runbooks of a text; raise CannotImport."""
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            name, text = _read(options["file"])
            imported = self.translate(text, name, options)
            files = _new_files(imported, Path(options["output"] or ""))
        except InvalidUsage as error:
            raise CommandError(str(error), returncode=error.exit_code) from error
        if options["output"] is None:
            self._print(imported, files)
        else:
            self._write(imported, files, is_overwriting=options["overwrite"])
        self._report(imported, files)

    def _print(self, imported: Imported, files: list[NewFile]) -> None:
        parts = [_as_comments(imported.leftovers)] if imported.leftovers else []
        if len(files) == 1:
            parts.append(files[0].text)
        else:
            parts += [f"# {file.path.name}\n{file.text}" for file in files]
        self.stdout.write_file("---\n".join(parts))

    def _write(self, imported: Imported, files: list[NewFile], *, is_overwriting: bool) -> None:
        present = [str(file.path) for file in files if file.path.exists()]
        if present and not is_overwriting:
            there = f"{present[0]} exists" if len(present) == 1 else f"{', '.join(present)} exist"
            raise CommandError(f"{there}: nothing was written; --overwrite replaces files", returncode=ExitCode.INVALID)
        try:
            for file in files:
                file.path.parent.mkdir(parents=True, exist_ok=True)
            replace_shared({file.path: file.text.encode() for file in files})
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}", returncode=ExitCode.FAILED) from error
        for file in files:
            self.stdout.write(f"{file.path}{_open_text(file.open_count)}")
        if imported.leftovers:
            self.stdout.write("not in any runbook:\n" + _as_comments(imported.leftovers).removesuffix("\n"))

    def _report(self, imported: Imported, files: list[NewFile]) -> None:
        for file in files:
            if file.checked.diagnostics:
                checked = file.checked
                shown = render.render_text(
                    checked.diagnostics, path=checked.path, lines=checked.lines, is_colored=False
                )
                self.stderr.write(shown.removesuffix("\n"))
        bad = [str(file.path) for file in files if has_errors(file.checked.diagnostics)]
        count = sum(file.open_count for file in files) + sum(note.is_open for note in imported.leftovers)
        runbooks = "1 runbook" if len(files) == 1 else f"{len(files)} runbooks"
        self.stderr.write(f"{runbooks}{_open_text(count)}", style_func=str)
        if not bad:
            return
        # A caller gets an exception; only a command line ends the process.
        if is_called_from_command_line(self):
            sys.exit(ExitCode.INVALID)
        raise CommandError(f"errors in {', '.join(bad)}", returncode=ExitCode.INVALID)


def _read(name: str) -> tuple[str, str]:
    """Return the label and the text of a file; raise InvalidUsage if it is not text."""
    if name == STANDARD_INPUT:
        label = "standard input"
        read, diagnostics = source.decode(sys.stdin.buffer.read(source.MAX_BYTES + 1), name=label)
    else:
        label = name
        read, diagnostics = source.read(Path(name), name=label)
    if diagnostics:
        first = diagnostics[0]
        raise InvalidUsage(f"{label}:{first.span.line}:{first.span.column}: {first.message}")
    return label, read.text.replace("\r\n", "\n")


def _new_files(imported: Imported, folder: Path) -> list[NewFile]:
    configuration = conf.read()
    binder = checking.new_binder(is_recorded=configuration.has_journal)
    made = []
    for draft in imported.drafts:
        path, text = folder / f"{draft.stem}.yml", emit(draft)
        checked = check_text(text, path=path, name=str(path), binder=binder, configuration=configuration)
        made.append(NewFile(path=path, text=text, open_count=open_count(draft), checked=checked))
    return made


def _as_comments(notes: tuple[Note, ...]) -> str:
    return "".join(f"{line}\n" for note in notes for line in comment(note, indent=0))


def _open_text(count: int) -> str:
    if not count:
        return ""
    return (
        f", 1 comment to decide on: search for {OPEN_MARK}"
        if count == 1
        else (f", {count} comments to decide on: search for {OPEN_MARK}")
    )
