"""Chooses the reporter, which turns events into output, and imports only the one in use."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import IO, Final, Protocol

from django_runbook.events import Event
from django_runbook.exceptions import InvalidUsage

# Each reporter with the module that has its `build` function.
REPORTERS: Final = {
    "plain": "django_runbook.reporters.plain",
    "rich": "django_runbook.reporters.rich_",
    "jsonl": "django_runbook.reporters.jsonl",
    "github": "django_runbook.reporters.github",
}
# The same for additional reporters that write files, by the name of their option.
FILES: Final = {
    "junit": "django_runbook.reporters.junit",
    "log_dir": "django_runbook.reporters.log_dir",
}


class Reporter(Protocol):
    """Receives each event, and is closed once at the end, also if the run aborts."""

    def __call__(self, event: Event) -> None: ...

    def close(self) -> None: ...


def choose(stream: IO[str]) -> str:
    """Choose the default reporter: rich on a terminal, github on standard output of a GitHub Actions job, else plain.

    GitHub Actions interprets only the standard output of the process, so other streams get plain lines.
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
    """Create the reporter with this name, or with the import path of what creates it, on a stream."""
    make = factory_of(name)
    return make(stream=stream, verbosity=verbosity, no_color=no_color, force_color=force_color)


def factory_of(name: str) -> Callable[..., Reporter]:
    """Return what creates the reporter with this name or import path; raise InvalidUsage if it cannot be imported."""
    path, _, function = name.rpartition(".") if "." in name else (REPORTERS[name], "", "build")
    try:
        factory: Callable[..., Reporter] = getattr(importlib.import_module(path), function)
    except (ImportError, AttributeError) as error:
        raise InvalidUsage(f'--format: "{name}" cannot be imported: {error}') from error
    return factory


def build_file(name: str, path: str) -> Reporter:
    """Create the reporter with this name, which writes to a file or a directory."""
    reporter: Reporter = importlib.import_module(FILES[name]).build(path)
    return reporter
