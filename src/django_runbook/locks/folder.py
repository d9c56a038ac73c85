"""Finds and makes the folder of the lock files, which other users cannot write to."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
from pathlib import Path
from typing import Final

from django_runbook.exceptions import InvalidUsage, LockUnavailable, RunbookError
from django_runbook.structs import Struct

HINT: Final = (
    'set RUNBOOK["LOCK"]["OPTIONS"]["directory"] to a folder that all processes of the project see, '
    'with "BACKEND": "file"'
)
# Errors that last until a setting or a permission changes; others, such as a full disk, are temporary.
_LASTING: Final = frozenset(
    (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
)
_MOUNTS: Final = Path("/proc/self/mountinfo")
_IN_MEMORY: Final = frozenset(("tmpfs", "ramfs"))


class FolderLocation(Struct):
    """Describes where the folder is: as ``given``, else next to the ``database`` file, else in the user's home.

    All processes that use one database need the same folder, whatever their environment is: cron, a deployment, a
    login, a service with a private home or temporary directory. Two processes with two folders would both hold a lock.
    """

    given: Path | None = None
    database: Path | None = None


def find(location: FolderLocation) -> Path:
    """Return the path of the folder, without making it; raise InvalidUsage if there is none.

    The home directory comes from the user database, not from HOME or XDG variables.
    """
    if location.given is not None:
        return location.given.resolve()
    if location.database is not None:
        # A user who can write to an SQLite database can write to its folder, which contains the rollback journal.
        return location.database.with_name(f"{location.database.name}-runbook-locks")
    home = _home()
    if _is_private_memory(home):
        raise InvalidUsage(
            f"the home directory {home} is kept in memory (tmpfs), so other processes may see another one, "
            f"and not these lock files; {HINT}"
        )
    return home / ".local" / "state" / "django-runbook" / "locks"


def make(location: FolderLocation) -> Path:
    """Return the folder, and make it if necessary; raise InvalidUsage if other users can write to it."""
    path = find(location)
    is_beside_database = location.given is None and location.database is not None
    try:
        # The folder of the database must exist.
        path.mkdir(mode=0o700, parents=not is_beside_database)
    except FileExistsError:
        pass  # files and broken links are refused below
    except OSError as error:
        raise unusable(f"the folder of lock files {path} cannot be created", error) from error
    else:
        # The database may be in a working tree, where only its own name is ignored.
        with contextlib.suppress(OSError):
            (path / ".gitignore").write_text("*\n")
    _check(path, is_own=location.given is None)
    return path


def check(location: FolderLocation) -> None:
    """Raise the error that `make` would raise, as far as that is known without making the folder."""
    path = find(location)
    if os.path.lexists(path):
        _check(path, is_own=location.given is None)
        _check_writable(path, f"the folder of lock files {path} cannot be written to")
        return
    above = next(folder for folder in path.parents if os.path.lexists(folder))
    message = f"the folder of lock files {path} cannot be created"
    if not above.is_dir():
        raise unusable(message, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))
    _check_writable(above, message)


def unusable(message: str, error: OSError) -> RunbookError:
    """Return the error for a folder or file that cannot be used."""
    if error.errno in _LASTING:
        return InvalidUsage(f"{message}: {error.strerror}; {HINT}")
    return LockUnavailable(f"{message}: {error.strerror}")


def name_of_user(uid: int) -> str:
    """Return the name of the user, or its number if it has no name, as in many containers."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"


def _check(path: Path, *, is_own: bool) -> None:
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise InvalidUsage(f"the folder of lock files {path} is not a folder; {HINT}")
    if is_own and found.st_uid != os.geteuid():
        raise InvalidUsage(f"the folder of lock files {path} belongs to {name_of_user(found.st_uid)}; {HINT}")
    # A configured folder may be writable for its group, for example to remove files by hand.
    others = stat.S_IWGRP | stat.S_IWOTH if is_own else stat.S_IWOTH
    if found.st_mode & others:
        raise InvalidUsage(f"others can write to the folder of lock files {path}; {HINT}")


def _check_writable(folder: Path, message: str) -> None:
    # Root may write to any folder, but not on a read-only file system.
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise unusable(message, OSError(errno.EROFS, os.strerror(errno.EROFS)))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise unusable(message, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def _home() -> Path:
    uid = os.geteuid()
    try:
        home = Path(pwd.getpwuid(uid).pw_dir)
    except KeyError:
        raise InvalidUsage(f"{name_of_user(uid)} has no home directory for lock files; {HINT}") from None
    if not home.is_dir():
        raise InvalidUsage(f"the home directory {home} of {name_of_user(uid)}, for lock files, does not exist; {HINT}")
    return home


def _is_private_memory(folder: Path) -> bool:
    """Return whether a folder is on a file system in memory, which may be mounted for one process only."""
    try:
        device = folder.stat().st_dev
        lines = _MOUNTS.read_text().splitlines()
    except OSError:
        # Only Linux has this list, and mounts for one process.
        return False
    number = f"{os.major(device)}:{os.minor(device)}"
    # Device and mount point are the third and the fifth word, and the type follows a dash.
    mounts = [(before.split(), after.split()) for before, _, after in (line.partition(" - ") for line in lines)]
    points = [
        words[4]
        for words, (kind, *_) in ((words, after) for words, after in mounts if len(words) > 4 and after)
        if words[2] == number and kind in _IN_MEMORY
    ]
    return bool(points) and "/" not in points
