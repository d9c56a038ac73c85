"""Cleans the output of our commands, because values of files, rows and exceptions come from anywhere."""

from __future__ import annotations

import contextlib
import re
from typing import Any, Final, TextIO, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper

from django_runbook import command_lines
from django_runbook.cleaning import Mask, cleaned, encodable
from django_runbook.process.django_internals import raw_stream, replace_raw_stream
from django_runbook.process.raw_output import RawOutput, copy_of

_COLOR: Final = re.compile(r"(\x1b\[[0-9;]*m)")


class CleanOutput(OutputWrapper):
    """Writes no control characters except tabs, line feeds and the colors of its own styles.

    Characters that the stream cannot encode are escaped: Django would end the command with an error.
    """

    def write(self, msg: str = "", *args: Any, **options: Any) -> None:  # type: ignore[override]  # as Django has it
        super().write(encodable(cleaned(msg), self), *args, **options)

    def write_colored(self, text: str) -> None:
        """Write text with its colors, but without other control sequences."""
        text = "".join(map(_clean_but_colors, _COLOR.split(text)))
        super().write(encodable(text, self), style_func=str)

    def write_file(self, text: str) -> None:
        """Write the content of a file: in UTF-8, whatever the encoding of the stream, because a program reads it."""
        stream = raw_stream(self)
        buffer = getattr(stream, "buffer", None)
        if stream is None or buffer is None:
            super().write(cleaned(text), style_func=str, ending="")
            return
        stream.flush()
        buffer.write(cleaned(text).encode())
        buffer.flush()


def _clean_but_colors(piece: str) -> str:
    return piece if _COLOR.fullmatch(piece) else cleaned(piece)


class CleanCommand(BaseCommand):
    """Removes control characters from what a command of ours writes, and escapes what the stream cannot encode."""

    stdout: CleanOutput
    stderr: CleanOutput

    def __setattr__(self, name: str, value: Any) -> None:
        # Django replaces the streams at each call.
        if name in {"stdout", "stderr"} and type(value) is OutputWrapper:
            style_func, stream = value.style_func, cast("TextIO", raw_stream(value))
            value = CleanOutput(stream, ending=value.ending)
            value.style_func = style_func
        super().__setattr__(name, value)

    def create_parser(self, *args: Any, **options: Any) -> CommandParser:
        """Return a parser whose errors are clean too: they quote arguments."""
        parser = super().create_parser(*args, **options)
        report = parser.error

        def error(message: str) -> Any:
            return report(cleaned(message))

        parser.error = error  # type: ignore[method-assign]  # of this one instance
        return parser

    def get_version(self) -> str:
        """Return the versions of this package and of Django, for ``--version``."""
        return command_lines.version()

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command, and clean its error."""
        try:
            return super().execute(*args, **options)
        except CommandError as error:
            error.args = (cleaned(str(error)),)
            raise


def prepare_capture(command: CleanCommand, stack: contextlib.ExitStack, *, mask: Mask) -> RawOutput | None:
    """Prepare to capture the output of subprocesses; the command itself writes to copies of the descriptors.

    Return None if the standard streams are not those of the process.
    """
    wrappers = (command.stdout, command.stderr)
    streams: list[Any] = [raw_stream(wrapper) for wrapper in wrappers]
    out, err = map(copy_of, streams)
    if out is None or err is None:
        return None
    # A stream may be the other one: `2>&1` of a caller in Python.
    copies = [(copy, stream.fileno()) for stream, copy in zip(streams, (out, err), strict=True)]
    for wrapper, stream, copy in zip(wrappers, streams, (out, err), strict=True):
        stack.callback(replace_raw_stream, wrapper, stream)
        stack.callback(copy.close)
        replace_raw_stream(wrapper, copy)
    raw = RawOutput(late=err, mask=mask, copies={copy.fileno(): number for copy, number in copies})
    stack.callback(raw.close)
    return raw
