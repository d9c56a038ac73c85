"""Wraps the private APIs of Django and of drivers that running commands needs; a test checks each of them."""

from __future__ import annotations

import sys
from typing import IO, Any

from django.conf import LazySettings, UserSettingsHolder
from django.core.management.base import BaseCommand, OutputWrapper
from django.db.backends.base.base import BaseDatabaseWrapper


def raw_stream(stream: Any) -> IO[str] | None:
    """Return the stream inside an OutputWrapper, which would end each write with a line break; None if it is closed."""
    raw: IO[str] | None = getattr(stream, "_out", stream)
    return raw


def replace_raw_stream(wrapper: OutputWrapper, stream: IO[str] | None) -> None:
    """Let an OutputWrapper write to another stream."""
    setattr(wrapper, "_out", stream)  # noqa: B010 - the stubs lack it


def is_called_from_command_line(command: BaseCommand) -> bool:
    """Return whether the command owns its process, as opposed to a call by ``call_command``."""
    return bool(getattr(command, "_called_from_command_line", False))


def is_django_test_run() -> bool:
    """Return whether Django's test runner has set up the test environment."""
    # Not imported: the module is large, and tests have already imported it.
    utils: Any = sys.modules.get("django.test.utils")
    return utils is not None and hasattr(utils._TestState, "saved_data")


def settings_module(lazy: LazySettings) -> str | None:
    """Return the module of all settings; None if some were created or changed in this process."""
    wrapped = lazy.__dict__["_wrapped"]
    return None if isinstance(wrapped, UserSettingsHolder) else getattr(wrapped, "SETTINGS_MODULE", None)


def switch_autocommit_on(wrapper: BaseDatabaseWrapper) -> None:
    """Switch autocommit on for a connection that Django does not manage."""
    wrapper._set_autocommit(autocommit=True)  # type: ignore[attr-defined]  # the stubs lack it


def descriptor_of(connection: Any) -> int | None:
    """Return the descriptor of a driver's connection; PyMySQL has no ``fileno()``."""
    source = connection if hasattr(connection, "fileno") else getattr(connection, "_sock", None)
    return None if source is None else int(source.fileno())
