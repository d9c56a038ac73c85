"""Files are written atomically, and no link in a shared directory can redirect a private one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from django_runbook.file_writing import replace_private, replace_shared


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
    replace_private(path, b"report")
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
        replace_private(tmp_path / "report.xml", b"report")
    assert len(set(names)) == 2
    monkeypatch.setattr("secrets.token_hex", lambda count: "guessed")
    (tmp_path / ".guessed.tmp").symlink_to(victim)
    with pytest.raises(FileExistsError):
        replace_private(tmp_path / "report.xml", b"another")
    assert (victim.read_text(), (tmp_path / "report.xml").read_text()) == ("precious", "report")


def test_a_new_shared_file_has_the_usual_mode_and_an_existing_one_keeps_its_own(tmp_path: Path) -> None:
    new, old = tmp_path / "new.timer", tmp_path / "old.timer"
    old.write_text("old")
    old.chmod(0o640)
    before = os.umask(0o027)
    try:
        replace_shared({new: b"new", old: b"changed"})
    finally:
        os.umask(before)
    assert (new.read_text(), mode_of(new)) == ("new", 0o640)
    assert (old.read_text(), mode_of(old)) == ("changed", 0o640)
    old.chmod(0o755)
    replace_shared({old: b"again"})
    assert mode_of(old) == 0o755


def test_a_link_stays_a_link_to_the_shared_file(tmp_path: Path, victim: Path) -> None:
    link = tmp_path / "etc" / "desk.conf"
    link.parent.mkdir()
    link.symlink_to(victim)
    replace_shared({link: b"changed"})
    assert (link.is_symlink(), victim.read_text()) == (True, "changed")


def test_without_room_for_all_files_none_is_changed(tmp_path: Path) -> None:
    first = tmp_path / "first.timer"
    first.write_text("old")
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(NotADirectoryError):
        replace_shared({first: b"new", tmp_path / "taken" / "second.timer": b"new"})
    assert first.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.timer", "taken"]


def test_an_error_names_the_file_and_leaves_no_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "second.timer").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        replace_shared({tmp_path / "second.timer": b"new"})
    assert str(caught.value) == f"[Errno 21] Is a directory: '{tmp_path / 'second.timer'}'"
    assert [path.name for path in tmp_path.iterdir()] == ["second.timer"]
