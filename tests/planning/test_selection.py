"""Tests which steps the options of the command line select."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.runner.support import run


def lines(ended: Any) -> list[str]:
    return [event["line"] for event in ended.events if event["event"] == "step_output_written"]


SELECTED = """
steps:
  - {id: one, command: say one, tags: [red]}
  - id: group
    tags: [blue]
    steps: [{id: two, command: say two}, {id: three, command: say three, tags: [red]}]
  - {id: four, command: say four}
finally: [say end]
"""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"only": ["two"]}, ["two", "end"]),
        ({"only": ["group,one"]}, ["one", "two", "three", "end"]),
        ({"skip": ["group"]}, ["one", "four", "end"]),
        ({"start_at": "group"}, ["two", "three", "four", "end"]),
        ({"start_at": "three"}, ["three", "four", "end"]),
        ({"tags": ["red"]}, ["one", "three", "end"]),
        ({"tags": ["blue"]}, ["two", "three", "end"]),
        ({"skip_tags": ["red"]}, ["two", "four", "end"]),
        ({"skip": ["say"]}, ["one", "two", "three", "four"]),
    ],
)
def test_the_options_select_steps(tmp_path: Path, options: dict[str, Any], expected: list[str]) -> None:
    assert lines(run(tmp_path, SELECTED, **options)) == expected


@pytest.mark.only("inline")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"only": ["tow"]}, '--only tow: unknown step "tow"; did you mean "two"?'),
        ({"tags": ["rde"]}, '--tags rde: unknown tag "rde"; did you mean "red"?'),
        ({"start_at": "say"}, "which runs last"),
        ({"param": ["n=1"]}, 'the runbook has no parameter "n"'),
        ({"param": ["n"]}, "value number 1 is not NAME=VALUE"),
    ],
)
def test_an_option_without_a_matching_step_or_parameter_is_an_error(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    ended = run(tmp_path, SELECTED, **options)
    assert ended.exit_code == 2
    assert words in ended.errors
    assert ended.events == []
