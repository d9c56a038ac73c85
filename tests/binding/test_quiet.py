"""Prints in, nothing out."""

from __future__ import annotations

import sys

import pytest

from django_runbook.binding.quiet import quiet


def test_both_streams_are_discarded_until_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet():
        print("out")
        print("error", file=sys.stderr)
    print("after")
    assert capsys.readouterr() == ("after\n", "")
