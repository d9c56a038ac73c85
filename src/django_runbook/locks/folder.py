"""A user to the folder of the lock files, which nobody else can write to."""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from pathlib import Path

from django_runbook.exceptions import InvalidUsage, LockUnavailable

_HINT = 'name one with the option "directory" of RUNBOOK["LOCK"]'


def private(given: Path | None = None) -> Path:
    """The given folder, or one of this user's own, made where it is not there.

    It is the same for cron, a deploy and a login, which have different environments: it comes from the user database
    and not from HOME or XDG variables. Raises InvalidUsage where others could put files into it.
    """
    if given is not None:
        # Its group may be meant to look at it, or to remove a file by hand.
        return _checked(_made(given.resolve()), others=stat.S_IWOTH)
    home = _home()
    if home is not None:
        try:
            return _own(home / ".local" / "state" / "django-runbook" / "locks")
        except LockUnavailable:
            # The home of a system user often cannot be written to.
            pass
    return _own(Path(tempfile.gettempdir()) / f"django-runbook-{os.geteuid()}")


def name_of_user(uid: int) -> str:
    """The user's name; the number where it has none, as in many containers."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"


def _own(path: Path) -> Path:
    path = _made(path)
    owner = path.lstat().st_uid
    if owner != os.geteuid():
        raise InvalidUsage(f"the folder of lock files {path} belongs to {name_of_user(owner)}; {_HINT}")
    return _checked(path, others=stat.S_IWGRP | stat.S_IWOTH)


def _made(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        # A link to nothing, or a file: told below.
        pass
    except OSError as error:
        message = f"the folder of lock files {path} cannot be made: {error.strerror}; {_HINT}"
        raise LockUnavailable(message) from error
    return path


def _checked(path: Path, *, others: int) -> Path:
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise InvalidUsage(f"the folder of lock files {path} is not a folder; {_HINT}")
    if found.st_mode & others:
        raise InvalidUsage(f"others can write to the folder of lock files {path}; {_HINT}")
    return path


def _home() -> Path | None:
    try:
        home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return None
    return home if home.is_dir() and os.access(home, os.W_OK) else None
