"""Defines what ends an import, and what keeps a part of it out of the runbook."""

from __future__ import annotations

from django_runbook.exceptions import InvalidUsage


class CannotImport(InvalidUsage):
    """Reports that nothing can be imported: an unreadable file, or no management command in it."""


class MissingExtra(InvalidUsage):
    """Reports that the packages of the extra are not installed."""

    def __init__(self, module: str) -> None:
        super().__init__(
            f'the package "{module}" is not installed; install the extra: pip install "django-runbook[import]"'
        )


class NotCarried(Exception):
    """Says why a piece of shell has no place in a runbook; it stays in it as a comment."""
