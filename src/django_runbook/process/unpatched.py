"""Finds functions of the standard library as they were before gevent or eventlet replaced them.

Our own threads must run while a command computes, and our own sockets must block: cooperative ones do neither.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol


class Thread(Protocol):
    """A started thread of the system."""

    def join(self) -> None: ...


def original(module: str, name: str) -> Any:
    """Return a function or class of a module as Python defines it."""
    monkey: Any = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched(module):
        return monkey.get_original(module, name)
    patcher: Any = sys.modules.get("eventlet.patcher")
    if patcher is not None and patcher.is_monkey_patched(module):
        return getattr(patcher.original(module), name)
    return getattr(importlib.import_module(module), name)


def start_thread(target: Callable[[], None], *, name: str) -> Thread:
    """Start a daemon thread of the system."""
    start = original("_thread", "start_new_thread")
    if start is importlib.import_module("_thread").start_new_thread:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread
    return _NativeThread(target, start)


def fork() -> int:
    """Fork this process, and leave signals alone: gevent's own fork takes SIGCHLD."""
    pid: int = original("os", "fork")()
    return pid


def start_loop_after_fork() -> None:
    """Give a forked process an event loop of its own, where commands may use one."""
    gevent: Any = sys.modules.get("gevent")
    if gevent is not None:
        gevent.reinit()


class _NativeThread:
    def __init__(self, target: Callable[[], None], start: Callable[..., int]) -> None:
        self._is_over = original("_thread", "allocate_lock")()
        self._is_over.acquire()
        start(self._run, (target,))

    def _run(self, target: Callable[[], None]) -> None:
        try:
            target()
        finally:
            self._is_over.release()

    def join(self) -> None:
        self._is_over.acquire()
        self._is_over.release()
