"""Actions and types of its own."""

from __future__ import annotations

from argparse import Action, ArgumentError, ArgumentParser, ArgumentTypeError, Namespace
from typing import Any

from tests.testapp.parsing import ParsingCommand


class PairAction(Action):
    def __call__(
        self, parser: ArgumentParser, namespace: Namespace, values: Any, option_string: str | None = None
    ) -> None:
        key, separator, value = values.partition("=")
        if not separator:
            raise ArgumentError(self, "write KEY=VALUE")
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest) or {}), key: value})


def upper(text: str) -> str:
    return text.upper()


def even(text: str) -> int:
    number = int(text)
    if number % 2:
        raise ArgumentTypeError(f"{number} is odd")
    return number


def broken(text: str) -> int:
    raise KeyError(text)


class Command(ParsingCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--pairs", action=PairAction, metavar="KEY=VALUE")
        parser.add_argument("--upper", type=upper)
        parser.add_argument("--even", type=even)
        parser.add_argument("--broken", type=broken)
