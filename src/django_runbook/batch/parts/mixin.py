"""Combines what classes declare about options, so that the parts of a command can be inherited in any order."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.management.base import BaseCommand


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


def _merged(cls: type, attribute: str) -> tuple[str, ...]:
    own = (vars(base).get(attribute, ()) for base in reversed(cls.__mro__))
    return tuple(dict.fromkeys(name for names in own for name in names))
