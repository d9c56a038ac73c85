from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

TABLE = "# Sessions\n@daily ./manage.py clearsessions\n\n@daily pg_dump desk\n@hourly ./manage.py noop\n"


@pytest.fixture(autouse=True)
def _table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("desk.cron").write_text(TABLE)


def imported(*words: str) -> tuple[str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    call_command("import_crontab", "desk.cron", *words, stdout=stdout, stderr=stderr)
    return stdout.getvalue(), stderr.getvalue()


def test_runbooks_are_printed_one_after_another() -> None:
    text, report = imported()
    leftovers, first, second = text.split("---\n")
    assert leftovers.startswith("# TODO line 4: not a management command")
    assert first.startswith("# clearsessions.yml\n# Imported from desk.cron, line 2.\n")
    assert second.startswith("# noop.yml\n")
    assert report == "2 runbooks, 1 comment to decide on: search for TODO\n"


def test_runbooks_are_written_and_what_is_left_is_printed() -> None:
    text, _ = imported("--output", "runbooks")
    assert text.splitlines()[:3] == ["runbooks/clearsessions.yml", "runbooks/noop.yml", "not in any runbook:"]
    assert "pg_dump desk" in text
    assert 'schedule: {cron: "0 0 * * *"}' in Path("runbooks/clearsessions.yml").read_text()


def test_nothing_is_written_if_one_file_exists() -> None:
    Path("noop.yml").write_text("mine")
    with pytest.raises(CommandError, match=r"noop.yml exists: nothing was written"):
        imported("--output", ".")
    assert not Path("clearsessions.yml").exists()


@pytest.mark.parametrize(
    ("column", "user"),
    [("auto", True), ("yes", True), ("no", False)],
)
def test_a_column_of_users_is_named(column: str, *, user: bool) -> None:
    Path("desk.cron").write_text("@daily desk ./manage.py noop\n@hourly ./manage.py noop\n")
    if column == "auto":
        Path("desk.cron").write_text("@daily desk ./manage.py noop\n")
    text, _ = imported("--user-column", column)
    assert ("it runs as desk" in text) is user
