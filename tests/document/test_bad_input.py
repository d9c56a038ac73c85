"""Feeds bad bytes and files to the reader: each gives a diagnostic and never a traceback."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from django_runbook.document.diagnostics import Diagnostic
from django_runbook.document.syntax import source
from django_runbook.document.validation import validate
from tests.examples import examples

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGE_BOMB = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{','.join([f'*{before}'] * 9)}]}}\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)
BAD = {
    "empty": b"",
    "spaces": b"   \n\n",
    "nul": b"steps:\n  - no\0op\n",
    "utf-16": "steps: [noop]\n".encode("utf-16"),
    "latin-1": "steps:\n  - caf\xe9\n".encode("latin-1"),
    "truncated": b"steps:\n  - command: noop\n    options: {a: [1, ",
    "open quote": b'steps:\n  - "noop\n',
    "deep flow": b"[" * 10_000,
    "deep block": b"".join(b" " * level + b"a:\n" for level in range(1_200)),
    "closed deep flow": b"[" * 10_000 + b"]" * 10_000,
    "deep mappings": b"{a: " * 10_000,
    "alias bomb": BOMB.encode(),
    "merge bomb": MERGE_BOMB.encode(),
    "large number": b"steps: " + b"9" * 5000,
    "long expression": b"steps:\n  - say ${{ " + b"(" * 10_000 + b" }}\n",
    "many expressions": b"steps:\n  - say " + b"${{ " * 100_000 + b"\n",
    "control character": b"steps:\n  - say \x1b[31mred\n",
    "bell": b"steps: [\x07]\n",
    "only tabs": b"\t\t\t",
    "percent": b"%YAML 1.1\n%FOO bar\n---\nsteps: [a\n",
    "lone surrogate": b'steps:\n  - "\\ud800"\n  - command: 1\n',
    "non-character": "steps:\n  - \ufdd0\n".encode(),
    "question marks": b"? ? ? a\n: b\n",
    "one scalar": b"noop",
    "merge key in a step": b"steps:\n  - <<: {command: noop}\n",
}


def problems_of(raw: bytes) -> list[Diagnostic]:
    text, problems = source.decode(raw, name="bad.yml")
    if not problems:
        _, problems = validate.load(text)
    return problems


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD.keys())
def test_bad_bytes_give_a_diagnostic_inside_the_file(raw: bytes) -> None:
    problems = problems_of(raw)
    assert problems
    line_count = len(raw.decode("utf-8", errors="replace").splitlines()) + 1
    assert all(1 <= problem.span.line <= line_count for problem in problems)


@pytest.mark.parametrize("raw", [b"\xef\xbb\xbfsteps:\n  - noop\n", b"steps:\r\n  - noop\r\n"], ids=["BOM", "CRLF"])
def test_bom_and_crlf_are_accepted(raw: bytes) -> None:
    assert problems_of(raw) == []


def test_columns_after_a_bom_and_before_crlf_are_correct() -> None:
    (problem,) = problems_of(b"\xef\xbb\xbfstep:\r\n  - noop\r\nsteps: [noop]\r\n")
    assert (problem.span.line, problem.span.column) == (1, 1)


def run(name: str) -> tuple[str, int]:
    stderr, exit_code = io.StringIO(), 0
    try:
        call_command("run_runbook", name, stderr=stderr, stdout=io.StringIO())
    except SystemExit as error:
        exit_code = int(error.code or 0)
    except CommandError as error:
        return str(error), error.returncode
    return stderr.getvalue(), exit_code


def test_a_large_file_is_refused_without_reading_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.yml"
    with path.open("wb") as file:
        file.truncate(50 * 1024 * 1024)
    text, problems = source.read(path)
    assert [(problem.code, problem.message) for problem in problems] == [("RB102", "the file is larger than 1 MiB")]
    assert text.text == ""


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert run(str(tmp_path)) == (f"{tmp_path}: nothing was run", 2)
    (problem,) = source.read(tmp_path)[1]
    assert (problem.code, problem.message) == ("RB101", "cannot read the file: it is a directory")


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yml")
    assert "not a regular file" in source.read(tmp_path / "fifo.yml")[1][0].message


def test_a_socket_a_device_and_a_dangling_link_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link.yml").symlink_to(tmp_path / "nowhere")
    assert "cannot read the file" in source.read(tmp_path / "link.yml")[1][0].message
    assert "not a regular file" in source.read(Path(os.devnull))[1][0].message


def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.yml"
    path.write_text("steps: [noop]")
    path.chmod(0)
    problems = source.read(path)[1]
    if os.geteuid() == 0:
        assert problems == []  # the superuser can read everything
    else:
        assert "Permission denied" in problems[0].message


def test_the_error_of_a_missing_file_lists_the_searched_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "daily.yml").write_text("steps: [noop]")
    message, exit_code = run("dayly.yml")
    assert exit_code == 2
    assert str(tmp_path) in message
    assert 'did you mean "daily.yml"?' in message


def test_a_runbook_in_the_usual_folder_is_hinted_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "runbooks" / "daily.yml").write_text("steps: [noop]")
    for name in ("daily", "daily.yml"):
        message, exit_code = run(name)
        assert exit_code == 2
        assert 'found "runbooks/daily.yml": use that path, or add its folder to RUNBOOK["DIRS"]' in message


YAML_TEXT = st.text(alphabet="abstep :-\n\t[]{}'\"#&*!|>%@`?,.0123${}()", max_size=200)


@pytest.mark.slow
@settings(max_examples=examples(300))
@given(raw=st.one_of(st.binary(max_size=300), YAML_TEXT.map(lambda text: f"steps:\n  - {text}".encode())))
def test_random_bytes_never_give_a_traceback(raw: bytes) -> None:
    problems_of(raw)


GOOD = (Path(__file__).parent.parent / "golden" / "ok" / "every_key.yml").read_bytes()


@pytest.mark.slow
@settings(max_examples=examples(300))
@given(position=st.integers(0, len(GOOD)), length=st.integers(0, 40), insert=st.binary(max_size=6))
def test_a_damaged_file_never_gives_a_traceback(position: int, length: int, insert: bytes) -> None:
    problems_of(GOOD[:position] + insert + GOOD[position + length :])
