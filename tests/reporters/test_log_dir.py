"""Events in, one file for each command out."""

from __future__ import annotations

import io
import os
import stat
from io import FileIO
from pathlib import Path

import pytest

from django_runbook import events
from django_runbook.reporters import log_dir
from django_runbook.reporters.fan_out import FanOut
from django_runbook.reporters.plain import PlainReporter
from django_runbook.results import RunStatus, StepStatus
from tests.reporters.scenes import ADVICE, AT, BUG, CONCURRENT, RUN, ended, finished, send, started, wrote

FOLDER = "20130131T060000Z-7f"
START = "=== 2013-01-31T06:00:00.000Z "


def files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*.log"))}


def test_each_command_has_a_file_with_its_complete_output(tmp_path: Path) -> None:
    reporter = log_dir.build(tmp_path / "logs")
    send(reporter, CONCURRENT)
    reporter.close()
    assert files(tmp_path / "logs") == {
        f"{FOLDER}/001-import-1.log": (
            f"{START}import --n=1\nfirst of 1\nsecond of 1\nthird of 1\n{START}succeeded in 1.2s\n"
        ),
        f"{FOLDER}/002-import-2.log": f"{START}import --n=2\nfirst of 2\nsecond of 2\n{START}succeeded in 1.2s\n",
        f"{FOLDER}/003-import-3.log": (
            f"{START}import --n=3\nfirst of 3\nsecond of 3\n{START}failed in 1.2s: ValueError: oops\n"
        ),
    }


def test_lines_of_both_streams_are_written_immediately_and_in_order(tmp_path: Path) -> None:
    reporter = log_dir.build(tmp_path)
    send(reporter, [CONCURRENT[0], started("a"), wrote("a", "out"), wrote("a", "err ü", "stderr"), wrote("a", "out")])
    assert files(tmp_path) == {f"{FOLDER}/001-a.log": f"{START}a\nout\nerr ü\nout\n"}
    reporter.close()
    assert files(tmp_path)[f"{FOLDER}/001-a.log"].endswith("out\n=== interrupted\n")


def test_attempts_are_separated(tmp_path: Path) -> None:
    retry = events.AttemptFailed(at=AT, step_id="a", attempt=1, attempt_count=2, delay_seconds=2, failure=BUG)
    reporter = log_dir.build(tmp_path)
    send(reporter, [CONCURRENT[0], started("a"), wrote("a", "one"), retry, wrote("a", "two"), finished("a")])
    assert files(tmp_path)[f"{FOLDER}/001-a.log"] == (
        f"{START}a\none\n{START}attempt 1 of 2 failed: ValueError: oops; next in 2.0s\ntwo\n{START}succeeded in 1.2s\n"
    )


def test_a_step_of_a_retried_group_appends_to_its_file(tmp_path: Path) -> None:
    once = [started("a"), wrote("a", "line"), finished("a", StepStatus.FAILED)]
    reporter = log_dir.build(tmp_path)
    send(reporter, [CONCURRENT[0], *once, started("b"), finished("b"), *once])
    assert list(files(tmp_path)) == [f"{FOLDER}/001-a.log", f"{FOLDER}/002-b.log"]
    assert files(tmp_path)[f"{FOLDER}/001-a.log"].count("line\n") == 2


def test_no_id_escapes_the_directory_or_reaches_the_file_of_another_step(tmp_path: Path) -> None:
    ids = [
        "../../evil",
        "/etc/evil",
        "..",
        "",
        "weekly/import[2]",
        "weekly-import-2",
        "WEEKLY-import-2",
        "x" * 500,
        "ü\n",
    ]
    reporter = log_dir.build(tmp_path / "logs")
    start = events.RunStarted(at=AT, run_id="../../7f", name="n", file="f", step_count=1)
    send(reporter, [start, *(event for step_id in ids for event in (started(step_id, argv=("x",)), finished(step_id)))])
    assert list(files(tmp_path)) == [
        f"logs/{FOLDER}/{name}.log"
        for name in (
            "001-evil",
            "002-etc-evil",
            "003-",
            "004-",
            "005-weekly-import-2",
            "006-weekly-import-2",
            "007-WEEKLY-import-2",
            "008-" + "x" * 100,
            "009-",
        )
    ]


def test_only_the_user_of_the_run_can_read_the_files(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        reporter = log_dir.build(tmp_path / "logs")
        send(reporter, CONCURRENT)
        reporter.close()
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "logs", *(tmp_path / "logs").rglob("*"))}
    assert modes == {0o700, 0o600}


def test_an_existing_directory_is_never_used_for_a_run(tmp_path: Path) -> None:
    (tmp_path / FOLDER).symlink_to(tmp_path)
    with pytest.raises(FileExistsError):
        log_dir.build(tmp_path)(CONCURRENT[0])


def test_a_directory_that_cannot_be_created_is_a_warning_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    errors, good = io.StringIO(), io.StringIO()
    reporter = log_dir.build(tmp_path / "file" / "logs")
    fan_out = FanOut([PlainReporter(good)], files={"--log-dir": reporter}, errors=errors)
    send(fan_out, RUN)
    (warning,) = fan_out.write_files(ended(RUN, RunStatus.FAILED))
    fan_out.close()
    assert warning.startswith("--log-dir could not be written: NotADirectoryError: ")
    assert errors.getvalue() == ""
    assert good.getvalue().endswith(f"exit code 1\n{ADVICE}\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_a_warning_of_the_run_and_every_file_is_closed(tmp_path: Path) -> None:
    errors, good = io.StringIO(), io.StringIO()
    reporter = log_dir.build(tmp_path)
    fan_out = FanOut([PlainReporter(good)], files={"--log-dir": reporter}, errors=errors)
    send(fan_out, CONCURRENT[:4])
    opened = dict(reporter._files)
    full = FileIO("/dev/full", "w")
    reporter._files["import[1]"] = opened["full"] = full
    send(fan_out, CONCURRENT[4:])
    warnings = fan_out.write_files(ended(RUN, RunStatus.FAILED))
    fan_out.close()
    opened["import[1]"].close()
    assert all(file.closed for file in opened.values())
    assert warnings == ("--log-dir could not be written: OSError: [Errno 28] No space left on device",)
    assert errors.getvalue() == ""
    assert good.getvalue().endswith("exit code 1\n")
