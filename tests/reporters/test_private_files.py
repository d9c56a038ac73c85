"""Files of a run are private, and no link in a shared directory can redirect them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from django_runbook.reporters import private_files
from django_runbook.reporters.private_files import PrivateDirectory


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim.conf"
    path.write_text("precious")
    return path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_private_and_replaces_a_link(tmp_path: Path, victim: Path) -> None:
    path = tmp_path / "new" / "report.xml"
    path.parent.mkdir()
    path.symlink_to(victim)
    private_files.replace(path, b"report")
    assert (path.read_bytes(), mode_of(path), path.is_symlink()) == (b"report", 0o600, False)
    assert victim.read_text() == "precious"
    assert list(path.parent.iterdir()) == [path]


def test_the_temporary_file_has_a_new_name_each_time(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[Path] = []
    really = Path.replace

    def replace(self: Path, target: Path) -> Path:
        names.append(self)
        return really(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    for _ in range(2):
        private_files.replace(tmp_path / "report.xml", b"report")
    assert len(set(names)) == 2
    monkeypatch.setattr("secrets.token_hex", lambda count: "guessed")
    (tmp_path / ".guessed.tmp").symlink_to(victim)
    with pytest.raises(FileExistsError):
        private_files.replace(tmp_path / "report.xml", b"another")
    assert (victim.read_text(), (tmp_path / "report.xml").read_text()) == ("precious", "report")


def test_a_private_directory_is_kept_if_its_name_is_taken_over(tmp_path: Path, victim: Path) -> None:
    folder = PrivateDirectory(tmp_path / "logs" / "run")
    (tmp_path / "logs" / "run").rename(tmp_path / "moved")
    (tmp_path / "logs" / "run").symlink_to(victim.parent)
    os.close(folder.open_new("1.log"))
    (tmp_path / "moved" / "2.log").symlink_to(victim)
    with pytest.raises(OSError, match="exist"):
        folder.open_new("2.log")
    with pytest.raises(OSError, match="symbolic links"):
        folder.open_again("2.log")
    assert mode_of(tmp_path / "moved" / "1.log") == 0o600
    assert not (tmp_path / "1.log").exists()
    folder.close()


def test_an_existing_directory_is_never_used(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(tmp_path)
    with pytest.raises(FileExistsError):
        PrivateDirectory(tmp_path / "run")
