"""Writes files of a run so that only its user can read them, and that nobody can redirect them with a link."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

_PRIVATE: Final = 0o600
_FOLLOWS_NO_LINK: Final = os.O_NOFOLLOW | os.O_CLOEXEC


def replace(path: Path, content: bytes) -> None:
    """Write a whole file or nothing; a link of its name is replaced, and not followed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Nobody can guess the name, and nothing can be there: the folder may be one that others write to.
    unfinished = path.with_name(f".{secrets.token_hex(16)}.tmp")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FOLLOWS_NO_LINK, _PRIVATE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        unfinished.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise


class PrivateFolder:
    """Is a new folder of ours, held by its descriptor: that it is renamed or replaced by a link changes nothing."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What is there already belongs to somebody else.
        path.mkdir(mode=0o700)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _FOLLOWS_NO_LINK)
        if os.fstat(self._descriptor).st_uid != os.geteuid():
            os.close(self._descriptor)
            raise PermissionError(f'somebody else has replaced the folder "{path}"')

    def open_new(self, name: str) -> int:
        """Open a file that is not there yet, to append to it."""
        return self._open(name, os.O_CREAT | os.O_EXCL)

    def open_again(self, name: str) -> int:
        """Open a file of ours to append to it."""
        return self._open(name, 0)

    def close(self) -> None:
        """Close the folder."""
        os.close(self._descriptor)

    def _open(self, name: str, flags: int) -> int:
        flags |= os.O_WRONLY | os.O_APPEND | _FOLLOWS_NO_LINK
        return os.open(name, flags, _PRIVATE, dir_fd=self._descriptor)
