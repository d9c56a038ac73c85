"""The name of a runbook to its file: the working directory, then ``RUNBOOK["DIRS"]``, then the apps."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from django.apps import apps

from django_runbook.conf import Configuration
from django_runbook.document.diagnostics import suggestion
from django_runbook.document.includes import Includes, RefusedInclude
from django_runbook.exceptions import InvalidUsage
from django_runbook.wording import one_after_another

# What the journal has room for.
MAX_KEY_LENGTH = 500
SUFFIXES = (".yml", ".yaml")
_USUAL_FOLDER = "runbooks"


def find(name: str, configuration: Configuration) -> tuple[Path, str]:
    """The file of a runbook and how to call it; raises InvalidUsage, which says where it looked and what is near."""
    if "\0" in name:
        raise InvalidUsage("the name of a file cannot hold a NUL character")
    places = [Path(), *_directories(configuration)]
    if Path(name).is_absolute():
        places = [Path()]
    for place in places:
        for path in _with_suffixes(place / name):
            # lexists: what is there and cannot be read is told by the reader, with its reason.
            if os.path.lexists(path):
                return path, label(path)
    raise InvalidUsage(_not_found(name, places, configuration))


def _with_suffixes(path: Path) -> Iterator[Path]:
    """Yield the files that a name can mean: a folder of the same name is not meant where there is a file."""
    suffixes = () if path.suffix in SUFFIXES else SUFFIXES
    found = [path, *(path.with_name(path.name + suffix) for suffix in suffixes if path.name)]
    yield from sorted(found, key=Path.is_dir)


def find_beside(name: str, caller: str, configuration: Configuration) -> tuple[Path, str] | RefusedInclude:
    """The file that a runbook names: beside its own file first, then where all runbooks are looked for."""
    if "\0" in name:
        return RefusedInclude(message="the name of a file cannot hold a NUL character")
    beside = Path(caller).parent
    places = [beside] if Path(name).is_absolute() else [beside, *_directories(configuration)]
    for place in places:
        path = place / name
        if os.path.lexists(path):
            return path, label(path)
    looked = ", ".join(dict.fromkeys(str(label(place) or place) for place in places))
    names = [path.name for path in (*find_all(configuration), *sorted(beside.glob("*"))) if _is_runbook(path)]
    help_text = one_after_another(suggestion(name, names), f"looked in: {looked}")
    return RefusedInclude(message=f'there is no runbook "{name}"', help=help_text)


def includes(path: Path, configuration: Configuration) -> Includes:
    """Return how the runbooks that the one at ``path`` names are found and read."""
    return Includes(
        find=lambda name, caller: find_beside(name, caller, configuration),
        key_of=lambda label: key_of(Path(label), configuration),
        root=path,
    )


def find_all(configuration: Configuration) -> list[Path]:
    """All runbooks in ``RUNBOOK["DIRS"]`` and in the ``runbooks/`` folders of the apps, sub-folders included."""
    found = {
        path.resolve(): path
        for directory in _directories(configuration)
        for path in sorted(directory.rglob("*"))
        if _is_runbook(path) and path.is_file()
    }
    return list(found.values())


def key_of(path: Path, configuration: Configuration) -> str:
    """Return the name of a runbook in all releases of the project, which may be in other folders.

    That is its path below the folder in which it is looked for. Of two files with one path below two folders, only the
    first has that name; the second keeps its whole path.
    """
    absolute = path.resolve()
    directories = [directory.resolve() for directory in _directories(configuration)]
    for directory in directories:
        if absolute.is_relative_to(directory):
            relative = absolute.relative_to(directory)
            if next((place for place in directories if os.path.lexists(place / relative)), directory) == directory:
                return relative.as_posix()[-MAX_KEY_LENGTH:]
    # Not resolved: a link such as "current" stays when what it leads to changes.
    return os.path.abspath(path)[-MAX_KEY_LENGTH:]  # noqa: PTH100 - Path.absolute() would keep the ".."


def label(path: Path) -> str:
    """How a person at this working directory calls the file."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):
        return str(path)
    # systemd starts services in the root directory, below which each path would only lack its first character.
    is_elsewhere = relative.startswith(os.pardir) or os.path.abspath(relative) == f"/{relative}"  # noqa: PTH100
    return str(path) if is_elsewhere and path.is_absolute() else relative


def _directories(configuration: Configuration) -> Iterator[Path]:
    yield from configuration.dirs
    for app in apps.get_app_configs():
        directory = Path(app.path) / "runbooks"
        if directory.is_dir():
            yield directory


def _is_runbook(path: Path) -> bool:
    # Hidden files are the settings of tools.
    return path.suffix in SUFFIXES and not path.name.startswith(".")


def _not_found(name: str, places: list[Path], configuration: Configuration) -> str:
    names = [path.name for path in find_all(configuration)] + [
        path.name for path in sorted(Path().glob("*")) if _is_runbook(path)
    ]
    looked = "\n".join(f"  {place.absolute()}" for place in places)
    near = suggestion(Path(name).name, names)
    hint = f"\n{near}" if near else f"\nThere are: {', '.join(sorted(set(names)))}" if names else ""
    # The usual folder, which a project may have forgotten to name.
    for beside in (Path(_USUAL_FOLDER), Path(sys.argv[0]).parent / _USUAL_FOLDER):
        for path in _with_suffixes(beside / name):
            if path.is_file():
                hint = f'\nThere is "{label(path)}": give that path, or add its folder to RUNBOOK["DIRS"]'
    return f'there is no runbook "{name}"; looked in:\n{looked}{hint}'
