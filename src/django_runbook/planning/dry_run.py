"""Adds ``--dry-run`` to every command of a Runbook that has this option."""

from __future__ import annotations

from django_runbook import argparse_compat
from django_runbook.binding.catalog import BrokenCommandError, Catalog, UnknownCommandError
from django_runbook.binding.checking_parser import walk
from django_runbook.document.runbook import Block, CallStep, CommandStep, GroupStep, Located, Option, Runbook, Step
from django_runbook.structs import replace

_NAMES = frozenset(("dry-run", "dry_run", "--dry-run"))


def prepare(runbook: Runbook, catalog: Catalog) -> tuple[Runbook, frozenset[str]]:
    """Return the runbook for a dry run, and the keys of the commands without ``--dry-run``."""
    lacking: set[str] = set()
    block = _block(runbook.block, catalog, lacking, prefix="")
    return replace(runbook, block=block), frozenset(lacking)


def _block(block: Block, catalog: Catalog, lacking: set[str], *, prefix: str) -> Block:
    def each(steps: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(_step(step, catalog, lacking, prefix=prefix) for step in steps)

    return replace(
        block,
        steps=each(block.steps),
        on_success=each(block.on_success),
        on_failure=each(block.on_failure),
        finally_=each(block.finally_),
    )


def _step(step: Step, catalog: Catalog, lacking: set[str], *, prefix: str) -> Step:
    if isinstance(step, GroupStep):
        return replace(step, block=_block(step.block, catalog, lacking, prefix=prefix))
    if isinstance(step, CallStep):
        block = _block(step.runbook.block, catalog, lacking, prefix=f"{prefix}{step.id}/")
        return replace(step, runbook=replace(step.runbook, block=block))
    if not _has_dry_run(step, catalog):
        lacking.add(prefix + step.id)
        return step
    if any(option.name in _NAMES for option in step.options) or any(
        token.value == "--dry-run" for token in step.command
    ):
        return step
    span = step.command[0].span
    option = Option(name="dry-run", name_span=span, value=Located(value=True, span=span, text="true"))
    return replace(step, options=(*step.options, option))


def _has_dry_run(step: CommandStep, catalog: Catalog) -> bool:
    try:
        parser = catalog.get(str(step.command[0].value)).parser
    except (UnknownCommandError, BrokenCommandError):
        # The plan reports it at the command's position.
        return False
    return parser is not None and any("--dry-run" in argparse_compat.flags_of(one) for one in walk(parser.root))
