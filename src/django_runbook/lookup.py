"""Finds runbooks by name: in the working directory, then in ``RUNBOOK["DIRS"]``, then in the apps."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Final

from django.apps import apps

from django_runbook.conf import Configuration
from django_runbook.document.similar_names import nearest
from django_runbook.document.validation.called_runbooks import CalledRunbooks, Read, RefusedRunbook, read_from_disk
from django_runbook.exceptions import InvalidUsage
from django_runbook.structs import Struct
from django_runbook.wording import did_you_mean, one_after_another

# The length of the column in the journal.
MAX_KEY_LENGTH = 500
SUFFIXES = (".yml", ".yaml")
_USUAL_FOLDER = "runbooks"
NONE_FOUND: Final = f'no runbook was found in RUNBOOK["DIRS"] or in a "{_USUAL_FOLDER}" folder of an app'


def find(name: str, configuration: Configuration) -> tuple[Path, str]:
    """Return the file of a runbook and its label.

    Raises InvalidUsage with the searched folders and a similar name, or if two files differ in their suffix only.
    """
    if not name:
        raise InvalidUsage("the name of the file is empty")
    if "\0" in name:
        raise InvalidUsage("the name of a file cannot hold a NUL character")
    places = [Path(), *_directories(configuration)]
    if Path(name).is_absolute():
        places = [Path()]
    for place in places:
        # lexists: a file that cannot be read is reported when it is read, with the reason.
        found = [path for path in _with_suffixes(place / name) if os.path.lexists(path)]
        named = [path for path in found if path.suffix in SUFFIXES]
        if len(named) > 1 and found[0] in named:
            shown = " and ".join(f'"{label(path)}"' for path in named)
            raise InvalidUsage(f'"{name}" is ambiguous: it matches {shown}; add the suffix')
        if found:
            return found[0], label(found[0])
    raise InvalidUsage(_not_found(name, places, configuration))


def _with_suffixes(path: Path) -> Iterator[Path]:
    """Yield the files that a name can mean, before folders of the same name."""
    suffixes = () if path.suffix in SUFFIXES else SUFFIXES
    found = [path, *(path.with_name(path.name + suffix) for suffix in suffixes if path.name)]
    yield from sorted(found, key=Path.is_dir)


class Files(Struct):
    """Says which files there are, and reads them: those on disk, or those of a commit."""

    exists: Callable[[Path], bool]
    read: Read


ON_DISK: Final = Files(exists=os.path.lexists, read=read_from_disk)


def find_beside(
    name: str, caller: str, configuration: Configuration, *, files: Files = ON_DISK
) -> tuple[Path, str] | RefusedRunbook:
    """Return the file of a called runbook: next to the calling file first, then as `find` does."""
    if "\0" in name:
        return RefusedRunbook(message="the name of a file cannot hold a NUL character")
    beside = Path(caller).parent
    places = [beside] if Path(name).is_absolute() else [beside, *_directories(configuration)]
    for place in places:
        path = place / name
        if files.exists(path):
            return path, label(path)
    searched = ", ".join(dict.fromkeys(str(label(place) or place) for place in places))
    help_text = one_after_another(_suggestion(name, names_in(beside, configuration)), f"searched in: {searched}")
    return RefusedRunbook(message=f'runbook "{name}" was not found', help=help_text)


def called_runbooks(path: Path, configuration: Configuration, *, files: Files = ON_DISK) -> CalledRunbooks:
    """Make the loader of the runbooks that the one at ``path`` calls."""
    return CalledRunbooks(
        find=lambda name, caller: find_beside(name, caller, configuration, files=files),
        read=files.read,
        key_of=lambda label: key_of(Path(label), configuration),
        root=path,
    )


def find_all(configuration: Configuration) -> list[Path]:
    """Find all runbooks in ``RUNBOOK["DIRS"]`` and in the ``runbooks/`` folders of the apps, recursively."""
    found = {
        path.resolve(): path
        for directory in _directories(configuration)
        for path in sorted(directory.rglob("*"))
        if _is_runbook(path) and path.is_file()
    }
    return list(found.values())


def names_in(folder: Path, configuration: Configuration) -> list[str]:
    """Return the names by which the runbooks of the project, and the files of this folder, are found."""
    keys = ((key_of(path, configuration), path) for path in find_all(configuration))
    names = [label(path) if PurePath(key).is_absolute() else key for key, path in keys]
    return [*names, *(path.name for path in sorted(folder.glob("*")) if _is_runbook(path))]


def is_of_project(path: Path, configuration: Configuration) -> bool:
    """Return whether `find_all` would find the file, if it existed."""
    return _is_runbook(path) and any(
        path.is_relative_to(directory.resolve()) for directory in _directories(configuration)
    )


def key_of(path: Path, configuration: Configuration) -> str:
    """Return the name of a runbook that stays the same in all releases of the project, whatever their folders.

    It is the path below the searched folder. If two folders have a file with the same path, only the first file has
    that name; the second is named by its whole path.
    """
    absolute = path.resolve()
    directories = [directory.resolve() for directory in _directories(configuration)]
    for directory in directories:
        if absolute.is_relative_to(directory):
            relative = absolute.relative_to(directory)
            if next((place for place in directories if os.path.lexists(place / relative)), directory) == directory:
                return relative.as_posix()[-MAX_KEY_LENGTH:]
    # Not resolved: a link such as "current" stays while its target changes.
    return os.path.abspath(path)[-MAX_KEY_LENGTH:]  # noqa: PTH100 - Path.absolute() would keep the ".."


def label(path: Path) -> str:
    """Return the path by which a user in this working directory knows the file."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):
        return str(path)
    # systemd starts services in the root directory, where a relative path would only lose its slash.
    is_elsewhere = relative.startswith(os.pardir) or os.path.abspath(relative) == f"/{relative}"  # noqa: PTH100 - a Path drops "."
    return str(path) if is_elsewhere and path.is_absolute() else relative


def _directories(configuration: Configuration) -> Iterator[Path]:
    yield from configuration.dirs
    for app in apps.get_app_configs():
        directory = Path(app.path) / "runbooks"
        if directory.is_dir():
            yield directory


def _is_runbook(path: Path) -> bool:
    # Hidden files belong to tools.
    return path.suffix in SUFFIXES and not path.name.startswith(".")


def _suggestion(name: str, names: list[str]) -> str:
    # A name may lack its folder, or have a wrong one.
    known = {PurePath(one).name: one for one in names} | {one: one for one in names}
    near = nearest(name, known) or nearest(PurePath(name).name, known)
    return did_you_mean(None if near is None else known[near])


def _not_found(name: str, places: list[Path], configuration: Configuration) -> str:
    names = names_in(Path(), configuration)
    searched = "\n".join(f"  {place.absolute()}" for place in places)
    near = _suggestion(name, names)
    hint = f"\n{near}" if near else f"\navailable: {', '.join(sorted(set(names)))}" if names else ""
    # The usual folder, in case the project has not configured it.
    for beside in (Path(_USUAL_FOLDER), Path(sys.argv[0]).parent / _USUAL_FOLDER):
        for path in _with_suffixes(beside / name):
            if path.is_file():
                hint = f'\nfound "{label(path)}": use that path, or add its folder to RUNBOOK["DIRS"]'
    return f'runbook "{name}" was not found; searched in:\n{searched}{hint}'
