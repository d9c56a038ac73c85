"""Runs the suite on every pair of Python and Django that this machine has, and the checks beside it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import nox

PYTHONS = ("3.11", "3.12", "3.13")
DJANGOS = {  # with the Pythons that the release itself supports
    "5.2": ("3.11", "3.12", "3.13"),
    "6.0": ("3.12", "3.13"),
    "6.1": ("3.12", "3.13"),
}
PAIRS = [(python, django) for python in PYTHONS for django in DJANGOS if python in DJANGOS[django]]
LOCK = "requirements/development.txt"
# As in the Makefile.
WORKERS = ("--numprocesses=3", "--dist=worksteal")

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False  # `interpreters` says which are missing
nox.options.reuse_venv = "yes"
nox.options.sessions = ["interpreters", "lint", "types", "migrations", "tests"]


def works(python: str) -> bool:
    """Say whether this interpreter starts: pyenv leaves commands on PATH that only say that they do not."""
    path = shutil.which(python)
    if path is None:
        return False
    return subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0


def reveal_pyenv() -> None:
    """Put the interpreters that pyenv keeps, but does not offer, where nox looks: on PATH."""
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
    """Choose the oldest Django on the oldest Python that is here, and the newest on the newest."""
    oldest, *_, newest = DJANGOS
    with_oldest = [pair for pair in REACHABLE if pair[1] == oldest]
    with_newest = [pair for pair in REACHABLE if pair[1] == newest]
    return {*with_oldest[:1], *with_newest[-1:]}


def install_package(session: nox.Session) -> None:
    session.install("--quiet", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")


@nox.session(python=False, tags=["ends"])
def interpreters(session: nox.Session) -> None:
    """Say what of the matrix can run here and what cannot."""
    for version in PYTHONS:
        session.log(f"Python {version}: {'here' if version in PRESENT else 'NOT HERE, not tested'}")
    for django, pythons in DJANGOS.items():
        if not set(pythons) & set(PRESENT):
            session.warn(f"Django {django}: NOT TESTED, it needs Python {' or '.join(pythons)}")


@nox.session
@nox.parametrize(
    "python,django",
    [nox.param(*pair, tags=["ends"] if pair in ends() else []) for pair in PAIRS],
)
def tests(session: nox.Session, django: str) -> None:
    """Run the suite on one pair of the matrix; TESTED_PAIR=3.11-5.2 names one that has been run already."""
    if os.environ.get("TESTED_PAIR") == f"{session.python}-{django}":
        session.skip(f"Python {session.python} with Django {django} has been tested already")
    session.install("--quiet", "--quiet", "--requirement", f"requirements/django{django.replace('.', '')}.txt")
    install_package(session)
    session.run("python", "-m", "pytest", *WORKERS, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Hold the code to ruff's rules and format."""
    session.install("--quiet", "--quiet", "--constraint", LOCK, "ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types, strictly."""
    session.install("--quiet", "--quiet", "--requirement", LOCK)
    install_package(session)
    session.run("mypy")


@nox.session
def migrations(session: nox.Session) -> None:
    """Check that no model of the app or the example lacks its migration."""
    session.install("--quiet", "--quiet", "--requirement", LOCK)
    install_package(session)
    check = ("makemigrations", "--check", "--dry-run")
    session.run(
        *("python", "-m", "django", *check),
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": f".{os.pathsep}example_project"},
    )
    session.run("python", "example_project/manage.py", *check)


@nox.session
def lock(session: nox.Session) -> None:
    """Pin the dependencies of development and of each Django of the matrix."""
    session.install("--quiet", "--quiet", "uv>=0.9")
    targets = {"development": (["dev"], PYTHONS[0])}
    for django, pythons in DJANGOS.items():
        name = f"django{django.replace('.', '')}"
        targets[name] = (["build", "test", name], pythons[0])
    for name, (groups, python) in targets.items():
        session.run(
            *("uv", "pip", "compile", "--quiet", "pyproject.toml", "--universal", "--python-version", python),
            *(f"--group={group}" for group in groups),
            *("--output-file", f"requirements/{name}.txt", "--custom-compile-command", "make lock"),
            *session.posargs,
        )
