"""Events to something that a person or a program reads; each reporter is imported when it is chosen."""

from __future__ import annotations

import importlib
import os
from typing import IO, Final, Protocol

from django_runbook.events import Event

# The name of a reporter and the module that has its `build`.
REPORTERS: Final = {
    "plain": "django_runbook.reporters.plain",
    "rich": "django_runbook.reporters.rich_",
    "jsonl": "django_runbook.reporters.jsonl",
}


class Reporter(Protocol):
    """Is called with each event, and closed once at the end, also when the run broke off."""

    def __call__(self, event: Event) -> None: ...

    def close(self) -> None: ...


def choose(stream: IO[str]) -> str:
    """The reporter for a stream when none was asked for: rich on a terminal, plain elsewhere."""
    is_terminal = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return "rich" if is_terminal else "plain"


def build(
    name: str, *, stream: IO[str], verbosity: int = 1, no_color: bool = False, force_color: bool = False
) -> Reporter:
    """The reporter of this name, which writes to the stream."""
    module = importlib.import_module(REPORTERS[name])
    reporter: Reporter = module.build(stream=stream, verbosity=verbosity, no_color=no_color, force_color=force_color)
    return reporter
