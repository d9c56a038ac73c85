"""Runs the tests on every pair of Python and Django that this machine has; `make` has the other checks."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nox

# 3.14 is tested where it is installed; the package declares it once the whole matrix has passed on it.
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
DJANGOS = {  # with the Pythons that the release itself supports
    "5.2": ("3.11", "3.12", "3.13", "3.14"),
    "6.0": ("3.12", "3.13", "3.14"),
    "6.1": ("3.12", "3.13", "3.14"),
}
PAIRS = [(python, django) for python in PYTHONS for django in DJANGOS if python in DJANGOS[django]]
# The Makefile defines and exports them.
WORKERS = shlex.split(os.environ.get("WORKERS", ""))

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False  # `interpreters` says which are missing
nox.options.reuse_venv = "yes"
nox.options.sessions = ["interpreters", "checks", "tests"]


def works(python: str) -> bool:
    """Tells whether this interpreter starts: pyenv puts commands on PATH that only print an error."""
    path = shutil.which(python)
    if path is None:
        return False
    return subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0


def reveal_pyenv() -> None:
    """Puts interpreters that pyenv has installed but not activated on PATH, where nox searches."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for version in PYTHONS:
        found = list(root.glob(f"versions/{version}.*/bin/python{version}"))
        if found and not works(f"python{version}"):
            newest = max(found, key=lambda path: [int(part) for part in re.findall(r"\d+", path.parts[-3])])
            os.environ["PATH"] = f"{newest.parent}{os.pathsep}{os.environ['PATH']}"


reveal_pyenv()
PRESENT = [version for version in PYTHONS if works(f"python{version}")]
REACHABLE = [pair for pair in PAIRS if pair[0] in PRESENT]


def ends() -> set[tuple[str, str]]:
    """Chooses the oldest Django on the oldest installed Python, and the newest Django on the newest."""
    oldest, *_, newest = DJANGOS
    with_oldest = [pair for pair in REACHABLE if pair[1] == oldest]
    with_newest = [pair for pair in REACHABLE if pair[1] == newest]
    return {*with_oldest[:1], *with_newest[-1:]}


def install_package(session: nox.Session) -> None:
    session.install("--quiet", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")


@nox.session(python=False, tags=["ends"])
def interpreters(session: nox.Session) -> None:
    """Lists which Pythons and Djangos of the matrix can be tested here."""
    for version in PYTHONS:
        session.log(f"Python {version}: {'installed' if version in PRESENT else 'NOT INSTALLED, not tested'}")
    for django, pythons in DJANGOS.items():
        if not set(pythons) & set(PRESENT):
            session.warn(f"Django {django}: NOT TESTED, it needs Python {' or '.join(pythons)}")


@nox.session
@nox.parametrize(
    "python,django",
    [nox.param(*pair, tags=["ends"] if pair in ends() else []) for pair in PAIRS],
)
def tests(session: nox.Session, django: str) -> None:
    """Runs the tests on one pair of the matrix, except the pair that TESTED_PAIR names (3.11-5.2)."""
    if os.environ.get("TESTED_PAIR") == f"{session.python}-{django}":
        session.skip(f"Python {session.python} with Django {django} was tested already")
    session.install("--quiet", "--quiet", "--requirement", f"requirements/django{django.replace('.', '')}.txt")
    install_package(session)
    session.run("python", "-m", "pytest", *WORKERS, *session.posargs)


@nox.session(python=False)
def checks(session: nox.Session) -> None:
    """Runs the checks that the Makefile defines."""
    session.run("make", "--keep-going", "static", external=True)


@nox.session(python=False)
def lock(session: nox.Session) -> None:
    """Pins the dependencies, with hashes: of the example, of development, and of each Django of the matrix."""
    targets = {
        "runtime": (["build", "demo"], PYTHONS[0]),
        "compose": (["build", "compose"], PYTHONS[0]),
        "development": (["dev"], PYTHONS[0]),
    }
    for django, pythons in DJANGOS.items():
        name = f"django{django.replace('.', '')}"
        targets[name] = (["build", "test", name], pythons[0])
    for name, (groups, python) in targets.items():
        session.run(
            *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "pyproject.toml"),
            *("--universal", "--python-version", python, "--generate-hashes"),
            *(f"--group={group}" for group in groups),
            *("--output-file", f"requirements/{name}.txt", "--custom-compile-command", "make lock"),
            *session.posargs,
        )
