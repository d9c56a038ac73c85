"""The commands of the Flight desk by what they do to a few real flights."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from django_runbook import conf
from django_runbook.locks.factory import new_factory
from flights.models import Airline, Compensation, DelayClass, Flight, SearchEntry
from tests.patience import LONG_PATIENCE_SECONDS

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "example_project"
HEADER = "year,month,day,sched_dep_time,dep_delay,arr_delay,carrier,flight,tailnum,origin,dest,air_time,distance\n"
ROWS = [
    "2013,1,1,515,2,11,UA,1545,N14228,EWR,IAH,227,1400",
    "2013,1,1,529,75,90,UA,1714,N24211,LGA,IAH,227,1416",
    "2013,1,1,1530,20,,MQ,4525,N719MQ,LGA,XNA,,1147",
    "2013,1,2,1630,,,EV,4308,N18120,EWR,RDU,,416",
]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _var_dir(tmp_path: Path, settings: Any) -> None:
    settings.VAR_DIR = tmp_path
    settings.RUNBOOK = {"LOCK": {"BACKEND": "file", "OPTIONS": {"directory": tmp_path}}}


@pytest.fixture
def january(tmp_path: Path) -> Path:
    path = tmp_path / "flights.csv"
    path.write_text(HEADER + "\n".join(ROWS) + "\n")
    return path


def call(name: str, *args: object, **options: Any) -> str:
    stdout = io.StringIO()
    call_command(name, *map(str, args), stdout=stdout, **options)
    return stdout.getvalue()


def test_import_reads_each_flight_once(january: Path) -> None:
    assert call("import_flights", january) == "4 flights read, 4 of them new\n"
    assert call("import_flights", january) == "4 flights read, 0 of them new\n"
    flight = Flight.objects.get(number=1545)
    assert flight.scheduled_at.isoformat() == "2013-01-01T10:15:00+00:00"
    assert Flight.objects.get(carrier="EV").departure_delay_minutes is None


def test_import_updates_or_leaves_alone(january: Path) -> None:
    call("import_flights", january)
    january.write_text(january.read_text().replace(",2,11,UA,1545,", ",9,11,UA,1545,"))
    call("import_flights", january, "--skip-known")
    assert Flight.objects.get(number=1545).departure_delay_minutes == 2
    call("import_flights", january, "--update")
    assert Flight.objects.get(number=1545).departure_delay_minutes == 9
    with pytest.raises(CommandError, match="not allowed with"):
        call("import_flights", january, "--update", "--skip-known")


def test_import_excludes_carriers_by_option_and_by_config(january: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"exclude": ["EV"], "batch_size": 1}')
    call("import_flights", january, "--exclude", "UA", "XX", "--config", config)
    assert [flight.carrier for flight in Flight.objects.all()] == ["MQ"]
    config.write_text('{"excluded": []}')
    with pytest.raises(CommandError, match="unknown: excluded"):
        call("import_flights", january, "--config", config)


def test_import_reads_gzip_and_json_lines(january: Path, tmp_path: Path) -> None:
    packed = tmp_path / "flights.csv.gz"
    packed.write_bytes(gzip.compress(january.read_bytes()))
    assert call("import_flights", packed).startswith("4 flights")
    lines = tmp_path / "flights.jsonl"
    rows = csv.DictReader(january.read_text().splitlines())
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert call("import_flights", lines, "--format", "jsonl") == "4 flights read, 0 of them new\n"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (("1,1,529", "1,32,529"), ":3: day is out of range"),
        (("1,1,529", "1,1,2575"), ":3: "),
        (("UA,1714", ",1714"), ":3: no value for carrier"),
        (("IAH,227,1416", "IAH,x,1416"), ":3: "),
    ],
)
def test_a_bad_line_is_named_and_nothing_of_its_batch_is_kept(
    january: Path, damage: tuple[str, str], words: str
) -> None:
    january.write_text(january.read_text().replace(*damage))
    with pytest.raises(CommandError, match=words):
        call("import_flights", january)
    assert not Flight.objects.exists()


def test_a_missing_or_broken_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot read"):
        call("import_flights", tmp_path / "none.csv")
    (tmp_path / "broken.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(CommandError, match="cannot read"):
        call("import_flights", tmp_path / "broken.csv.gz")


def test_reference_data_in_and_out(tmp_path: Path) -> None:
    assert call("reference_data", "import", EXAMPLE / "data", "--only", "airlines") == "airlines: 16\n"
    assert call("reference_data", "import", EXAMPLE / "data", "--only", "airlines") == "airlines: 16\n"
    assert Airline.objects.get(code="UA").name == "United Air Lines Inc."
    call("reference_data", "export", "airlines", "--output", tmp_path / "out.csv")
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 17


@pytest.mark.parametrize("size", [1, 3, 100])
def test_backfill_gives_each_flight_its_class(january: Path, size: int) -> None:
    call("import_flights", january)
    assert call("backfill_delay_class", "--dry-run") == "4 flights would be classified\n"
    assert call("backfill_delay_class", "--batch-size", size) == "4 flights classified\n"
    assert call("backfill_delay_class") == "0 flights classified\n"
    classes = dict(Flight.objects.values_list("number", "delay_class"))
    assert classes == {
        1545: DelayClass.ON_TIME,
        1714: DelayClass.VERY_LATE,
        4525: DelayClass.LATE,
        4308: DelayClass.CANCELLED,
    }
    assert json.loads(call("count_delays", "--format", "json", "--day", "2013-01-01")) == {
        "on_time": 1,
        "late": 1,
        "very_late": 1,
        "cancelled": 0,
        "unclassified": 0,
        "total": 3,
    }


def test_compensations_are_booked_once(january: Path) -> None:
    call("import_flights", january)
    call("backfill_delay_class")
    assert call("process_compensations", "--dry-run") == "2 compensations would be booked\n"
    assert call("process_compensations", "--day", "2013-01-01") == "1 compensations booked, 50.00 in all\n"
    assert call("process_compensations") == "1 compensations booked, 200.00 in all\n"
    assert call("process_compensations") == "0 compensations booked, 0.00 in all\n"
    assert Compensation.objects.count() == 2


def test_a_second_process_compensations_is_refused() -> None:
    lock = new_factory(conf.read(), what="another one")("command process_compensations")
    assert lock.acquire() is None
    with pytest.raises(CommandError, match="is held by another one") as caught:
        call("process_compensations")
    assert caught.value.returncode == 75
    lock.release()
    call("process_compensations")


def test_the_search_index_finds_names(january: Path) -> None:
    call("reference_data", "import", EXAMPLE / "data", "--only", "airlines")
    call("import_flights", january)
    assert call("update_search_index", "--batch-size", "2") == "4 entries written\n"
    assert call("update_search_index") == "0 entries written\n"
    assert call("update_search_index", "--all") == "4 entries written\n"
    assert SearchEntry.objects.filter(words__contains="United Air Lines").count() == 2


@pytest.mark.django_db(transaction=True, databases=["default", "replica"])
def test_reports_read_from_the_replica(january: Path, mailoutbox: list[Any]) -> None:
    call("import_flights", january)
    assert "2013-01-02" in call("send_reports", "--type", "daily", "--database", "replica")
    call("send_reports", "--type", "monthly", "--to", "a@example.com")
    assert [mail.subject for mail in mailoutbox] == ["Flights of 2013-01-02", "Flights of 2013-01"]
    assert "EWR: 2 flights" in mailoutbox[1].body


def test_the_other_commands_do_their_work(january: Path, tmp_path: Path, mailoutbox: list[Any]) -> None:
    call("import_flights", january)
    assert call("generate_sitemaps") == "4 routes written to sitemap.xml\n"
    assert "/routes/LGA-XNA/" in (tmp_path / "sitemap.xml").read_text()
    assert call("rebuild_index", "flights.Flight", "flights.Airport").count("rebuilt") == 2
    with pytest.raises(CommandError, match=r"flights\.Nothing"):
        call("rebuild_index", "flights.Nothing")
    assert "flights.Flight: 4" in call("table_sizes", "flights")
    assert call("cleanup_sessions") == "0 sessions deleted\n"
    call("notify_operations", "Look!")
    assert [mail.body for mail in mailoutbox] == ["Look!"]


@pytest.mark.slow
def test_the_daily_runbook_under_cron(tmp_path: Path) -> None:
    env = {
        "PATH": os.environ["PATH"],
        "LC_ALL": "C",
        "FLIGHTDESK_VAR": str(tmp_path / "var"),
        "PYTHONPATH": str(ROOT / "src"),
    }
    done = subprocess.run(
        [sys.executable, EXAMPLE / "manage.py", "run_runbook", "daily.yml"],
        cwd="/",
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LONG_PATIENCE_SECONDS,
        check=False,
    )
    text = done.stdout.decode("ascii")
    assert done.returncode == 0, done.stderr.decode()
    assert "succeeded: 12 succeeded in" in text
    assert "Compensate 85 cancelled flights" in text
    assert "\x1b" not in text
    assert done.stderr == b""
    assert len(list((tmp_path / "var" / "mail").iterdir())) == 1


def test_the_deploy_runbook_is_valid() -> None:
    stdout = io.StringIO()
    call_command(
        "check_runbooks", str(ROOT / "runbooks" / "deploy.yml"), str(ROOT / "runbooks" / "daily.yml"), stdout=stdout
    )
    assert stdout.getvalue().count("no problems") == 2


@pytest.mark.parametrize(
    "path",
    [f"django_runbook/{name}" for name in ("runbook.css", "polling.js", "run.js", "step.js")] + ["admin/css/base.css"],
)
def test_the_development_server_serves_what_the_pages_of_the_admin_need(settings: Any, path: str) -> None:
    settings.ROOT_URLCONF = "flightdesk.urls"
    settings.DEBUG = False
    with contextlib.closing(Client().get(f"/static/{path}")) as response:
        assert response.status_code == 200
