"""Tries lock files and their folder: refused files, and changes that a holder survives."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connections

from django_runbook.exceptions import InvalidUsage, LockUnavailable
from django_runbook.locks import file, folder
from django_runbook.locks.base import PATIENCE_SECONDS, Holder, LockState, Probe
from django_runbook.locks.file import FileLock
from django_runbook.locks.folder import FolderLocation
from tests.examples import examples
from tests.locks.backends import holder_of, is_free, locks


@pytest.fixture
def holders_have_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the name of a holder only for a moment, as it never comes."""
    monkeypatch.setattr(file, "_NAMELESS_SECONDS", 0.01)


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
def test_other_files_are_refused_and_not_changed(lock: FileLock, make: Callable[[Path], object], problem: str) -> None:
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


def test_other_users_cannot_read_the_file(lock: FileLock) -> None:
    assert is_free(lock)
    assert stat.S_IMODE(lock.path.stat().st_mode) == 0o600


def test_the_file_remains_without_a_holder_when_the_lock_is_free(lock: FileLock) -> None:
    assert is_free(lock)
    assert lock.path.read_text() == ""


def test_a_removed_file_is_made_again(lock: FileLock, tmp_path: Path) -> None:
    assert lock.acquire() is None
    assert lock.keep() is LockState.HELD
    lock.path.unlink()
    assert not lock.is_held()
    assert [lock.keep(), lock.keep()] == [LockState.RETAKEN, LockState.HELD]
    assert lock.is_held()
    assert holder_of(FileLock("import", directory=tmp_path)).what == "a test"
    lock.release()
    assert is_free(FileLock("import", directory=tmp_path))


def test_a_removed_folder_is_made_again(tmp_path: Path) -> None:
    lock = FileLock(
        "import",
        directory=tmp_path / "locks",
        make_directory=lambda: folder.make(FolderLocation(given=tmp_path / "locks")),
    )
    assert lock.acquire() is None
    shutil.rmtree(tmp_path / "locks")
    assert lock.keep() is LockState.RETAKEN
    assert stat.S_IMODE((tmp_path / "locks").stat().st_mode) == 0o700
    lock.release()


@pytest.mark.parametrize("is_released", [False, True], ids=["held", "released since"])
def test_a_file_that_another_process_has_made_is_a_lost_lock(
    lock: FileLock,
    tmp_path: Path,
    is_released: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    assert lock.acquire() is None
    lock.path.unlink()
    other = FileLock("import", directory=tmp_path)
    assert other.acquire() is None
    if is_released:
        other.release()
    assert lock.keep() is LockState.LOST
    other.release()
    other.path.unlink()
    # A lost lock stays lost, whatever happens to the file.
    assert lock.keep() is LockState.LOST
    assert not lock.is_held()
    lock.release()
    assert lock.acquire() is None
    assert lock.keep() is LockState.HELD
    lock.release()


@pytest.mark.parametrize("other_holder", ["nobody", "held", "released"])
def test_a_descriptor_that_a_command_closed_is_detected(lock: FileLock, tmp_path: Path, other_holder: str) -> None:
    assert lock.acquire() is None
    number = descriptor_of(lock)
    os.close(number)
    assert not lock.is_held()
    # Otherwise, the descriptor of the other lock would have our number.
    assert os.open(os.devnull, os.O_RDONLY) == number
    other = FileLock("import", directory=tmp_path)
    if other_holder != "nobody":
        assert other.acquire() is None
    if other_holder == "released":
        other.release()
    assert lock.keep() is (LockState.RETAKEN if other_holder == "nobody" else LockState.LOST)
    lock.release()
    other.release()
    assert is_free(other)
    os.close(number)


def test_a_descriptor_that_is_now_another_file_is_not_closed(lock: FileLock, tmp_path: Path) -> None:
    assert lock.acquire() is None
    descriptor = descriptor_of(lock)
    with (tmp_path / "precious").open("w+") as precious:
        precious.write("text")
        precious.flush()
        os.dup2(precious.fileno(), descriptor)
        assert lock.keep() is LockState.RETAKEN
        lock.release()
        assert (tmp_path / "precious").read_text() == "text"
        os.fstat(descriptor)
        os.close(descriptor)


def test_an_unavailable_file_system_is_waited_for(lock: FileLock, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lock.acquire() is None

    def fail(path: Path) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    clock = time.monotonic
    monkeypatch.setattr(Path, "lstat", fail)
    assert lock.keep() is LockState.UNKNOWN
    monkeypatch.setattr(time, "monotonic", lambda: clock() + PATIENCE_SECONDS - 5)
    assert lock.keep() is LockState.UNKNOWN
    monkeypatch.undo()
    assert lock.keep() is LockState.HELD
    monkeypatch.setattr(Path, "lstat", fail)
    # The time starts over: the lock was held all the time.
    assert lock.keep() is LockState.UNKNOWN
    monkeypatch.setattr(time, "monotonic", lambda: clock() + PATIENCE_SECONDS + 5)
    assert lock.keep() is LockState.LOST
    monkeypatch.undo()
    assert lock.keep() is LockState.LOST
    lock.release()


def descriptor_of(lock: FileLock) -> int:
    """Return the descriptor of the lock file."""
    (found,) = [
        int(entry.name) for entry in Path("/proc/self/fd").iterdir() if entry.exists() and entry.readlink() == lock.path
    ]
    return found


def test_a_free_lock_proves_something_only_where_it_was_held(lock: FileLock, tmp_path: Path) -> None:
    probe = FileLock("import", directory=tmp_path).probe
    assert probe() is Probe.UNKNOWN
    assert list(tmp_path.iterdir()) == []
    assert lock.acquire() is None
    assert [probe(), lock.probe()] == [Probe.HELD] * 2
    lock.release()
    assert [probe(), probe()] == [Probe.FREE] * 2
    # A probe leaves the lock free and the file unchanged.
    assert lock.acquire() is None
    lock.discard()
    assert probe() is Probe.UNKNOWN


@pytest.mark.parametrize("make", [link_to_a_file, link_to_nothing, second_name, os.mkfifo, Path.mkdir])
def test_other_files_cannot_be_probed(lock: FileLock, make: Callable[[Path], object]) -> None:
    make(lock.path)
    with pytest.raises(LockUnavailable):
        lock.probe()


def test_a_removed_file_is_detected(lock: FileLock, tmp_path: Path) -> None:
    assert lock.acquire() is None
    lock.path.unlink()
    assert not lock.is_held()
    other = FileLock("import", directory=tmp_path)
    assert other.acquire() is None
    assert (lock.is_held(), other.is_held()) == (False, True)
    lock.release()
    assert other.is_held()
    other.release()


def test_a_file_removed_while_it_is_being_locked_is_not_the_lock(
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


def test_discarding_a_lock_removes_its_file(lock: FileLock) -> None:
    assert lock.acquire() is None
    lock.discard()
    assert not lock.path.exists()
    assert not lock.is_held()
    assert lock.acquire() is None
    lock.release()
    lock.discard()
    assert lock.path.exists()


def test_the_file_of_another_holder_is_not_removed(lock: FileLock, tmp_path: Path) -> None:
    assert lock.acquire() is None
    lock.path.unlink()
    other = FileLock("import", directory=tmp_path)
    assert other.acquire() is None
    lock.discard()
    assert other.is_held()
    other.release()


def test_discarded_locks_always_exclude_each_other(tmp_path: Path) -> None:
    count = examples(200)
    inside: list[int] = []
    seen: list[int] = []

    def work(number: int) -> None:
        for _ in range(count):
            lock = FileLock("import", directory=tmp_path)
            while lock.acquire() is not None:
                pass
            inside.append(number)
            seen.append(len(inside))
            inside.pop()
            lock.discard()

    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(work, range(4)))
    assert seen == [1] * 4 * count


@pytest.mark.usefixtures("holders_have_no_name")
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


def test_a_full_disk_is_reported(lock: FileLock, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(LockUnavailable, match=f"{lock.path} cannot be opened: No space left"):
        lock.acquire()


def test_a_file_system_without_locks_is_reported(lock: FileLock, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(LockUnavailable, match=f"{lock.path} cannot be locked: No locks available"):
        lock.acquire()
    assert not lock.is_held()


@pytest.mark.slow
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


@pytest.mark.usefixtures("holders_have_no_name")
@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"pid": 1}', "\0" * 9000], ids=repr)
def test_a_holder_that_cannot_be_read_is_another_process(lock: FileLock, tmp_path: Path, text: str) -> None:
    assert lock.acquire() is None
    lock.path.write_text(text)
    assert str(holder_of(FileLock("import", directory=tmp_path))) == "another process"
    lock.release()


def test_names_and_namespaces_have_files_of_their_own(tmp_path: Path) -> None:
    names = ["a", "A", "a b", "a-b", "../a", "/a", "", "x" * 300, "ü"]
    paths = {
        FileLock(name, directory=tmp_path, namespace=namespace).path for name in names for namespace in ("one", "two")
    }
    assert len(paths) == 2 * len(names)
    assert {path.parent for path in paths} == {tmp_path}
    assert all(len(path.name) < 100 for path in paths)


def test_the_folder_is_made_and_private(tmp_path: Path) -> None:
    made = folder.make(FolderLocation(given=tmp_path / "of" / "locks"))
    assert (made.is_dir(), stat.S_IMODE(made.stat().st_mode)) == (True, 0o700)
    assert folder.make(FolderLocation(given=made)) == made


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702], ids=oct)
def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    for use in (folder.make, folder.check):
        with pytest.raises(InvalidUsage, match=f"others can write to the folder of lock files {tmp_path}; set RUNBOOK"):
            use(FolderLocation(given=tmp_path))


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "locks").touch()
    for use in (folder.make, folder.check):
        with pytest.raises(InvalidUsage, match=f"{tmp_path}/locks is not a folder"):
            use(FolderLocation(given=tmp_path / "locks"))
        with pytest.raises(
            InvalidUsage, match=f"{tmp_path}/locks/below cannot be created: Not a directory; set RUNBOOK"
        ):
            use(FolderLocation(given=tmp_path / "locks" / "below"))


def test_a_full_disk_is_not_a_wrong_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "mkdir", fail)
    with pytest.raises(LockUnavailable, match=r"cannot be created: No space left on device$"):
        folder.make(FolderLocation(given=tmp_path / "locks"))


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_lasting_error_names_the_setting(lock: FileLock, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fail(*args: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(
        InvalidUsage, match=r'cannot be opened: .*; set RUNBOOK\["LOCK"\]\["OPTIONS"\]\["directory"\] to'
    ):
        lock.acquire()


# -- the default folder ------------------------------------------------------------------------------------------------


class Nobody:
    """Represents a user in the user database."""

    def __init__(self, home: object) -> None:
        self.pw_dir = str(home)
        self.pw_name = "desk"


def home_of(monkeypatch: pytest.MonkeyPatch, home: object) -> None:
    def look_up(uid: int) -> Nobody:
        if home is None:
            raise KeyError(uid)
        return Nobody(home)

    monkeypatch.setattr(pwd, "getpwuid", look_up)


def test_the_default_folder_is_in_the_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home_of(monkeypatch, tmp_path)
    for name in ("HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    folder.check(FolderLocation())
    assert list(tmp_path.iterdir()) == []
    assert (
        folder.make(FolderLocation())
        == folder.find(FolderLocation())
        == tmp_path / ".local" / "state" / "django-runbook" / "locks"
    )


@pytest.mark.parametrize(
    ("home", "problem"),
    [
        (None, "has no home directory for lock files"),
        ("/nonexistent", "the home directory /nonexistent of desk, for lock files, does not exist"),
        ("/dev/null", "the home directory /dev/null of desk, for lock files, does not exist"),
    ],
)
def test_a_user_without_a_home_needs_the_setting(monkeypatch: pytest.MonkeyPatch, home: object, problem: str) -> None:
    home_of(monkeypatch, home)
    for use in (folder.find, folder.make, folder.check):
        with pytest.raises(InvalidUsage, match=f'{problem}; set RUNBOOK.*"directory"'):
            use(FolderLocation())


def test_an_unwritable_home_is_not_replaced_by_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".local").touch()
    home_of(monkeypatch, tmp_path)
    for use in (folder.make, folder.check):
        with pytest.raises(InvalidUsage, match="cannot be created: Not a directory; set RUNBOOK"):
            use(FolderLocation())


def test_the_default_folder_is_private_and_belongs_to_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home_of(monkeypatch, tmp_path)
    own = folder.make(FolderLocation())
    own.chmod(0o720)
    with pytest.raises(InvalidUsage, match="others can write to"):
        folder.make(FolderLocation())
    shutil.rmtree(own)
    own.symlink_to(tmp_path)
    with pytest.raises(InvalidUsage, match="is not a folder"):
        folder.make(FolderLocation())
    own.unlink()
    folder.make(FolderLocation())
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    with pytest.raises(InvalidUsage, match=f"belongs to {folder.name_of_user(os.getuid())}; set RUNBOOK"):
        folder.make(FolderLocation())


def test_a_folder_next_to_the_database_needs_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home_of(monkeypatch, None)
    location = FolderLocation(database=tmp_path / "desk.sqlite3")
    folder.check(location)
    assert list(tmp_path.iterdir()) == []
    assert folder.make(location) == tmp_path / "desk.sqlite3-runbook-locks"
    assert stat.S_IMODE((tmp_path / "desk.sqlite3-runbook-locks").stat().st_mode) == 0o700
    (tmp_path / "desk.sqlite3-runbook-locks").chmod(0o770)
    with pytest.raises(InvalidUsage, match="others can write to"):
        folder.make(location)
    with pytest.raises(InvalidUsage, match="sqlite3-runbook-locks cannot be created: No such file or directory; set"):
        folder.make(FolderLocation(database=tmp_path / "not there" / "desk.sqlite3"))


def test_a_database_has_one_folder_whatever_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "release").mkdir()
    (tmp_path / "current").symlink_to("release")
    monkeypatch.chdir(tmp_path / "release")
    names = [
        "db.sqlite3",
        f"{tmp_path}/current/db.sqlite3",
        f"file:{tmp_path}/release/db.sqlite3?mode=rwc",
        Path("db.sqlite3"),
    ]
    found = set()
    for name in names:
        monkeypatch.setitem(connections.settings["default"], "NAME", name)
        lock = locks("file")("import")
        assert isinstance(lock, FileLock)
        found.add(lock.path)
    assert len(found) == 1
    assert found.pop().parent == tmp_path / "release" / "db.sqlite3-runbook-locks"
    for name in (":memory:", "file:memorydb?mode=memory&cache=shared"):
        monkeypatch.setitem(connections.settings["default"], "NAME", name)
        home_of(monkeypatch, tmp_path / "home")
        with pytest.raises(InvalidUsage, match="the home directory"):
            locks("file")("import")


def test_a_home_in_memory_may_be_private_to_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(folder, "_MOUNTS", mounts)
    home_of(monkeypatch, tmp_path)
    line = f"36 35 {number} / {{point}} rw,noatime master:1 - {{kind}} none rw\n"
    for kind, point in (("ext4", "/home"), ("tmpfs", "/"), ("overlay", "/")):
        mounts.write_text(line.format(kind=kind, point=point) + "nonsense\n")
        folder.check(FolderLocation())
    for kind in ("tmpfs", "ramfs"):
        mounts.write_text(line.format(kind=kind, point="/home"))
        with pytest.raises(InvalidUsage, match=f"the home directory {tmp_path} is kept in memory .*; set RUNBOOK"):
            folder.find(FolderLocation())
        # A configured folder is visible to all processes.
        folder.check(FolderLocation(given=tmp_path / "given"))


def test_a_user_without_a_name_is_a_number() -> None:
    assert folder.name_of_user(4_000_000_000) == "the user 4000000000"


def test_no_folder_is_made_before_the_first_lock(tmp_path: Path) -> None:
    new_lock = locks("file", directory=tmp_path / "locks")
    assert list(tmp_path.iterdir()) == []
    assert is_free(new_lock("import"))
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]
    # The folder is ignored in a working tree.
    assert (tmp_path / "locks" / ".gitignore").read_text() == "*\n"
