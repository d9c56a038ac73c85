"""Detects from its code whether an argparse type or action opens or inspects files."""

from __future__ import annotations

import argparse
import functools
import inspect
import io
import os
import pathlib
import types
from collections.abc import Iterator

_MAX_DEPTH = 3
_OPENERS: tuple[object, ...] = (open, io.open, os.open, pathlib.Path.open)
_CHANGING = {
    *("open", "fdopen", "urlopen", "NamedTemporaryFile", "mkstemp", "mkdtemp", "read_text", "read_bytes"),
    *("write_text", "write_bytes", "touch", "mkdir", "makedirs", "unlink", "remove", "rmdir", "rmtree", "rename"),
    *("system", "popen", "Popen", "check_call", "check_output"),
}
_LOOKING = {
    *("exists", "lexists", "isfile", "isdir", "is_file", "is_dir", "access", "stat"),
    *("listdir", "iterdir", "scandir", "glob"),
}


def opens_files(kind: object) -> bool:
    """Return whether calling it opens or changes files, or starts processes."""
    if isinstance(kind, functools.partial):
        return opens_files(kind.func)
    if isinstance(kind, argparse.FileType) or any(kind == opener for opener in _OPENERS):
        return True
    return not _CHANGING.isdisjoint(_names(kind))


def looks_at_files(kind: object) -> bool:
    """Return whether its result depends on files, which an earlier step may create."""
    return not _LOOKING.isdisjoint(_names(kind))


def _names(kind: object) -> frozenset[str]:
    return frozenset(name for function in _functions(kind) for name in _called(function, depth=0))


def _functions(kind: object) -> Iterator[types.FunctionType]:
    if isinstance(kind, functools.partial):
        yield from _functions(kind.func)
        return
    own = inspect.unwrap(kind) if isinstance(kind, types.FunctionType) else kind
    candidates: list[object] = [own]
    if isinstance(own, type):
        candidates = [vars(own).get(name) for name in ("__init__", "__new__", "__call__")]
    elif isinstance(own, types.MethodType):
        candidates = [own.__func__]
    elif not isinstance(own, types.FunctionType):
        candidates = [vars(type(own)).get("__call__")]
    yield from (candidate for candidate in candidates if isinstance(candidate, types.FunctionType))


def _called(function: types.FunctionType, *, depth: int) -> Iterator[str]:
    for name in _mentioned(function.__code__):
        yield name
        found = function.__globals__.get(name)
        if depth < _MAX_DEPTH and isinstance(found, types.FunctionType) and found.__module__ == function.__module__:
            yield from _called(found, depth=depth + 1)


def _mentioned(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _mentioned(constant)
