"""Combines stealth options, so that the parts of a command can be inherited in any order."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand


class CommandMixin(BaseCommand):
    """Adds one ability to a command.

    The ``stealth_options`` of a class are its own and those of all bases, so each class lists only new ones. A part
    adds its options in `create_parser`, not in ``add_arguments``: a command that overrides the latter, as AppCommand
    and LabelCommand do, does not have to call it on the parts.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = (vars(base).get("stealth_options", ()) for base in reversed(cls.__mro__))
        cls.stealth_options = tuple(dict.fromkeys(name for names in own for name in names))
