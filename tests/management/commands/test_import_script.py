from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command


def imported(*words: str, command: str = "import_script") -> tuple[str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    call_command(command, *words, stdout=stdout, stderr=stderr)
    return stdout.getvalue(), stderr.getvalue()


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "nightly.sh"
    path.write_text("set -e\n./manage.py noop\n./manage.py clearsessions\n")
    return path


@pytest.mark.usefixtures("script")
def test_a_runbook_is_printed() -> None:
    text, report = imported("nightly.sh")
    assert text.splitlines() == [
        "# Imported from nightly.sh.",
        "steps:",
        "  # line 1, `set -e`: a runbook stops at the first failure by itself",
        "  - noop",
        "  - clearsessions",
    ]
    assert report == "1 runbook\n"


@pytest.mark.usefixtures("script")
def test_a_runbook_is_written_and_not_replaced_unasked(tmp_path: Path) -> None:
    assert imported("nightly.sh", "--output", "new/runbooks")[0] == "new/runbooks/nightly.yml\n"
    path = tmp_path / "new" / "runbooks" / "nightly.yml"
    text = path.read_text()
    path.write_text("mine")
    with pytest.raises(CommandError, match=r"nightly.yml exists: nothing was written; --overwrite") as caught:
        imported("nightly.sh", "--output", "new/runbooks")
    assert caught.value.returncode == 2
    assert path.read_text() == "mine"
    imported("nightly.sh", "--output", "new/runbooks", "--overwrite")
    assert path.read_text() == text


def test_standard_input_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"./manage.py noop\r\n")))
    assert imported("-")[0].startswith("# Imported from standard input.\n")


def test_an_invalid_result_is_printed_with_what_the_check_says(script: Path) -> None:
    script.write_text("./manage.py nooop\n")
    stdout, stderr = io.StringIO(), io.StringIO()
    with pytest.raises(CommandError, match=r"errors in nightly.yml") as caught:
        call_command("import_script", "nightly.sh", stdout=stdout, stderr=stderr)
    assert caught.value.returncode == 2
    assert "- nooop" in stdout.getvalue()
    assert 'nightly.yml:3:5: error[RB401]: unknown command "nooop"' in stderr.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "other.sh:1:1: cannot read the file: No such file or directory"),
        (b"./manage.py noop\n\xff", "other.sh:2:1: byte 0xff is not UTF-8"),
        (b"./manage.py noop \x00", "other.sh:1:18: character U+0000 is not allowed in a file"),
        (b"ls\n", "other.sh: no management command in it can be carried over"),
    ],
)
@pytest.mark.usefixtures("script")
def test_a_file_that_cannot_be_imported_is_refused(content: bytes | None, message: str) -> None:
    if content is not None:
        Path("other.sh").write_bytes(content)
    with pytest.raises(CommandError) as caught:
        imported("other.sh")
    assert str(caught.value).startswith(message)
    assert caught.value.returncode == 2


@pytest.mark.usefixtures("script")
def test_a_folder_that_cannot_be_written_is_a_failure() -> None:
    Path("taken").write_text("")
    with pytest.raises(CommandError) as caught:
        imported("nightly.sh", "--output", "taken")
    assert caught.value.returncode == 1


@pytest.mark.usefixtures("script")
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    modules: dict[str, Any] = {"tree_sitter": None}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(CommandError, match=r"pip install .django-runbook\[import\].") as caught:
        imported("nightly.sh")
    assert caught.value.returncode == 2
