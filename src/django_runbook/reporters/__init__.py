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
    "github": "django_runbook.reporters.github",
}
# The same for those that write files beside it, by the name of their option.
FILES: Final = {
    "junit": "django_runbook.reporters.junit",
    "log_dir": "django_runbook.reporters.log_dir",
}


class Reporter(Protocol):
    """Is called with each event, and closed once at the end, also when the run broke off."""

    def __call__(self, event: Event) -> None: ...

    def close(self) -> None: ...


def choose(stream: IO[str]) -> str:
    """The reporter for a stream when none was asked for: rich on a terminal, plain elsewhere.

    In a job of GitHub Actions it is github, for the output of the process itself: nobody else reads its commands.
    """
    if stream.isatty():
        can_draw = os.environ.get("TERM", "dumb") != "dumb" and _has_any_character(stream)
        return "rich" if can_draw else "plain"
    return "github" if os.environ.get("GITHUB_ACTIONS") == "true" and _is_standard_output(stream) else "plain"


def _has_any_character(stream: IO[str]) -> bool:
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")


def _is_standard_output(stream: IO[str]) -> bool:
    try:
        return stream.fileno() == 1
    except (OSError, AttributeError):
        return False


def build(
    name: str, *, stream: IO[str], verbosity: int = 1, no_color: bool = False, force_color: bool = False
) -> Reporter:
    """The reporter of this name, which writes to the stream."""
    module = importlib.import_module(REPORTERS[name])
    reporter: Reporter = module.build(stream=stream, verbosity=verbosity, no_color=no_color, force_color=force_color)
    return reporter


def build_file(name: str, path: str) -> Reporter:
    """The reporter of this name, which writes to this file or folder."""
    reporter: Reporter = importlib.import_module(FILES[name]).build(path)
    return reporter
