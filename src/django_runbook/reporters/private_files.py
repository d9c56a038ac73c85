"""Writes into a directory that only the user of the run can read, and that no link can redirect."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_PRIVATE: Final = 0o600
_FOLLOWS_NO_LINK: Final = os.O_NOFOLLOW | os.O_CLOEXEC


class PrivateDirectory:
    """Creates a directory and holds it by its descriptor, so that renaming or replacing it changes nothing."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # An existing directory belongs to somebody else.
        path.mkdir(mode=0o700)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _FOLLOWS_NO_LINK)
        if os.fstat(self._descriptor).st_uid != os.geteuid():
            os.close(self._descriptor)
            raise PermissionError(f'another user replaced the directory "{path}"')

    def open_new(self, name: str) -> int:
        """Create a file and open it for appending."""
        return self._open(name, os.O_CREAT | os.O_EXCL)

    def open_again(self, name: str) -> int:
        """Open an existing file for appending."""
        return self._open(name, 0)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)

    def _open(self, name: str, flags: int) -> int:
        flags |= os.O_WRONLY | os.O_APPEND | _FOLLOWS_NO_LINK
        return os.open(name, flags, _PRIVATE, dir_fd=self._descriptor)
