"""Defines what surrounds a run: where it reports to, whom it may ask, and whether the process is its own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import IO, Protocol

from django_runbook import command_lines
from django_runbook.cleaning import Mask
from django_runbook.document.diagnostics import Diagnostic, has_errors
from django_runbook.document.formats import render
from django_runbook.exceptions import InvalidRunbook
from django_runbook.process.raw_output import RawOutput
from django_runbook.process.streams import clean_text
from django_runbook.reporters import Reporter
from django_runbook.structs import Struct


class Streams(Struct):
    """Holds what a run writes to while its steps run.

    ``errors`` is for what fails beside the steps. ``raw_output`` captures what subprocesses write; None leaves them the
    standard streams of the process.
    """

    reporters: Sequence[Reporter]
    errors: IO[str]
    raw_output: RawOutput | None = None


class Console(Protocol):
    """Surrounds one run.

    ``mask`` hides the secrets that are known so far: the run sets it as soon as it has read them. ``owns_process`` says
    that the process was started for this run, may be forked, and ends with it.
    """

    mask: Mask

    @property
    def owns_process(self) -> bool: ...

    @property
    def question_stream(self) -> IO[str] | None:
        """Return the stream on which a person reads questions; None if nobody may be asked."""

    def warn(self, text: str) -> None:
        """Show a warning that belongs to no step."""

    def show(self, diagnostics: Sequence[Diagnostic], *, path: str, lines: Mapping[str, Sequence[str]]) -> None:
        """Show what a check has found; raise InvalidRunbook if there is an error."""

    def resume_command(self, file: str, run_id: str, *, withheld: Collection[str]) -> str:
        """Return the command line that resumes the run."""

    def open(self, *, keeps_terminal: bool) -> contextlib.AbstractContextManager[Streams]:
        """Open the streams for the time of the steps; ``keeps_terminal`` leaves the standard streams to a debugger."""


class PythonConsole:
    """Surrounds a run that Python code starts: it asks nobody, and writes warnings to standard error."""

    owns_process = False
    question_stream = None

    def __init__(self, reporters: Sequence[Reporter] = ()) -> None:
        self.mask: Mask = str
        self._reporters = reporters

    def warn(self, text: str) -> None:
        sys.stderr.write(f"{clean_text(text, self.mask)}\n")

    def show(self, diagnostics: Sequence[Diagnostic], *, path: str, lines: Mapping[str, Sequence[str]]) -> None:
        text = render.render_text(diagnostics, path=path, lines=lines, is_colored=False).removesuffix("\n")
        if has_errors(diagnostics):
            raise InvalidRunbook(f"{path}: nothing was run\n{text}")
        if text:
            self.warn(text)

    def resume_command(self, file: str, run_id: str, *, withheld: Collection[str]) -> str:
        return command_lines.resume_command(file, run_id, options={}, withheld=withheld, owns_process=False)

    @contextlib.contextmanager
    def open(self, *, keeps_terminal: bool) -> Iterator[Streams]:
        yield Streams(reporters=self._reporters, errors=sys.stderr)
