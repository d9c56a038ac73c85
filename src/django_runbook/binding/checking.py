"""Argv tokens to what the command's own parser makes of them, without any of the effects that parsing can have."""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, Self, SupportsIndex

from django.db import Error as DatabaseError

# Stands inside a text for a part that only the run will know; files that hold it are refused.
UNKNOWN = "\ufdd0"
_REFUSED_DESTS = frozenset(("settings", "pythonpath"))
_FILE_OPENERS: tuple[object, ...] = (open, io.open, os.open, pathlib.Path.open)


class Token(str):
    """A text that knows which token of the command line it is a part of, whatever argparse cuts out of it."""

    __slots__ = ("place",)
    place: int

    def __new__(cls, text: str, place: int) -> Self:
        token = super().__new__(cls, text)
        token.place = place
        return token

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        text = super().__getitem__(key)
        return Token(text, self.place) if isinstance(key, slice) else text

    def partition(self, separator: str, /) -> tuple[str, str, str]:
        head, middle, tail = super().partition(separator)
        return Token(head, self.place), middle, Token(tail, self.place)

    def split(self, separator: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        return [Token(part, self.place) for part in super().split(separator, maxsplit)]


@dataclass(frozen=True, slots=True)
class Consumption:
    """An action took these tokens, in this parser."""

    action: argparse.Action
    parser: argparse.ArgumentParser
    indices: tuple[int, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why the parser would not take the tokens: a message, and the action and the tokens that it is about."""

    kind: str
    message: str
    action: argparse.Action | None = None
    indices: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What parsing the tokens gave."""

    consumptions: tuple[Consumption, ...]
    refusal: Refusal | None


class _RefusedError(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass(slots=True)
class _State:
    consumptions: list[Consumption] = field(default_factory=list)
    current: argparse.Action | None = None
    current_indices: tuple[int, ...] = ()


class CheckingParser:
    """A parser of a command, made exact and harmless; it can be asked as often as needed."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.root = parser
        self._state = _State()
        for one in walk(parser):
            self._adapt(one)

    @property
    def reads_files(self) -> bool:
        return bool(self.root.fromfile_prefix_chars)

    def parse(self, tokens: Sequence[str]) -> Outcome:
        """Parse the tokens; nothing is printed, opened or ended by it."""
        self._state = state = _State()
        numbered = [Token(text, index) for index, text in enumerate(tokens)]
        refusal = None
        missing = getattr(self.root, "missing_args_message", None)
        if missing and not tokens:
            return Outcome((), Refusal(kind="required", message=str(missing)))
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                _, extras = self.root.parse_known_args(numbered)
            if extras:
                refusal = self._extras(extras)
        except _RefusedError as error:
            refusal = error.refusal
        except argparse.ArgumentError as error:
            # Python 3.13 raises for what is missing too; before, only `error` is told of it.
            refusal = self._classify(str(error.message)) if error.argument_name is None else self._of_value(error)
        except SystemExit as error:
            refusal = self._refuse("crash", f"it ended the process with {error.code!r}")
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 - a type or an action of the command's own may raise anything
            refusal = self._refuse("crash", f"{type(error).__name__}: {error}")
        return Outcome(tuple(state.consumptions), refusal)

    def _extras(self, extras: Sequence[str]) -> Refusal:
        indices = tuple(text.place for text in extras if isinstance(text, Token))
        return Refusal(kind="extra", message="unrecognized arguments", indices=indices)

    def _refuse(self, kind: str, message: str) -> Refusal:
        state = self._state
        return Refusal(kind=kind, message=message, action=state.current, indices=state.current_indices)

    def _adapt(self, parser: argparse.ArgumentParser) -> None:
        """Replace what argparse asks of the parser; attributes of the instance win over its class."""
        given: Any = parser
        given.exit_on_error = False
        given.error = self._error
        given.exit = self._exit
        given._get_option_tuples = functools.partial(_exact_option_tuples, parser._get_option_tuples)
        given._get_values = functools.partial(self._get_values, parser, parser._get_values)
        given._get_value = functools.partial(_get_value, parser._get_value)
        given._check_value = functools.partial(_check_value, parser._check_value)
        given._match_argument = functools.partial(self._match_argument, parser._match_argument)

    def _error(self, message: str) -> NoReturn:
        raise _RefusedError(self._classify(message))

    def _classify(self, message: str) -> Refusal:
        if "required" in message:
            return Refusal(kind="required", message=message)
        return self._refuse("extra" if "unrecognized" in message else "value", message)

    def _of_value(self, error: argparse.ArgumentError) -> Refusal:
        return self._refuse("value", str(error.message))

    def _exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise _RefusedError(self._refuse("crash", message or f"it ended the process with {status}"))

    def _get_values(
        self,
        parser: argparse.ArgumentParser,
        original: Callable[[argparse.Action, list[str]], Any],
        action: argparse.Action,
        texts: list[str],
    ) -> Any:
        state = self._state
        indices = tuple(text.place for text in texts if isinstance(text, Token))
        state.current, state.current_indices = action, indices
        if isinstance(action, argparse._HelpAction | argparse._VersionAction) or action.dest in _REFUSED_DESTS:
            raise _RefusedError(self._refuse("refused", "the option has no meaning in a runbook"))
        if indices or action.option_strings:
            state.consumptions.append(Consumption(action, parser, indices, tuple(texts)))
        return original(action, texts)

    def _match_argument(
        self, original: Callable[[argparse.Action, str], int], action: argparse.Action, pattern: str
    ) -> int:
        self._state.current, self._state.current_indices = action, ()
        return original(action, pattern)


def walk(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser and those of its sub-commands, each once."""
    seen: set[int] = set()
    waiting = [parser]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [choice for action in one._actions for choice in sub_parsers(action).values()]


def sub_parsers(action: argparse.Action) -> dict[str, argparse.ArgumentParser]:
    """The parsers that a sub-command action chooses from; none for another action."""
    if not isinstance(action, argparse._SubParsersAction):
        return {}
    return {str(name): choice for name, choice in action.choices.items() if hasattr(choice, "_actions")}


def _exact_option_tuples(original: Callable[[str], list[Any]], text: str) -> list[Any]:
    """Without abbreviations: an option counts only where the text begins with the whole of it."""
    return [found for found in original(text) if text.startswith(found[1])]


def _get_value(original: Callable[[argparse.Action, str], Any], action: argparse.Action, text: str) -> Any:
    # What has no type stays a Token: a sub-command's parser is handed the rest of the line in this way.
    if action.type is None or UNKNOWN in text or opens_files(action.type):
        return text
    return original(action, str(text))


def _check_value(original: Callable[[argparse.Action, Any], None], action: argparse.Action, value: Any) -> None:
    if not (isinstance(value, str) and UNKNOWN in value):
        original(action, value)


def opens_files(kind: object) -> bool:
    """Whether a ``type=`` opens the file that it is given."""
    if isinstance(kind, functools.partial):
        return opens_files(kind.func)
    if isinstance(kind, argparse.FileType):
        return True
    return any(kind == opener for opener in _FILE_OPENERS)
