"""Parses argv tokens with a command's own parser, without side effects, and records which action takes each token."""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn

from django.db import Error as DatabaseError

from django_runbook import argparse_compat
from django_runbook.binding.effects import looks_at_files, opens_files
from django_runbook.binding.partial_text import PartialText, has_holes
from django_runbook.binding.quiet import quiet
from django_runbook.exceptions import in_words
from django_runbook.structs import MutableStruct, Struct, field, replace

_AMBIGUOUS: Final = re.compile(r"ambiguous option: (.*) could match ", re.DOTALL)
_REFUSED_FLAGS: Final = frozenset(("--settings", "--pythonpath"))


class Consumption(Struct, kw_only=False):
    """Records the tokens that an action took; ``is_cut_short`` if argparse dropped a value of two dashes."""

    action: argparse.Action
    parser: argparse.ArgumentParser
    indices: tuple[int, ...]
    texts: tuple[str, ...]
    is_cut_short: bool = False


class Refusal(Struct):
    """Describes why the parser refused the tokens: a message, the action, and the indices of the tokens."""

    kind: str
    message: str
    action: argparse.Action | None = None
    indices: tuple[int, ...] = ()


class ParseOutcome(Struct, kw_only=False):
    """Holds the result of parsing tokens.

    ``absent`` lists refusals that depend on files that an earlier step may create. ``is_cut`` means that the last
    tokens cannot be checked yet. ``values`` are the parsed values, and ``extras`` the tokens that no action took.
    """

    consumptions: tuple[Consumption, ...]
    refusal: Refusal | None
    absent: tuple[Refusal, ...] = ()
    is_cut: bool = False
    values: Mapping[str, object] = field(default_factory=dict)
    extras: tuple[int, ...] = ()


class _RefusedError(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class _CutError(Exception):
    """Stops a parse whose further tokens depend on an unknown value or file."""


class _State(MutableStruct, kw_only=False):
    consumptions: list[Consumption] = field(default_factory=list)
    extras: tuple[int, ...] = ()
    values: list[tuple[object, int]] = field(default_factory=list)
    absent: list[Refusal] = field(default_factory=list)
    ignored: list[int] = field(default_factory=list)
    abbreviations: dict[str, int] = field(default_factory=dict)
    namespace: object = None
    current: argparse.Action | None = None
    current_indices: tuple[int, ...] = ()


class CheckingParser:
    """Wraps the parser of a command: refuses abbreviations, has no side effects, and can parse repeatedly.

    ``parsers`` includes the parsers of sub-commands. Options begin with one of the ``prefixes``, files of arguments
    with one of the ``file_prefixes``.
    """

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.root = parser
        self.parsers = tuple(walk(parser))
        self.prefixes = _characters(one.prefix_chars for one in self.parsers)
        self.file_prefixes = _characters(one.fromfile_prefix_chars for one in self.parsers)
        self._effects: dict[int, tuple[bool, bool]] = {}
        self._state = _State()
        self._own_actions: list[argparse.Action] = []
        for one in self.parsers:
            self._adapt(one)
            known = {id(action) for action in self._own_actions}
            self._own_actions += [
                action
                for action in argparse_compat.actions_of(one)
                if id(action) not in known and _neutralise_action(action)
            ]
        given: Any = parser
        given.parse_known_args = functools.partial(self._parse_known_args, parser.parse_known_args)

    def parse(self, tokens: Sequence[str]) -> ParseOutcome:
        """Parse the tokens without printing, opening files or exiting."""
        self._state = state = _State()
        missing = getattr(self.root, "missing_args_message", None)
        if missing and not tokens:
            return ParseOutcome((), Refusal(kind="required", message=str(missing)))
        try:
            with _restored(self._own_actions), quiet():
                refusal = self._attempt([PartialText(text, place=index) for index, text in enumerate(tokens)])
        except _CutError:
            return ParseOutcome(tuple(state.consumptions), None, is_cut=True)
        values = dict(getattr(state.namespace, "__dict__", {}))
        return ParseOutcome(
            tuple(state.consumptions), refusal, tuple(state.absent), values=values, extras=tuple(state.ignored)
        )

    def _attempt(self, tokens: list[str]) -> Refusal | None:
        try:
            # The method that `run_from_argv` calls.
            self._state.namespace = self.root.parse_args(tokens)
        except _RefusedError as error:
            return error.refusal
        except argparse.ArgumentError as error:
            # Python 3.13 also raises for missing arguments; older versions only call `error`.
            return self._classify(str(error.message)) if error.argument_name is None else self._of_value(error)
        except SystemExit as error:
            return self._refuse("crash", f"it ended the process with {error.code!r}")
        except (DatabaseError, _CutError):
            raise
        except Exception as error:  # noqa: BLE001 - a type or an action of the command may raise anything
            return self._refuse("crash", in_words(error))
        # A parser that ignores unknown arguments would still accept abbreviations.
        short = tuple(place for place in self._state.ignored if place in self._state.abbreviations.values())
        return Refusal(kind="extra", message="an abbreviation", indices=short) if short else None

    def _refuse(self, kind: str, message: str) -> Refusal:
        state = self._state
        return Refusal(kind=kind, message=message, action=state.current, indices=state.current_indices)

    def _adapt(self, parser: argparse.ArgumentParser) -> None:
        """Replace methods on the instance of the parser, where argparse finds them before those of its class."""
        given: Any = parser
        given.exit_on_error = False
        given.error = self._error
        given.exit = self._exit
        argparse_compat.override(
            parser,
            read_args_from_files=lambda original, tokens: _read_no_files(parser, tokens),
            get_option_tuples=self._get_option_tuples,
            get_values=functools.partial(self._get_values, parser),
            get_value=self._get_value,
            check_value=self._check_value,
            parse_known_args=self._parse_and_note,
            match_argument=self._match_argument,
        )

    def _get_option_tuples(self, original: Callable[[str], list[Any]], text: str) -> list[Any]:
        """Drop abbreviations. An exact option that is also an abbreviation stays ambiguous, as in a shell."""
        found = original(text)
        if not found or any(text.startswith(one[1]) for one in found):
            return found
        self._state.abbreviations[str(text)] = text.place if isinstance(text, PartialText) else -1
        # Return an unknown option: without a match, argparse would read an argument with a space as a value.
        return found if len(found) > 1 else [(None, text, *(None for _ in found[0][2:]))]

    def _parse_and_note(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Record the tokens that no action took, even if the parser ignores them."""
        namespace, extras = original(*args, **kwargs)
        self._state.ignored += [text.place for text in extras if isinstance(text, PartialText)]
        return namespace, extras

    def _parse_known_args(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        namespace, extras = original(*args, **kwargs)
        self._state.extras = tuple(text.place for text in extras if isinstance(text, PartialText))
        return namespace, extras

    def _error(self, message: str) -> NoReturn:
        raise _RefusedError(self._classify(message))

    def _classify(self, message: str) -> Refusal:
        if self._state.extras:
            return Refusal(kind="extra", message=message, indices=self._state.extras)
        ambiguous = _AMBIGUOUS.match(message)
        if ambiguous is not None and ambiguous[1] in self._state.abbreviations:
            return Refusal(kind="extra", message=message, indices=(self._state.abbreviations[ambiguous[1]],))
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
        indices = tuple(text.place for text in texts if isinstance(text, PartialText))
        state.current, state.current_indices = action, indices
        if is_refused(action, is_root=parser is self.root):
            raise _RefusedError(self._refuse("refused", "the option has no meaning in a runbook"))
        if indices or action.option_strings:
            state.consumptions.append(Consumption(action, parser, indices, tuple(texts)))
        if argparse_compat.sub_parsers(action) and texts and has_holes(texts[0]):
            raise _CutError
        state.values = []
        has_dashes = "--" in texts
        values = original(action, texts)
        if has_dashes and state.consumptions and state.consumptions[-1].action is action:
            is_cut_short = "--" not in (values if isinstance(values, list) else [values])
            state.consumptions[-1] = replace(state.consumptions[-1], is_cut_short=is_cut_short)
        state.current_indices = indices
        return values

    def _get_value(self, original: Callable[[argparse.Action, str], Any], action: argparse.Action, text: str) -> Any:
        if isinstance(text, PartialText):
            self._state.current_indices = (text.place,)
        value = self._convert(original, action, text)
        if isinstance(text, PartialText):
            self._state.values.append((value, text.place))
        return value

    def _convert(self, original: Callable[[argparse.Action, str], Any], action: argparse.Action, text: str) -> Any:
        # Without a type the PartialText is kept: the parser of a sub-command receives the rest of the line through it.
        opens, looks = self._effects_of(action)
        if action.type is None or opens or has_holes(text):
            return text
        if not looks:
            return original(action, str(text))
        try:
            return original(action, str(text))
        except (DatabaseError, _CutError):
            raise
        except Exception as error:  # noqa: BLE001 - as in _attempt
            message = str(getattr(error, "message", error))
            places = (text.place,) if isinstance(text, PartialText) else ()
            self._state.absent.append(Refusal(kind="absent", message=message, action=action, indices=places))
            return text

    def _effects_of(self, action: argparse.Action) -> tuple[bool, bool]:
        """Return whether the type of an action opens files, and whether it inspects them."""
        if id(action) not in self._effects:
            self._effects[id(action)] = (opens_files(action.type), looks_at_files(action.type))
        return self._effects[id(action)]

    def _check_value(
        self, original: Callable[[argparse.Action, Any], None], action: argparse.Action, value: Any
    ) -> None:
        if has_holes(value) or any(self._effects_of(action)):
            return
        places = tuple(place for known, place in self._state.values if known is value)
        self._state.current_indices = places[:1] or self._state.current_indices
        original(action, value)

    def _match_argument(
        self, original: Callable[[argparse.Action, str], int], action: argparse.Action, pattern: str
    ) -> int:
        self._state.current, self._state.current_indices = action, ()
        return original(action, pattern)


def _characters(several: Iterable[str | None]) -> str:
    return "".join(dict.fromkeys("".join(one or "" for one in several)))


def walk(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield the parser and the parsers of its sub-commands, each once."""
    seen: set[int] = set()
    waiting = [parser]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [
                choice
                for action in argparse_compat.actions_of(one)
                for choice in argparse_compat.sub_parsers(action).values()
            ]


def is_refused(action: argparse.Action, *, is_root: bool) -> bool:
    """Return whether an option has no meaning in a runbook: it prints and exits, or selects the settings."""
    if isinstance(action, argparse_compat.HelpAction | argparse_compat.VersionAction):
        return True
    return is_root and not _REFUSED_FLAGS.isdisjoint(action.option_strings)


def _read_no_files(parser: argparse.ArgumentParser, tokens: list[str]) -> list[str]:
    prefixes = tuple(parser.fromfile_prefix_chars or "")
    if prefixes and any(token.startswith(prefixes) for token in tokens):
        raise _CutError
    return tokens


def _neutralise_action(action: argparse.Action) -> bool:
    """Keep a custom action from using unknown values and from opening files."""
    own = type(action)
    if own.__module__ == "argparse" or isinstance(action, argparse_compat.SubParsersAction):
        return False
    is_harmful = opens_files(own.__call__)

    def call(
        self: argparse.Action,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if is_harmful or has_holes(values):
            setattr(namespace, self.dest, values)
        else:
            own.__call__(self, parser, namespace, values, option_string)

    # Python looks up __call__ on the class; isinstance and super() still work with a subclass.
    action.__class__ = type(own.__name__, (own,), {"__call__": call, "__module__": own.__module__})
    return True


@contextlib.contextmanager
def _restored(actions: Sequence[argparse.Action]) -> Iterator[None]:
    """Restore the state of actions after a parse: in a shell, each call has a new parser."""
    kept = [(action, {**vars(action), "default": _copied(action.default)}) for action in actions]
    try:
        yield
    finally:
        for action, state in kept:
            vars(action).clear()
            vars(action).update(state)


def _copied(value: Any) -> Any:
    return copy.copy(value) if isinstance(value, list | dict | set) else value
