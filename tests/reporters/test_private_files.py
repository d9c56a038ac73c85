"""Files of a run are private, and no link in a shared directory can redirect them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from django_runbook.reporters.private_files import PrivateDirectory


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim.conf"
    path.write_text("precious")
    return path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


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
