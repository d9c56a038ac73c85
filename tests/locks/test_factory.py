"""Reads ``RUNBOOK["LOCK"]``: valid and invalid backends, and their identities."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.db import connections

from django_runbook import conf
from django_runbook.exceptions import InvalidUsage
from django_runbook.locks import namespace
from django_runbook.locks.base import Holder, Lock, LockState, Probe, complete
from django_runbook.locks.factory import BACKENDS, new_factory
from django_runbook.locks.file import FileLock
from django_runbook.locks.lease import LeaseLock
from tests.batch.support import read_line, started
from tests.locks.backends import alias_on, locks
from tests.postgres_settings import POSTGRES


class OwnLock:
    """Serves as both a minimal backend of a project and its lock."""

    options: ClassVar[tuple[str, str]] = ("", "")
    answer: ClassVar[bool] = True
    released: ClassVar[list[str]] = []

    def __init__(self, *, what: str, color: str) -> None:
        OwnLock.options = (what, color)
        OwnLock.released = []
        self.name = ""

    def __call__(self, name: str) -> Any:
        self.name = name
        return self

    def acquire(self) -> Holder | None:
        return None

    def is_held(self) -> bool:
        return self.answer

    def release(self) -> None:
        self.released.append(self.name)


NO_BACKEND = "not to be called"


def lock_by(settings: Any, value: object) -> Lock:
    settings.RUNBOOK = {"LOCK": value}
    return new_factory(conf.read(), what="a test")("import")


def test_a_name_or_an_import_path_selects_the_backend(settings: Any, tmp_path: Path) -> None:
    assert isinstance(lock_by(settings, "file"), FileLock)
    path = "django_runbook.locks.file.FileLocks"
    lock = lock_by(settings, {"BACKEND": path, "OPTIONS": {"directory": tmp_path}})
    assert isinstance(lock, FileLock)
    assert lock.path.parent == tmp_path
    assert isinstance(lock_by(settings, {"BACKEND": "redis", "OPTIONS": {"url": "redis://nowhere"}}), LeaseLock)


def test_a_backend_of_the_project_receives_its_options(settings: Any) -> None:
    own = {"BACKEND": "tests.locks.test_factory.OwnLock", "OPTIONS": {"color": "red"}}
    lock = lock_by(settings, own)
    assert (lock.name, OwnLock.options) == ("import", ("a test", "red"))


@pytest.mark.parametrize(("is_held", "kept"), [(True, LockState.HELD), (False, LockState.LOST)])
def test_a_minimal_backend_is_completed_with_safe_answers(settings: Any, is_held: bool, kept: LockState) -> None:  # noqa: FBT001 - a parameter of the test
    lock = lock_by(settings, {"BACKEND": "tests.locks.test_factory.OwnLock", "OPTIONS": {"color": "red"}})
    OwnLock.answer = is_held
    assert lock.acquire() is None
    assert (lock.is_held(), lock.keep(), lock.probe()) == (is_held, kept, Probe.UNKNOWN)
    lock.discard()
    assert OwnLock.released == ["import"]


class Forwarding:
    """Forwards unknown attributes to another lock."""

    def __init__(self, lock: Lock) -> None:
        self.lock = lock

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lock, name)


def test_a_forwarding_lock_has_the_methods_of_the_other_lock(tmp_path: Path) -> None:
    lock = complete(Forwarding(FileLock("import", directory=tmp_path)))
    assert isinstance(lock, Forwarding)
    assert lock.probe() is Probe.UNKNOWN
    assert lock.acquire() is None
    assert (lock.probe(), lock.keep()) == (Probe.HELD, LockState.HELD)
    lock.discard()
    assert list(tmp_path.iterdir()) == []


# -- the identity of the locks -----------------------------------------------------------------------------------------


def identity(backend: str, **options: object) -> str:
    return locks(backend, **options).identity


@pytest.mark.slow
def test_other_folders_hosts_databases_and_servers_are_other_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [identity("file", directory=tmp_path), identity("file", directory=tmp_path / "other")]
    monkeypatch.setattr(socket, "gethostname", lambda: "another-host")
    found.append(identity("file", directory=tmp_path))
    urls = ("redis://one:6379/0", "redis://one:6379/1", "redis://one:6380/0", "redis://two:6379/0", "unix:///a")
    found += [identity("redis", url=url) for url in urls]
    found.append(identity("redis", url="redis://one:6379/0", prefix="desk"))
    with alias_on("postgresql") as one, alias_on("postgresql", NAME="other") as two, alias_on("mariadb") as three:
        found += [identity("database", alias=alias) for alias in (one, two, three)]
    assert len(set(found)) == len(found), found
    assert str(tmp_path) in found[0]


def test_an_identity_has_no_side_effects(tmp_path: Path) -> None:
    assert identity("file", directory=tmp_path / "locks")
    assert list(tmp_path.iterdir()) == []


def test_an_identity_contains_no_password() -> None:
    plain = identity("redis", url="redis://one:6379/0")
    assert identity("redis", url="redis://desk:hunter2@one:6379/0") == plain
    own = "tests.locks.test_factory.AnyLock"
    assert identity(own, url="x://u:one@h", password="a") == identity(own, url="x://u:two@h", password="b")
    assert identity(own, url="x://u:one@h") != identity(own, url="x://u:one@other")
    assert identity(own, nested={"api_key": "a", "hosts": ["x"]}) == identity(own, nested={"hosts": ["x"]})
    assert identity(own).startswith(own)


class AnyLock(OwnLock):
    """Accepts any options."""

    def __init__(self, *, what: str, **options: object) -> None:
        super().__init__(what=what, color="any")


class NamedLock(AnyLock):
    """Defines an identity."""

    identity = "the safe in the cellar"


def test_a_backend_may_define_its_identity() -> None:
    assert identity("tests.locks.test_factory.NamedLock", color="red") == "the safe in the cellar"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "kind"),
    [
        ("tests.settings", "FileLock"),
        ("tests.postgres_settings", "PostgreSQLLock"),
        ("tests.mariadb_settings", "MySQLLock"),
    ],
)
def test_automatic_locks_are_in_the_database_if_it_supports_them(module: str, kind: str) -> None:
    code = """
import django
django.setup()
from django.conf import settings
settings.RUNBOOK = {}
from django_runbook import conf
from django_runbook.locks.factory import BACKENDS, new_factory
print(type(new_factory(conf.read(), what="a test")("import")).__name__)
"""
    with started(code, DJANGO_SETTINGS_MODULE=module) as process:
        assert read_line(process) == kind


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "must be the name of a backend, or a dictionary with BACKEND and OPTIONS"),
        ("databse", 'unknown backend "databse"; did you mean "database"'),
        (
            "zookeeper",
            f'unknown backend "zookeeper"; choose from {", ".join(("auto", *BACKENDS))}, or give an import path',
        ),
        ("nowhere.Locks", 'the backend "nowhere.Locks" cannot be imported: '),
        ("tests.locks.test_factory.Absent", 'the backend "tests.locks.test_factory.Absent" cannot be imported: '),
        ("tests.locks.test_factory.NO_BACKEND", 'NO_BACKEND" cannot be called'),
        ("database", r'the database "default" \(SQLite\) has no named locks: .* set RUNBOOK'),
        ("redis", 'need the option "url"'),
        ({}, r'\["BACKEND"\] must be the name or the import path of a backend'),
        ({"BACKEND": "file", "OPTION": {}}, r'RUNBOOK\["LOCK"\] has no key "OPTION"; did you mean "OPTIONS"'),
        ({"BACKEND": "file", "OPTIONS": []}, r'\["OPTIONS"\] must be a dictionary from names to values'),
        ({"BACKEND": "file", "OPTIONS": {1: 2}}, r'\["OPTIONS"\] must be a dictionary from names to values'),
        ({"BACKEND": "file", "OPTIONS": {"folder": "/x"}}, 'the OPTIONS do not fit "file": .*folder'),
        ({"BACKEND": "file", "OPTIONS": {"what": "/x"}}, 'the OPTIONS do not fit "file": .*what'),
        ({"BACKEND": "file", "OPTIONS": {"directory": 5}}, 'the option "directory" of the file locks must be a path'),
        ({"BACKEND": "auto", "OPTIONS": {"directory": "/x"}}, '"auto" has no OPTIONS'),
        (
            {"BACKEND": "database", "OPTIONS": {"alias": "other"}},
            '"alias" .* is not in DATABASES, which has: default',
        ),
    ],
)
def test_an_invalid_setting_is_reported_before_any_lock_is_acquired(settings: Any, value: object, problem: str) -> None:
    with pytest.raises(InvalidUsage, match=problem):
        lock_by(settings, value)


def test_projects_on_one_host_have_files_of_their_own(settings: Any, tmp_path: Path) -> None:
    lock = locks("file", directory=tmp_path)
    default = connections.settings["default"]
    paths = set()
    before = dict(default)
    try:
        for name, host in (("one", ""), ("two", ""), ("two", "elsewhere")):
            default.update(NAME=name, HOST=host)
            found = lock("import")
            assert isinstance(found, FileLock)
            paths.add(found.path)
    finally:
        default.update(before)
    assert len(paths) == 3


@pytest.mark.slow
def test_the_shared_namespace_does_not_contain_the_address_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    with alias_on("postgresql") as alias:
        monkeypatch.setattr(namespace, "DEFAULT_DB_ALIAS", alias)
        assert namespace.shared_namespace() == POSTGRES["NAME"]
        assert POSTGRES["HOST"] in namespace.host_namespace()
