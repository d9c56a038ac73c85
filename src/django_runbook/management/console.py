"""Surrounds a run of ``manage.py run_runbook``: writes to the command's streams, and asks at its terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import IO, Any

from django_runbook import command_lines, reporters
from django_runbook.cleaning import Mask
from django_runbook.document.diagnostics import Diagnostic, has_errors
from django_runbook.document.formats import render
from django_runbook.exceptions import InvalidRunbook
from django_runbook.management.clean_command import CleanCommand, prepare_capture
from django_runbook.process.django_internals import is_called_from_command_line, raw_stream
from django_runbook.stages.console import Streams


class CommandConsole:
    """Writes to the streams of a command, as the options that every command of Django has ask for."""

    def __init__(self, command: CleanCommand, options: Mapping[str, Any]) -> None:
        self.mask: Mask = str
        self._command = command
        self._options = options

    @property
    def owns_process(self) -> bool:
        return is_called_from_command_line(self._command)

    @property
    def question_stream(self) -> IO[str]:
        """Return the output, or the errors if only they are shown at a terminal."""
        return next((stream for stream in (self._output, self._errors) if stream.isatty()), self._output)

    def warn(self, text: str) -> None:
        self._command.stderr.write(self.mask(text), style_func=str)

    def show(self, diagnostics: Sequence[Diagnostic], *, path: str, lines: Mapping[str, Sequence[str]]) -> None:
        errors = self._command.stderr
        is_colored = self._options["force_color"] or (errors.isatty() and not self._options["no_color"])
        text = render.render_text(diagnostics, path=path, lines=lines, is_colored=is_colored)
        errors.write_colored(self.mask(text).removesuffix("\n"))
        if has_errors(diagnostics):
            raise InvalidRunbook(f"{path}: nothing was run")

    def resume_command(self, file: str, run_id: str, *, withheld: Collection[str]) -> str:
        return command_lines.resume_command(
            file, run_id, options=self._options, withheld=withheld, owns_process=self.owns_process
        )

    @contextlib.contextmanager
    def open(self, *, keeps_terminal: bool) -> Iterator[Streams]:
        format_ = self._options["format"] or reporters.choose(self._output)
        with contextlib.ExitStack() as stack:
            is_captured = self.owns_process and not keeps_terminal
            raw = prepare_capture(self._command, stack, mask=self.mask) if is_captured else None
            reporter = reporters.build(
                format_,
                stream=self._output,
                verbosity=self._options["verbosity"],
                no_color=self._options["no_color"],
                force_color=self._options["force_color"],
            )
            stack.callback(_settle, self._output)
            yield Streams(reporters=[reporter], errors=self._errors, raw_output=raw)

    @property
    def _output(self) -> IO[str]:
        stream = raw_stream(self._command.stdout)
        return sys.stdout if stream is None else stream

    @property
    def _errors(self) -> IO[str]:
        stream = raw_stream(self._command.stderr)
        return sys.stderr if stream is None else stream


def _settle(stream: IO[str]) -> None:
    """Keep Python from failing at its end if nobody reads any more: the exit code belongs to the run."""
    try:
        stream.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
