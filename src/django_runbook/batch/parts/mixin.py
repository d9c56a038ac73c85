"""Combines what classes declare about options, so that the parts of a command can be inherited in any order."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError

from django_runbook import argparse_compat
from django_runbook.document.similar_names import suggestion


class CommandMixin(BaseCommand):
    """Adds one ability to a command.

    The ``stealth_options`` of a class are its own and those of all bases, so each class lists only new ones. So are the
    ``cursor_free_options``, which do not change which rows a batch command processes: a run continues an interrupted
    one whatever their values. A part adds its options in `create_parser`, not in ``add_arguments``: a command that
    overrides the latter, as AppCommand and LabelCommand do, does not have to call it on the parts.
    """

    cursor_free_options: ClassVar[tuple[str, ...]] = (
        "force_color",
        "no_color",
        "pythonpath",
        "settings",
        "skip_checks",
        "stderr",
        "stdout",
        "traceback",
        "verbosity",
    )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if isinstance(cls.cursor_free_options, str):
            # Its characters would be taken for names, and rows would be processed twice.
            raise TypeError(f"{cls.__name__}.cursor_free_options is a string instead of a tuple of names")
        cls.stealth_options = _merged(cls, "stealth_options")
        cls.cursor_free_options = _merged(cls, "cursor_free_options")


def refuse_unknown_free_options(command: CommandMixin, options: Collection[str]) -> None:
    """Raise CommandError if ``cursor_free_options`` names an option that the command does not have.

    The option that was meant would make a run with another value start over. ``options`` are those of the call.
    """
    own = [name for name in command.cursor_free_options if name not in options and name not in _library_names(command)]
    if not own:
        return
    # An option whose default is suppressed is not among those of the call.
    actions = argparse_compat.actions_of(command.create_parser("manage.py", "command"))
    known = {*(action.dest for action in actions), *command.stealth_options, *command.base_stealth_options}
    for name in own:
        if name not in known:
            hint = suggestion(name, known)
            text = f'cursor_free_options of {type(command).__name__} names the option "{name}", which does not exist'
            raise CommandError(f"{text} ({hint})" if hint else text)


def _library_names(command: CommandMixin) -> set[str]:
    """Return the names that classes of the library declare: not every kind of command has each of these options."""
    package = __name__.partition(".")[0]
    bases = [base for base in type(command).__mro__ if base.__module__.partition(".")[0] == package]
    return {name for base in bases for name in vars(base).get("cursor_free_options", ())}


def _merged(cls: type, attribute: str) -> tuple[str, ...]:
    own = (vars(base).get(attribute, ()) for base in reversed(cls.__mro__))
    return tuple(dict.fromkeys(name for names in own for name in names))
