"""A lock file and its folder: what is refused, and what a holder survives."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from django_runbook.exceptions import InvalidUsage, LockUnavailable
from django_runbook.locks import folder
from django_runbook.locks.base import Holder
from django_runbook.locks.file import FileLock
from tests.locks.backends import holder_of, is_free, locks


@pytest.fixture
def lock(tmp_path: Path) -> FileLock:
    return FileLock("import", directory=tmp_path, what="a test")


def link_to_a_file(path: Path) -> None:
    path.with_suffix(".target").write_text("precious")
    path.symlink_to(path.with_suffix(".target"))


def link_to_nothing(path: Path) -> None:
    path.symlink_to(path.with_suffix(".nothing"))


def second_name(path: Path) -> None:
    path.with_suffix(".target").write_text("precious")
    path.hardlink_to(path.with_suffix(".target"))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        pytest.param(link_to_a_file, "is not a regular file", id="link"),
        pytest.param(link_to_nothing, "is not a regular file", id="link to nothing"),
        pytest.param(second_name, "has a second name", id="hard link"),
        pytest.param(os.mkfifo, "is not a regular file", id="pipe"),
        pytest.param(Path.mkdir, "is not a regular file", id="folder"),
    ],
)
def test_what_is_no_lock_file_is_refused_and_left_alone(
    lock: FileLock, make: Callable[[Path], object], problem: str
) -> None:
    make(lock.path)
    with pytest.raises(LockUnavailable, match=f"{lock.path} {problem}"):
        lock.acquire()
    assert not lock.is_held()
    target = lock.path.with_suffix(".target")
    assert not target.exists() or target.read_text() == "precious"
    assert not lock.path.with_suffix(".nothing").exists()


def test_the_file_of_another_user_is_refused(lock: FileLock, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_free(lock)
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    with pytest.raises(LockUnavailable, match=f"{lock.path} belongs to {folder.name_of_user(os.getuid())}: one user"):
        lock.acquire()


def test_nobody_else_can_read_the_file(lock: FileLock) -> None:
    assert is_free(lock)
    assert stat.S_IMODE(lock.path.stat().st_mode) == 0o600


def test_the_file_stays_and_names_nobody_when_the_lock_is_free(lock: FileLock) -> None:
    assert is_free(lock)
    assert lock.path.read_text() == ""


def test_a_removed_file_is_noticed(lock: FileLock, tmp_path: Path) -> None:
    assert lock.acquire() is None
    lock.path.unlink()
    assert not lock.is_held()
    other = FileLock("import", directory=tmp_path)
    assert other.acquire() is None
    assert (lock.is_held(), other.is_held()) == (False, True)
    lock.release()
    assert other.is_held()
    other.release()


def test_a_file_that_is_removed_while_it_is_locked_is_not_taken_for_the_lock(
    lock: FileLock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock
    other = FileLock("import", directory=tmp_path)

    def remove_first(descriptor: int, operation: int) -> None:
        monkeypatch.undo()
        lock.path.unlink()
        assert other.acquire() is None
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    assert holder_of(lock).pid == os.getpid()
    other.release()
    assert is_free(lock)


def test_who_removes_the_lock_leaves_no_file(lock: FileLock) -> None:
    assert lock.acquire() is None
    lock.remove()
    assert not lock.path.exists()
    assert not lock.is_held()
    assert lock.acquire() is None
    lock.release()
    lock.remove()
    assert lock.path.exists()


def test_the_file_of_somebody_else_is_not_removed(lock: FileLock, tmp_path: Path) -> None:
    assert lock.acquire() is None
    lock.path.unlink()
    other = FileLock("import", directory=tmp_path)
    assert other.acquire() is None
    lock.remove()
    assert other.is_held()
    other.release()


def test_locks_that_are_removed_exclude_each_other_all_the_time(tmp_path: Path) -> None:
    inside: list[int] = []
    seen: list[int] = []

    def work(number: int) -> None:
        for _ in range(200):
            lock = FileLock("import", directory=tmp_path)
            while lock.acquire() is not None:
                pass
            inside.append(number)
            seen.append(len(inside))
            inside.pop()
            lock.remove()

    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(work, range(4)))
    assert seen == [1] * 800


def test_a_full_disk_leaves_the_holder_without_a_name_and_with_the_lock(
    lock: FileLock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", fail)
    assert lock.acquire() is None
    assert lock.is_held()
    assert holder_of(FileLock("import", directory=tmp_path)) == Holder()
    lock.release()
    assert is_free(lock)


def test_a_full_disk_that_has_no_room_for_the_file_is_told(lock: FileLock, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(LockUnavailable, match=f"{lock.path} cannot be opened: No space left"):
        lock.acquire()


def test_a_file_system_without_locks_is_told(lock: FileLock, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(LockUnavailable, match=f"{lock.path} cannot be locked: No locks available"):
        lock.acquire()
    assert not lock.is_held()


def test_a_program_that_the_holder_starts_does_not_keep_the_lock(lock: FileLock, tmp_path: Path) -> None:
    assert lock.acquire() is None
    code = "print('started', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        lock.release()
        assert is_free(FileLock("import", directory=tmp_path))
        process.communicate(b"\n")


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"pid": 1}', "\0" * 9000], ids=repr)
def test_a_holder_that_cannot_be_read_is_another_process(lock: FileLock, tmp_path: Path, text: str) -> None:
    assert lock.acquire() is None
    lock.path.write_text(text)
    assert str(holder_of(FileLock("import", directory=tmp_path))) == "another process"
    lock.release()


def test_names_and_spaces_have_files_of_their_own(tmp_path: Path) -> None:
    names = ["a", "A", "a b", "a-b", "../a", "/a", "", "x" * 300, "ü"]
    paths = {FileLock(name, directory=tmp_path, space=space).path for name in names for space in ("one", "two")}
    assert len(paths) == 2 * len(names)
    assert {path.parent for path in paths} == {tmp_path}
    assert all(len(path.name) < 100 for path in paths)


def test_the_folder_is_made_and_private(tmp_path: Path) -> None:
    made = folder.private(tmp_path / "of" / "locks")
    assert (made.is_dir(), stat.S_IMODE(made.stat().st_mode)) == (True, 0o700)
    assert folder.private(made) == made


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702], ids=oct)
def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(InvalidUsage, match=f"others can write to the folder of lock files {tmp_path}; name one with"):
        folder.private(tmp_path)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "locks").touch()
    with pytest.raises(InvalidUsage, match=f"{tmp_path}/locks is not a folder"):
        folder.private(tmp_path / "locks")
    with pytest.raises(LockUnavailable, match=f"{tmp_path}/locks/below cannot be made: Not a directory"):
        folder.private(tmp_path / "locks" / "below")


def home_of(monkeypatch: pytest.MonkeyPatch, home: Path | None) -> None:
    monkeypatch.setattr(folder, "_home", lambda: home)


def test_without_a_given_folder_it_is_one_in_the_home_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home_of(monkeypatch, tmp_path)
    assert folder.private() == tmp_path / ".local" / "state" / "django-runbook" / "locks"


def test_without_a_home_it_is_one_of_the_user_among_the_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    home_of(monkeypatch, None)
    own = tmp_path / f"django-runbook-{os.geteuid()}"
    assert folder.private() == own
    own.chmod(0o720)
    with pytest.raises(InvalidUsage, match="others can write to"):
        folder.private()
    own.rmdir()
    own.symlink_to(tmp_path)
    with pytest.raises(InvalidUsage, match="is not a folder"):
        folder.private()


def test_a_home_that_refuses_is_passed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / ".local").touch()
    home_of(monkeypatch, tmp_path)
    assert folder.private() == tmp_path / f"django-runbook-{os.geteuid()}"


def test_the_own_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    home_of(monkeypatch, None)
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    with pytest.raises(InvalidUsage, match=f"belongs to {folder.name_of_user(os.getuid())}; name one with"):
        folder.private()


def test_a_user_without_a_name_is_a_number() -> None:
    assert folder.name_of_user(4_000_000_000) == "the user 4000000000"


def test_no_folder_is_made_before_the_first_lock(tmp_path: Path) -> None:
    new_lock = locks("file", directory=tmp_path / "locks")
    assert list(tmp_path.iterdir()) == []
    assert is_free(new_lock("import"))
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]
