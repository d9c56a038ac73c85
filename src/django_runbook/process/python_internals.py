"""Wraps the private APIs of Python that running commands needs; a test checks each of them."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final

# The public function converts each handler to an enum, which takes longer than the rest of a snapshot.
getsignal: Final[Callable[[int], Any]] = getattr(signal, "_signal").getsignal  # noqa: B009 - mypy does not know it


def encoded_environ() -> dict[Any, Any]:
    """Return a copy of the environment as bytes: decoding all variables takes longer than the rest of a snapshot."""
    data: dict[Any, Any] | None = getattr(os.environ, "_data", None)
    if data is not None:
        return dict(data)
    return {os.fsencode(key): os.fsencode(value) for key, value in os.environ.items()}


def logging_handlers() -> Iterator[logging.Handler]:
    """Yield all logging handlers of this process."""
    for reference in logging._handlerList:  # type: ignore[attr-defined]  # no public name
        handler = reference()
        if handler is not None:
            yield handler


def forget_logger_levels() -> None:
    """Drop the cached levels of loggers, as ``setLevel`` does."""
    logging.root.manager._clear_cache()  # type: ignore[attr-defined]  # no public name


def replace_warning_filters(filters: tuple[Any, ...]) -> None:
    """Replace the warning filters, as ``catch_warnings`` does."""
    warnings.filters[:] = filters  # type: ignore[index]  # typeshed declares a sequence
    warnings._filters_mutated()  # type: ignore[attr-defined]  # no public name


def clear_exit_callbacks() -> None:
    """Remove all exit callbacks, including those of finalizers."""
    atexit._clear()
    for info in weakref.finalize._registry.values():  # type: ignore[attr-defined]  # no public name
        info.atexit = False
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]  # no public name


def run_exit_callbacks() -> None:
    atexit._run_exitfuncs()


def multiprocessing_exit_function() -> Callable[[], object] | None:
    """Return the exit callback of multiprocessing, if it was imported."""
    module: Any = sys.modules.get("multiprocessing.util")
    function: Callable[[], object] | None = None if module is None else module._exit_function
    return function


def join_threads() -> None:
    """Wait for all threads, as Python does at exit; this also ends the threads of pools."""
    threading._shutdown()  # type: ignore[attr-defined]  # no public name


def interpreter_options() -> list[str]:
    """Return the command line options of this interpreter, as multiprocessing does."""
    options: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # no public name
    return options
