"""Checks the private APIs of Python that running commands needs."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import warnings

import pytest

from django_runbook.process import python_internals


def test_the_handler_of_a_signal_is_returned_as_it_was_set() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        assert python_internals.getsignal(number) == signal.getsignal(number)


def test_the_environment_is_copied_as_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERNALS", "ü")
    found = python_internals.encoded_environ()
    assert found[b"INTERNALS"] == os.fsencode("ü")
    del found[b"INTERNALS"]
    assert os.environ["INTERNALS"] == "ü"


def test_an_environment_without_private_data_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"INTERNALS": "ü"})
    assert python_internals.encoded_environ() == {b"INTERNALS": os.fsencode("ü")}


def test_every_logging_handler_is_listed() -> None:
    handler = logging.NullHandler()
    assert handler in python_internals.logging_handlers()


def test_a_level_that_was_set_directly_takes_effect() -> None:
    logger = logging.getLogger("tests.internals")
    logger.setLevel(logging.ERROR)
    assert not logger.isEnabledFor(logging.DEBUG)
    logger.level = logging.DEBUG
    assert not logger.isEnabledFor(logging.DEBUG)
    python_internals.forget_logger_levels()
    assert logger.isEnabledFor(logging.DEBUG)


def test_replaced_warning_filters_take_effect() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        python_internals.replace_warning_filters((("ignore", None, UserWarning, None, 0),))
        warnings.warn("a warning that is ignored", UserWarning, stacklevel=1)
        assert len(warnings.filters) == 1


# In a process of its own: the callbacks are those of the whole process.
_EXIT = """
import atexit, os, sys, threading, time, weakref
from django_runbook.process import python_internals
class Owner: pass
owner = Owner()
weakref.finalize(owner, print, "finalized")
atexit.register(print, "dropped")
python_internals.clear_exit_callbacks()
atexit.register(print, "run")
threading.Thread(target=lambda: (time.sleep(0.05), print("thread"))).start()
python_internals.join_threads()
python_internals.run_exit_callbacks()
assert python_internals.multiprocessing_exit_function() is None
import multiprocessing.util
assert callable(python_internals.multiprocessing_exit_function())
sys.stdout.flush()
# Otherwise, the interpreter would collect the owner.
os._exit(0)
"""


@pytest.mark.slow
def test_exit_callbacks_are_cleared_and_run() -> None:
    found = subprocess.run([sys.executable, "-c", _EXIT], stdout=subprocess.PIPE, text=True, check=True)
    assert found.stdout.splitlines() == ["thread", "run"]


@pytest.mark.slow
def test_the_options_of_an_interpreter_are_found() -> None:
    code = "from django_runbook.process import python_internals; print(python_internals.interpreter_options())"
    found = subprocess.run([sys.executable, "-B", "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert "-B" in found.stdout
