from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from jsonschema import Draft4Validator

from django_runbook.document.diagnostics import Diagnostic, Span, diagnose
from django_runbook.document.formats.fingerprints import CheckedFile
from django_runbook.document.formats.sarif import as_sarif

GOLDEN = Path(__file__).parents[2] / "golden" / "err"


def result_of(found: Diagnostic, *, path: str = "a.yml") -> dict[str, Any]:
    log = as_sarif([CheckedFile(path=path, diagnostics=[found], lines={})], version="1.0")
    [result] = log["runs"][0]["results"]
    found_result: dict[str, Any] = result
    return found_result


def problem(**more: Any) -> Diagnostic:
    return diagnose("RB401", message="unknown", span=Span(3, 5, 3, 9), **more)


def test_a_result_has_its_rule_its_text_and_its_place() -> None:
    log = as_sarif([CheckedFile(path="a.yml", diagnostics=[problem(help_text="write it")], lines={})], version="1.0")
    [run] = log["runs"]
    [rule] = run["tool"]["driver"]["rules"]
    assert (rule["id"], rule["defaultConfiguration"]) == ("RB401", {"level": "error"})
    assert rule["helpUri"].endswith("docs/reference/diagnostics.md#rb401-an-unknown-command")
    [result] = run["results"]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    assert result["message"] == {"text": "unknown\nhelp: write it"}
    place = result["locations"][0]["physicalLocation"]
    assert place["region"] == {"startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 9}
    assert result["partialFingerprints"]["primaryLocationLineHash"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("runbooks/a b%.yml", {"uri": "runbooks/a%20b%25.yml", "uriBaseId": "%SRCROOT%"}),
        ("/srv/a b.yml", {"uri": "file:///srv/a%20b.yml"}),
    ],
)
def test_a_path_is_a_uri(path: str, expected: dict[str, str]) -> None:
    place = result_of(problem(), path=path)["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == expected


def test_a_second_place_is_a_related_location() -> None:
    [related] = result_of(problem(related=Span(1, 1, 1, 2), related_message="first here"))["relatedLocations"]
    assert related["message"] == {"text": "first here"}
    assert related["physicalLocation"]["region"]["startLine"] == 1


def test_without_a_problem_there_is_no_result() -> None:
    log = as_sarif([CheckedFile(path="a.yml", diagnostics=[], lines={})], version="1.0")
    assert log["runs"][0]["results"] == []


def test_all_golden_files_are_valid_for_the_published_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "SARIF_SCHEMA" not in os.environ:
        pytest.skip("SARIF_SCHEMA does not name a copy of sarif-schema-2.1.0.json, which OASIS publishes")
    monkeypatch.chdir(GOLDEN)
    with (tmp_path / "out.json").open("w") as output, pytest.raises(CommandError):
        call_command("check_runbooks", *(path.name for path in GOLDEN.glob("*.yml")), format="sarif", stdout=output)
    log = json.loads((tmp_path / "out.json").read_text())
    assert len(log["runs"][0]["results"]) > 100
    Draft4Validator(json.loads(Path(os.environ["SARIF_SCHEMA"]).read_text())).validate(log)
