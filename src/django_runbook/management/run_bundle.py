"""Writes everything that is recorded about a run into one archive, for a colleague without access to the database."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final

from django_runbook.cleaning import cleaned, cleaned_values
from django_runbook.exceptions import InvalidUsage
from django_runbook.journal.reading import row_text
from django_runbook.management.run_files import RunFiles
from django_runbook.models import RUNNING, Run, StepRun
from django_runbook.pages import formatting
from django_runbook.results import RunStatus
from django_runbook.structs import Struct
from django_runbook.wording import short_id

FORMAT_VERSION: Final = 1
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_NAME: Final = 80
_PRIVATE: Final = 0o600


class RunBundle(Struct):
    """Describes the archive of one run; ``status`` is the one to display.

    Every text is masked once more, because a secret may have been declared after the run.
    """

    run: Run
    status: str
    files: RunFiles
    using: str

    def write(self, path: Path) -> None:
        """Write the archive to a new file; the same record gives the same bytes."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags, _PRIVATE)
        except FileExistsError:
            raise InvalidUsage(f'"{path}" exists; choose another file with --output') from None
        except OSError as error:
            raise InvalidUsage(f'"{path}" cannot be written: {error.strerror}') from error
        try:
            with os.fdopen(descriptor, "wb") as file:
                self._write(file)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _write(self, file: BinaryIO) -> None:
        with (
            gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for name, text in self._members():
                content = text.encode(errors="backslashreplace")
                member = tarfile.TarInfo(f"run-{short_id(self.run.pk)}/{name}")
                member.size, member.mode = len(content), 0o644
                member.mtime = int(self.run.started_at.timestamp())
                archive.addfile(member, io.BytesIO(content))

    def _lines(self, lines: Iterable[str]) -> str:
        text = self.files.mask("".join(f"{line}\n" for line in lines))
        # Removing characters may uncover a secret.
        return self.files.mask(cleaned(text))

    def _members(self) -> Iterator[tuple[str, str]]:
        yield "summary.txt", self._lines(self._summary())
        files = [{"path": one.path, "note": one.note} for one in self.files.files]
        yield (
            "run.json",
            self._json(row_text.as_dict(self.run, status=self.status, bundle_version=FORMAT_VERSION, files=files)),
        )
        for name, one in zip(_file_names([one.path for one in self.files.files]), self.files.files, strict=True):
            yield f"files/{name}", self.files.mask(one.text)
        for number, step in enumerate(self._steps().iterator(), start=1):
            name = f"steps/{_step_name(number, step)}"
            yield f"{name}.json", self._json(row_text.as_dict(step))
            yield f"{name}.txt", self._lines(_step_lines(step, self._is_dead))

    @property
    def _is_dead(self) -> bool:
        return self.run.status == RUNNING and self.status == RunStatus.INTERRUPTED

    def _steps(self) -> Any:
        return StepRun.objects.using(self.using).filter(run=self.run).order_by("pk")

    def _summary(self) -> Iterator[str]:
        short = self._steps().defer(*row_text.LONG_COLUMNS)
        yield from row_text.run_lines(self.run, self.status, short.iterator())
        yield from row_text.in_doubt_lines(self.run, self.status, short.iterator())
        yield ""
        yield "files:"
        for one in self.files.files:
            yield f"  {one.path}: {one.note}"
        if self.files.note:
            yield f"  {self.files.note}"
        yield "steps, with their commands, outputs and errors:"
        for number, step in enumerate(short.iterator(), start=1):
            if step.kind == "command":
                yield f"  steps/{_step_name(number, step)}.txt: {step.status}"

    def _json(self, values: dict[str, Any]) -> str:
        return json.dumps(cleaned_values(values, self.files.mask, is_long=True), indent=2, ensure_ascii=False) + "\n"


def default_path(run: Run) -> Path:
    """Return the file that the bundle of a run is written to by default."""
    return Path(f"run-{short_id(run.pk)}.tar.gz")


def _step_lines(step: StepRun, is_dead: bool) -> Iterator[str]:  # noqa: FBT001 - a property of the run
    yield row_text.step_line(step, is_dead=is_dead).strip()
    if step.argv:
        yield f"$ {formatting.command_line(step.argv)}"
    yield from (f"warning: {warning}" for warning in step.warnings)
    yield from row_text.row_note_lines(step)
    yield from row_text.output_lines(step, has_traceback=True)
    if step.definition:
        yield f"\ndefined in {step.file}:{step.line}:"
        yield step.definition


def _step_name(number: int, step: StepRun) -> str:
    """Return a name that every file system accepts; the number makes it unique."""
    name = _UNSAFE.sub("-", step.step_id).strip("-.")[:_MAX_NAME]
    return f"{number:04}-{name}" + (f"-attempt-{step.attempt}" if step.attempt > 1 else "")


def _file_names(paths: list[str]) -> Iterator[str]:
    """Yield a name for each file, numbered if two files of different folders have the same one."""
    seen: dict[str, int] = {}
    for path in paths:
        name = _UNSAFE.sub("-", PurePosixPath(path).name)
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{seen[name]}-{name}"
