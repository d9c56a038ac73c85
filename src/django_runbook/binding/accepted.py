"""Checks command lines that the parser of their command accepts."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Sequence

from django_runbook.binding.checking_parser import ParseOutcome
from django_runbook.binding.partial_text import has_holes
from django_runbook.binding.refusals import name_of
from django_runbook.binding.unbound import Piece, UnboundCommand
from django_runbook.document.diagnostics import Diagnostic, diagnose
from django_runbook.document.similar_names import nearest
from django_runbook.structs import Struct
from django_runbook.wording import choose_from, did_you_mean


class AcceptedCommand(Struct):
    """Holds a command, its tokens in the order in which its parser accepts them, and the result of parsing them.

    ``databases`` are the known aliases; if there are none, any alias is accepted.
    """

    command: UnboundCommand
    ordering: Sequence[Piece]
    outcome: ParseOutcome
    databases: Collection[str] = ()


def check_database(accepted: AcceptedCommand) -> Iterator[Diagnostic]:
    """Report each unknown alias that ``--database`` names."""
    databases = accepted.databases
    for consumed in accepted.outcome.consumptions:
        if not databases or not names_database(consumed.action, databases):
            continue
        for text, index in zip(consumed.texts, consumed.indices, strict=False):
            if text not in databases and not has_holes(text):
                yield diagnose(
                    "RB416",
                    message=f'unknown database "{text}"',
                    span=accepted.ordering[index].span,
                    help_text=did_you_mean(nearest(text, databases)) or choose_from(databases),
                )


def check_absent(accepted: AcceptedCommand) -> Iterator[Diagnostic]:
    """Report the values that depend on a file that does not exist yet."""
    for refusal in accepted.outcome.absent:
        indices = refusal.indices
        yield diagnose(
            "RB402",
            message=f"{name_of(refusal.action)} cannot be checked yet: {refusal.message}",
            span=accepted.ordering[indices[0]].span if indices else accepted.command.name_span,
            help_text="it will be checked again right before it runs",
        )


def names_database(action: argparse.Action, databases: Collection[str]) -> bool:
    """Return whether its values are aliases: in other commands, ``--database`` can be a file or a list of names."""
    defaults = action.default if isinstance(action.default, list | tuple) else (action.default,)
    return action.dest == "database" and all(default in databases for default in defaults)
