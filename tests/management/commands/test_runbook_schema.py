from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command


def written(*words: str) -> str:
    output = io.StringIO()
    call_command("runbook_schema", *words, stdout=output)
    return output.getvalue()


def refusal(*words: str) -> tuple[str, int]:
    with pytest.raises(CommandError) as caught:
        written(*words)
    return str(caught.value), caught.value.returncode


def test_the_schema_of_the_project_is_printed() -> None:
    schema: dict[str, Any] = json.loads(written())
    assert "import_flights" in schema["definitions"]["line"]["anyOf"][0]["enum"]


def test_the_generic_schema_knows_no_command() -> None:
    assert "import_flights" not in written("--generic")


@pytest.mark.parametrize("kind", [("--generic",), pytest.param((), marks=pytest.mark.slow)], ids=["generic", "project"])
def test_the_schema_is_written_to_a_file_and_checked(tmp_path: Path, kind: tuple[str, ...]) -> None:
    file = tmp_path / "runbook.schema.json"
    assert refusal(*kind, "--output", str(file), "--check") == (
        f'"{file}" is out of date: run this command without --check',
        1,
    )
    assert not file.exists()
    assert written(*kind, "--output", str(file)) == ""
    assert file.read_text() == written(*kind)
    written(*kind, "--output", str(file), "--check")
    file.write_text("{}")
    assert refusal(*kind, "--output", str(file), "--check")[1] == 1
    assert file.read_text() == "{}"


def test_a_current_file_is_not_written_again(tmp_path: Path) -> None:
    file = tmp_path / "runbook.schema.json"
    written("--generic", "--output", str(file))
    before = file.stat().st_mtime_ns
    written("--generic", "--output", str(file))
    assert file.stat().st_mtime_ns == before


def test_a_check_needs_a_file() -> None:
    assert refusal("--check") == ("--check needs --output", 2)


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "runbook.schema.json"
    assert refusal("--generic", "--output", str(file)) == (f"{file}: No such file or directory", 1)
