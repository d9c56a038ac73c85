"""Adds ``--dry-run`` to every command of a Runbook that has this option."""

from __future__ import annotations

from django_runbook.binding.catalog import Catalog
from django_runbook.document.rewriting import rewrite_commands
from django_runbook.document.runbook import CommandStep, Located, Option, Runbook
from django_runbook.structs import replace

_NAMES = frozenset(("dry-run", "dry_run", "--dry-run"))


def prepare(runbook: Runbook, catalog: Catalog) -> tuple[Runbook, frozenset[str]]:
    """Return the runbook for a dry run, and the keys of the commands without ``--dry-run``."""
    lacking: set[str] = set()

    def change(key: str, step: CommandStep) -> CommandStep:
        # The plan reports an unknown or a broken command at its position.
        if not catalog.has_option(str(step.command[0].value), "--dry-run", default=False):
            lacking.add(key)
            return step
        return _with_dry_run(step)

    return rewrite_commands(runbook, change), frozenset(lacking)


def _with_dry_run(step: CommandStep) -> CommandStep:
    if any(option.name in _NAMES for option in step.options) or any(
        token.value == "--dry-run" for token in step.command
    ):
        return step
    span = step.command[0].span
    option = Option(name="dry-run", name_span=span, value=Located(value=True, span=span, text="true"))
    return replace(step, options=(*step.options, option))
