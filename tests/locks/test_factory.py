"""``RUNBOOK["LOCK"]``: which backend it gives, and what it cannot mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from django_runbook import conf
from django_runbook.exceptions import InvalidUsage
from django_runbook.locks import space
from django_runbook.locks.base import Holder, Lock
from django_runbook.locks.factory import new_factory
from django_runbook.locks.file import FileLock
from django_runbook.locks.redis import RedisLock
from tests.batch.support import read_line, started
from tests.locks.backends import alias_on, locks
from tests.postgres_settings import POSTGRES


class OwnLock:
    """A backend of a project's own, and the lock that it gives."""

    def __init__(self, *, what: str, colour: str) -> None:
        self.told = (what, colour)
        self.name = ""

    def __call__(self, name: str) -> Lock:
        self.name = name
        return self

    def acquire(self) -> Holder | None:
        return None

    def is_held(self) -> bool:
        return True

    def release(self) -> None:
        """Has nothing to give back."""


NO_BACKEND = "not to be called"


def lock_by(settings: Any, value: object) -> Lock:
    settings.RUNBOOK = {"LOCK": value}
    return new_factory(conf.read(), what="a test")("import")


def test_a_name_or_an_import_path_gives_the_backend(settings: Any, tmp_path: Path) -> None:
    assert isinstance(lock_by(settings, "file"), FileLock)
    path = "django_runbook.locks.file.FileLocks"
    lock = lock_by(settings, {"BACKEND": path, "OPTIONS": {"directory": tmp_path}})
    assert isinstance(lock, FileLock)
    assert lock.path.parent == tmp_path
    assert isinstance(lock_by(settings, {"BACKEND": "redis", "OPTIONS": {"url": "redis://nowhere"}}), RedisLock)


def test_a_backend_of_a_projects_own_gets_its_options(settings: Any) -> None:
    own = {"BACKEND": "tests.locks.test_factory.OwnLock", "OPTIONS": {"colour": "red"}}
    lock = lock_by(settings, own)
    assert isinstance(lock, OwnLock)
    assert (lock.name, lock.told) == ("import", ("a test", "red"))


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        ("tests.settings", "FileLock"),
        ("tests.postgres_settings", "PostgreSQLLock"),
        ("tests.mariadb_settings", "MySQLLock"),
    ],
)
def test_the_locks_are_those_of_the_database_where_it_has_some(module: str, kind: str) -> None:
    code = """
import django
django.setup()
from django_runbook import conf
from django_runbook.locks.factory import new_factory
print(type(new_factory(conf.read(), what="a test")("import")).__name__)
"""
    with started(code, DJANGO_SETTINGS_MODULE=module) as process:
        assert read_line(process) == kind


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "must be the name of a backend, or a dictionary with BACKEND and OPTIONS"),
        ("databse", 'there is no backend "databse"; "database" is near'),
        ("zookeeper", 'there is no backend "zookeeper"; there are: auto, file, database, redis, and import paths'),
        ("nowhere.Locks", 'the backend "nowhere.Locks" cannot be imported: '),
        ("tests.locks.test_factory.Absent", 'the backend "tests.locks.test_factory.Absent" cannot be imported: '),
        ("tests.locks.test_factory.NO_BACKEND", "is no backend: it cannot be called"),
        ("database", r'the database "default" \(SQLite\) has no locks, .* can be "file" instead'),
        ("redis", 'need the option "url"'),
        ({}, r'\["BACKEND"\] must be the name or the import path of a backend'),
        ({"BACKEND": "file", "OPTION": {}}, r'RUNBOOK\["LOCK"\] has no key "OPTION"; "OPTIONS" is near'),
        ({"BACKEND": "file", "OPTIONS": []}, r'\["OPTIONS"\] must be a dictionary from names to values'),
        ({"BACKEND": "file", "OPTIONS": {1: 2}}, r'\["OPTIONS"\] must be a dictionary from names to values'),
        ({"BACKEND": "file", "OPTIONS": {"folder": "/x"}}, 'the OPTIONS do not fit "file": .*folder'),
        ({"BACKEND": "file", "OPTIONS": {"what": "/x"}}, 'the OPTIONS do not fit "file": .*what'),
        ({"BACKEND": "file", "OPTIONS": {"directory": 5}}, 'the option "directory" of the file locks must be a path'),
        ({"BACKEND": "auto", "OPTIONS": {"directory": "/x"}}, '"auto" has no OPTIONS'),
        (
            {"BACKEND": "database", "OPTIONS": {"alias": "other"}},
            '"alias" .* is no alias of DATABASES; there are: default',
        ),
    ],
)
def test_what_it_cannot_mean_is_told_before_any_lock_is_taken(settings: Any, value: object, problem: str) -> None:
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


def test_the_way_to_the_database_is_no_part_of_what_other_hosts_see(monkeypatch: pytest.MonkeyPatch) -> None:
    with alias_on("postgresql") as alias:
        monkeypatch.setattr(space, "DEFAULT_DB_ALIAS", alias)
        assert space.on_any_host() == POSTGRES["NAME"]
        assert POSTGRES["HOST"] in space.on_this_host()
