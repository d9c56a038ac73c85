"""Needs a package that is not installed."""

from __future__ import annotations

import a_package_that_nobody_has  # type: ignore[import-not-found]  # noqa: F401 - what this command is for

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    pass
