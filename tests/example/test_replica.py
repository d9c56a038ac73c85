"""The replica of the Flight desk in a folder of any name."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from django.db import OperationalError, connections
from pytest_django import DjangoDbBlocker

from flights.models import Airline
from tests.runner.support import ROOT
from tests.services import alias_added


@pytest.mark.parametrize("folder", ["plain", "a b", "a#b", "a?b", "a%20b"])
def test_the_replica_reads_the_same_file_and_cannot_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker, folder: str
) -> None:
    monkeypatch.setenv("FLIGHTDESK_VAR", str(tmp_path / folder))
    databases = runpy.run_path(str(ROOT / "example_project" / "flightdesk" / "settings.py"))["DATABASES"]
    with (
        django_db_blocker.unblock(),
        alias_added("desk", databases["default"]) as desk,
        alias_added("desk_replica", databases["replica"]) as replica,
    ):
        with connections[desk].schema_editor() as editor:
            editor.create_model(Airline)
        Airline.objects.using(desk).create(code="UA", name="United")
        assert Airline.objects.using(replica).count() == 1
        with pytest.raises(OperationalError, match=r"^attempt to write a readonly database$"):
            Airline.objects.using(replica).create(code="AA", name="American")
    assert [path.name for path in tmp_path.iterdir()] == [folder]
