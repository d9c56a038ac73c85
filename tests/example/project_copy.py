"""Copies the example project with the first of its flights: a test that needs few of them does not import the whole month."""

from __future__ import annotations

import gzip
import itertools
import shutil
from pathlib import Path
from typing import Final

from tests.runner.support import ROOT

_FLIGHTS: Final = Path("data", "flights-2013-01.csv.gz")


def copy_of_example(folder: Path, *, flight_count: int) -> Path:
    """Copy the project and its runbooks into a folder; return the folder of the project."""
    original, copied = ROOT / "example_project", folder / "example_project"
    shutil.copytree(original, copied, ignore=shutil.ignore_patterns("var"))
    shutil.copytree(ROOT / "runbooks", folder / "runbooks")
    with gzip.open(original / _FLIGHTS, "rt") as read, gzip.open(copied / _FLIGHTS, "wt") as written:
        # The first line is the header.
        written.writelines(itertools.islice(read, 1 + flight_count))
    return copied
