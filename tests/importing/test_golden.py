"""Golden pairs: each `NAME.cron` and `NAME.sh` is imported into what `NAME.out` shows, and passes the check.

UPDATE_GOLDEN=1 rewrites the results: read the change before you commit it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from django.core.management import call_command

from tests.importing.stub_commands import installed

GOLDEN: Final = Path(__file__).parent.parent / "golden" / "imports"
FILES: Final = sorted(path for path in GOLDEN.iterdir() if path.suffix in {".cron", ".sh"})
COMMANDS: Final = {".cron": "import_crontab", ".sh": "import_script"}


@pytest.fixture(autouse=True)
def _stubs() -> Iterator[None]:
    with installed():
        yield


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.django_db
def test_an_imported_file_passes_the_check(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    stdout, stderr = io.StringIO(), io.StringIO()
    call_command(COMMANDS[path.suffix], path.name, stdout=stdout, stderr=stderr)
    text = stdout.getvalue() + stderr.getvalue()
    if os.environ.get("UPDATE_GOLDEN"):
        path.with_suffix(".out").write_text(text)
    assert text == path.with_suffix(".out").read_text()


def test_twelve_public_files_a_long_crontab_and_a_long_script_are_imported() -> None:
    named = set((GOLDEN / "README.md").read_text().split("`"))
    assert len([path for path in FILES if path.name in named]) == 12
    lengths = {path.name: len(path.read_text().splitlines()) for path in FILES}
    assert lengths["desk.cron"] >= 28
    assert lengths["deploy.sh"] >= 60
