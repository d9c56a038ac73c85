"""Refuses values that a parser would read as options or files of arguments, and shell syntax."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from typing import Final

from django_runbook import argparse_compat
from django_runbook.binding.checking_parser import CheckingParser
from django_runbook.binding.finding import long_flag
from django_runbook.binding.partial_text import UNKNOWN, holes_of
from django_runbook.binding.unbound import Piece, Problems, Word
from django_runbook.structs import Struct

_VARIABLE: Final = re.compile(r"\$\w+|\$\{\w+\}|\$\(.*\)|`.*`")
_SHELL: Final = frozenset(("&&", "||", "|", ">", ">>", "<", "2>", "2>&1", "&", ";"))
_IN_ARGS: Final = 'put it under "args", where every value is a positional argument'


def refuse_shell(problems: Problems) -> None:
    """Report shell syntax in the file; the value of an expression may be any string."""
    for word in problems.command.words:
        if not word.is_written:
            continue
        if word.text in _SHELL:
            help_text = "a step is one management command, without a shell: make each command its own step"
            problems.add("RB411", f'"{word.text}" has no meaning in a command line', word.span, help_text)
        elif _VARIABLE.fullmatch(word.text):
            help_text = 'write "${{ … }}" for a value of the runbook, or put the string under "args"'
            problems.add("RB411", f'"{word.text}" is not expanded: steps do not run in a shell', word.span, help_text)


def refuse_options(problems: Problems, parser: CheckingParser | None, args: Sequence[Piece]) -> None:
    """Report the values that the parser would read as options or as files of arguments."""
    rules = _Rules(problems, parser)
    for index, word in enumerate(problems.command.words):
        if not word.is_written:
            rules.check(index, word)
    rules.refuse_files(args)


def starters(parser: CheckingParser) -> str:
    """Return the characters with which a value cannot begin for the parsers of a command."""
    return parser.prefixes + parser.file_prefixes


class _Rules(Struct, kw_only=False):
    problems: Problems
    parser: CheckingParser | None

    @property
    def _prefixes(self) -> str:
        return "-" if self.parser is None else self.parser.prefixes

    @property
    def _file_prefixes(self) -> str:
        return "" if self.parser is None else self.parser.file_prefixes

    def check(self, index: int, word: Word) -> None:
        written = word.text[: word.written_length]
        if written and self._is_cluster(word.text, written):
            help_text = "write each of the flags in full"
            self._report(word, f'the value in "{word.text}" would become an option', help_text)
        if written or not word.text or 0 in holes_of(word.text):
            return
        if word.text[0] in self._file_prefixes:
            self._report(word, self._file_message(word.text), self._way_out(index, is_file=True))
        elif word.text[0] in self._prefixes and not self._is_number_of_option(index, word):
            self._report(word, f'the value "{word.text}" would become an option', self._way_out(index))

    def refuse_files(self, pieces: Sequence[Piece]) -> None:
        """Report positional values that would be read as files of arguments."""
        for piece in pieces:
            if piece.text[:1] and piece.text[0] in self._file_prefixes and 0 not in holes_of(piece.text):
                help_text = _no_such_argument(self.problems)
                self.problems.add("RB410", self._file_message(piece.text), piece.span, help_text)

    def _report(self, word: Word, message: str, help_text: str) -> None:
        self.problems.add("RB410", message, word.span, help_text)

    def _file_message(self, text: str) -> str:
        return f'the value "{text}" would be read as a file of arguments'

    def _is_cluster(self, text: str, written: str) -> bool:
        """Return whether the value continues a group of short flags that take no value."""
        if self.parser is None or text[0] not in self._prefixes or text[0] == text[1:2] or "=" in written:
            return False
        for one in self.parser.parsers:
            letters = [argparse_compat.flags_of(one).get(text[0] + letter) for letter in written[1:]]
            if letters and all(action is not None and action.nargs == 0 for action in letters):
                return len(text) > len(written)
        return False

    def _is_number_of_option(self, index: int, word: Word) -> bool:
        """Return whether the parser reads a negative number as the value of the option before it."""
        if self.parser is None or not argparse_compat.is_negative_number(self.parser.root, word.text):
            return False
        return self._option_before(index, word.text) is not None

    def _way_out(self, index: int, *, is_file: bool = False) -> str:
        action = self._option_before(index, UNKNOWN)
        if action is None and is_file:
            return _no_such_argument(self.problems)
        if action is None:
            return _IN_ARGS
        if action.nargs not in {None, "?"}:
            return f'put it under "options", as "{long_flag(action).lstrip("-")}"'
        return f'write "{long_flag(action)}=${{{{ … }}}}", or put it under "options"'

    def _option_before(self, index: int, text: str) -> argparse.Action | None:
        """Return the option that takes the token at this index, if the values around it are valid."""
        if self.parser is None:
            return None
        outcome = self.parser.parse([text if place == index else other for place, other in enumerate(self._texts())])
        found = (by.action for by in outcome.consumptions if by.action.option_strings and index in by.indices)
        return next(found, None)

    def _texts(self) -> Iterator[str]:
        """Yield the words, with `UNKNOWN` for each that begins with an expression."""
        for word in self.problems.command.words:
            yield UNKNOWN if word.written_length == 0 else word.text


def _no_such_argument(problems: Problems) -> str:
    return f'"{problems.command.name}" does not accept a positional argument that begins with this character'
