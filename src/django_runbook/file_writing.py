"""Writes files atomically: a reader finds the old content or the new one, and never a part of it."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_PRIVATE: Final = 0o600
# The umask of the process is taken from it.
_USUAL: Final = 0o666
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def replace_private(path: Path, content: bytes, *, mode: int = _PRIVATE) -> None:
    """Write a file that only its owner can read; ``mode`` lets others read it.

    An existing link is replaced, not followed, and a missing folder is created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace_all({path: content}, modes={path: mode})


def replace_shared(contents: Mapping[Path, bytes]) -> None:
    """Write files that others may read: an existing file keeps its mode, and a link its target.

    All of them are on the disk before the first one replaces its predecessor.
    """
    targets = {path.resolve(): content for path, content in contents.items()}
    _replace_all(targets, modes={path: stat.S_IMODE(path.stat().st_mode) for path in targets if path.exists()})


def _replace_all(contents: Mapping[Path, bytes], *, modes: Mapping[Path, int]) -> None:
    unfinished: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            with _errors_name(path):
                # Nobody can guess the name, because other users may be able to write to the directory.
                new, mode = path.with_name(f".{secrets.token_hex(16)}.tmp"), modes.get(path)
                descriptor = os.open(new, _NEW, _USUAL if mode is None else mode & _PRIVATE)
                unfinished[path] = new
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    if mode is not None:
                        os.fchmod(file.fileno(), mode)
        for path, new in unfinished.items():
            with _errors_name(path):
                new.replace(path)
    except BaseException:
        for new in unfinished.values():
            with contextlib.suppress(OSError):
                new.unlink()
        raise


@contextlib.contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Let errors name the file instead of the temporary one, which means nothing to a reader."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
