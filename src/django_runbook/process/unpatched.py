"""Finds the original functions of the standard library that gevent or eventlet have replaced.

Our threads must run while a command computes, and our sockets must block; cooperative ones do neither.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol


class Thread(Protocol):
    """Represents a started thread of the operating system."""

    def join(self) -> None: ...


def original(module: str, name: str) -> Any:
    """Return the original function or class of a module."""
    monkey: Any = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched(module):
        return monkey.get_original(module, name)
    patcher: Any = sys.modules.get("eventlet.patcher")
    if patcher is not None and patcher.is_monkey_patched(module):
        return getattr(patcher.original(module), name)
    return getattr(importlib.import_module(module), name)


def start_thread(target: Callable[[], None], *, name: str) -> Thread:
    """Start a daemon thread of the operating system."""
    start = original("_thread", "start_new_thread")
    if start is importlib.import_module("_thread").start_new_thread:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread
    return _NativeThread(target, start)


def fork() -> int:
    """Fork this process without touching signals: gevent's own fork handles SIGCHLD."""
    pid: int = original("os", "fork")()
    return pid


def start_loop_after_fork() -> None:
    """Give a forked process an event loop of its own, if gevent is used."""
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
