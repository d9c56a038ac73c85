"""What the Flight desk says of bad files and bad configurations, and what it does when data or folders change."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from flights.models import Airport, DelayClass, Flight

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "example_project"
HEADER = "year,month,day,sched_dep_time,dep_delay,arr_delay,carrier,flight,tailnum,origin,dest,air_time,distance"
GOOD = "2013,1,1,515,2,11,UA,1545,N14228,EWR,IAH,227,1400"

pytestmark = pytest.mark.django_db


def call(name: str, *args: object) -> str:
    stdout = io.StringIO()
    call_command(name, *map(str, args), stdout=stdout)
    return stdout.getvalue()


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param(GOOD.replace(",2,11,", ",inf,11,"), "dep_delay: 'inf' is not a whole number", id="infinity"),
        pytest.param(GOOD.replace(",2,11,", ",nan,11,"), "dep_delay: 'nan' is not a whole number", id="nan"),
        pytest.param(GOOD.replace(",2,11,", ",2.7,11,"), "dep_delay: '2.7' is not a whole number", id="fraction"),
        pytest.param(GOOD.replace(",2,11,", ",1e9,11,"), "dep_delay: 1e9 is not between", id="huge-delay"),
        pytest.param(GOOD.replace("1545", "9" * 20), "flight: 9+ is not between", id="huge-number"),
        pytest.param(GOOD.replace("1545", "-5"), "flight: -5 is not between 0", id="negative-number"),
        pytest.param(GOOD.replace("UA", "UNITED"), "carrier: 'UNITED' is longer than 3", id="long-carrier"),
        pytest.param('"' + "x" * 200_000 + '"', "field larger than field limit", id="huge-field"),
    ],
)
def test_a_value_that_cannot_be_is_refused_at_its_line(tmp_path: Path, row: str, words: str) -> None:
    with pytest.raises(CommandError, match=rf"flights\.csv:3: {words}"):
        call("import_flights", write(tmp_path / "flights.csv", GOOD, row))
    assert not Flight.objects.exists()


@pytest.mark.parametrize("line", ["{bad", "[1]", "null"])
def test_a_line_without_a_json_object_is_reported_by_its_own_number(tmp_path: Path, line: str) -> None:
    row = json.dumps(dict(zip(HEADER.split(","), GOOD.split(","), strict=True)))
    path = tmp_path / "flights.jsonl"
    path.write_text(f"{row}\n{row}\n{line}\n")
    with pytest.raises(CommandError, match=r"flights\.jsonl:3: not "):
        call("import_flights", path, "--format", "jsonl")


def test_a_damaged_gzip_file_is_reported(tmp_path: Path) -> None:
    packed = bytearray((EXAMPLE / "data" / "flights-2013-01.csv.gz").read_bytes())
    packed[1000:1040] = b"\xff" * 40
    path = tmp_path / "flights.csv.gz"
    path.write_bytes(packed)
    with pytest.raises(CommandError, match=r"cannot read .*flights\.csv\.gz: "):
        call("import_flights", path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", ":1: no header", id="empty"),
        pytest.param(b"carrier\n\xff\n", ":2: not valid UTF-8", id="not-utf-8"),
    ],
)
def test_a_file_without_readable_rows_is_reported(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "flights.csv").write_bytes(content)
    with pytest.raises(CommandError, match=words):
        call("import_flights", tmp_path / "flights.csv")


def test_a_byte_order_mark_is_not_part_of_the_header(tmp_path: Path) -> None:
    path = write(tmp_path / "flights.csv", GOOD)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert call("import_flights", path) == "1 flights read, 1 of them new\n"


def test_na_is_not_a_value(tmp_path: Path) -> None:
    row = "2013,1,1,515,NA,NA,UA,1545,NA,EWR,IAH,NA,1400"
    call("import_flights", write(tmp_path / "flights.csv", row))
    flight = Flight.objects.get()
    assert (flight.tail_number, flight.departure_delay_minutes, flight.air_time_minutes) == ("", None, None)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ([], "not a JSON object"),
        ({"exclude": "UA"}, '"exclude" must be a list'),
        ({"exclude": 5}, '"exclude" must be a list'),
        ({"batch_size": "5"}, '"batch_size" must be a whole number'),
        ({"batch_size": True}, '"batch_size" must be a whole number'),
        ({"batch_size": 0}, "at least 1"),
    ],
)
def test_a_bad_configuration_is_reported(tmp_path: Path, config: object, words: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    with pytest.raises(CommandError, match=words):
        call("import_flights", write(tmp_path / "flights.csv", GOOD), "--config", path)


def test_the_command_line_wins_over_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"batch_size": 0}')
    done = call("import_flights", write(tmp_path / "flights.csv", GOOD), "--config", path, "--batch-size", 1)
    assert done == "1 flights read, 1 of them new\n"


def test_a_flight_whose_delay_was_corrected_is_classified_again(tmp_path: Path) -> None:
    path = write(tmp_path / "flights.csv", GOOD, GOOD.replace("1545", "1546"))
    call("import_flights", path)
    assert call("backfill_delay_class") == "2 flights classified\n"
    call("import_flights", write(path, GOOD.replace(",2,11,", ",,,")))
    assert call("backfill_delay_class", "--dry-run") == "1 flights would be classified\n"
    assert call("backfill_delay_class") == "1 flights classified\n"
    assert Flight.objects.get(number=1545).delay_class == DelayClass.CANCELLED


# It imports all reference data twice.
@pytest.mark.slow
def test_an_export_can_be_imported_again(tmp_path: Path) -> None:
    call("reference_data", "import", EXAMPLE / "data")
    for table in ("airlines", "airports", "planes"):
        call("reference_data", "export", table, "--output", tmp_path / f"{table}.csv")
    before = list(Airport.objects.order_by("pk").values())
    Airport.objects.all().delete()
    assert call("reference_data", "import", tmp_path) == "airlines: 16\nairports: 1458\nplanes: 3322\n"
    assert list(Airport.objects.order_by("pk").values()) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("x,y\n1,2\n", r"airlines\.csv:2: no column 'carrier'", id="other-columns"),
        pytest.param("carrier,name\nUA\n", r"airlines\.csv:2: no value for name", id="short-row"),
    ],
)
def test_bad_reference_data_are_reported(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "airlines.csv").write_text(text)
    with pytest.raises(CommandError, match=words):
        call("reference_data", "import", tmp_path, "--only", "airlines")


def test_a_file_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    target = tmp_path / "none" / "out"
    with pytest.raises(CommandError, match="cannot be written"):
        call("generate_sitemaps", "--output", target)
    with pytest.raises(CommandError, match="cannot be written"):
        call("reference_data", "export", "airlines", "--output", target)
