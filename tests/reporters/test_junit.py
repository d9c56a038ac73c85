"""Events in, a JUnit file out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from django_runbook import events
from django_runbook.events import Event
from django_runbook.reporters import junit
from django_runbook.results import Role, RunResult, RunStatus, StepStatus
from tests.reporters.scenes import AT, BUG, CONCURRENT, RUN, WRONG, ended, finished, send, started, wrote


def written(path: Path, listed: Iterable[Event]) -> ElementTree.Element:
    reporter = junit.build(path)
    send(reporter, listed)
    reporter.close()
    return ElementTree.parse(path).getroot()


def cases(root: ElementTree.Element) -> dict[str, list[str]]:
    """The elements of each case by its names."""
    return {
        f"{case.get('classname')}: {case.get('name')}": [element.tag for element in case]
        for case in root.iter("testcase")
    }


def test_junit_has_the_form_that_jenkins_and_gitlab_read(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "junit.xml"
    written(path, CONCURRENT)
    assert (
        path.read_text()
        == """\
<?xml version='1.0' encoding='utf-8'?>
<testsuites name="Nightly" tests="3" failures="1" errors="0" time="2.000">
  <testsuite name="Nightly" tests="3" failures="1" errors="0" skipped="0" time="2.000" timestamp="2013-01-31T06:00:00" file="nightly.yml">
    <properties>
      <property name="run_id" value="7f" />
      <property name="dry_run" value="false" />
    </properties>
    <testcase classname="Nightly.import" name="Import[2]" time="1.250" file="nightly.yml" line="4">
      <system-out>first of 2
second of 2</system-out>
    </testcase>
    <testcase classname="Nightly.import" name="Import[3]" time="1.250" file="nightly.yml" line="4">
      <failure message="ValueError: oops" type="ValueError">oops

T
  File "a.py", line 3, in handle
    x</failure>
      <system-out>first of 3
second of 3</system-out>
    </testcase>
    <testcase classname="Nightly.import" name="Import[1]" time="1.250" file="nightly.yml" line="4">
      <system-out>first of 1
second of 1
third of 1</system-out>
    </testcase>
  </testsuite>
</testsuites>
"""
    )
    assert [entry.name for entry in path.parent.iterdir()] == ["junit.xml"]


def test_each_status_has_its_element(tmp_path: Path) -> None:
    listed = [
        RUN[0],
        finished("good"),
        finished("bad", StepStatus.FAILED, failure=WRONG),
        finished("slow", StepStatus.TIMED_OUT, failure=WRONG),
        finished("ended", StepStatus.INTERRUPTED),
        finished("out", StepStatus.SKIPPED, reason="when: no"),
        finished("later", StepStatus.NOT_RUN, reason='"bad" failed'),
        finished("mail", StepStatus.SKIPPED, reason="not due", role=Role.ON_SUCCESS),
    ]
    root = written(tmp_path / "j.xml", [*listed, ended(listed, RunStatus.FAILED, 1)])
    assert cases(root) == {
        "Daily: Good": [],
        "Daily: Bad": ["failure"],
        "Daily: Slow": ["error"],
        "Daily: Ended": ["error"],
        "Daily: Out": ["skipped"],
        "Daily: Later": ["skipped"],
    }
    suite = root[0]
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6",
        "failures": "1",
        "errors": "2",
        "skipped": "2",
    }
    assert [element.text for element in root.iter("skipped")] == ["when: no", '"bad" failed']


def test_an_ignored_failure_is_a_passed_case_with_a_note(tmp_path: Path) -> None:
    root = written(tmp_path / "j.xml", RUN)
    assert cases(root)["Daily.group: Flaky"] == ["system-out"]
    text = root.findtext(".//testcase[@name='Flaky']/system-out")
    assert text == 'failed but ignored: ValueError: oops\nFile "a.py", line 3, in handle'


def test_a_failure_in_an_ignored_group_is_a_passed_case(tmp_path: Path) -> None:
    listed = [
        RUN[0],
        finished("a", StepStatus.FAILED, failure=BUG, group_ids=("g",)),
        finished("g", StepStatus.FAILED, failure=BUG, ignored=True, is_group=True),
    ]
    assert cases(written(tmp_path / "j.xml", [*listed, ended(listed, RunStatus.WARNING)])) == {
        "Daily.g: A": ["system-out"]
    }


def test_a_group_that_failed_itself_is_a_case(tmp_path: Path) -> None:
    listed = [
        RUN[0],
        finished("a", StepStatus.NOT_RUN, group_ids=("g",)),
        finished("g", StepStatus.FAILED, failure=BUG, is_group=True),
    ]
    root = written(tmp_path / "j.xml", [*listed, ended(listed, RunStatus.FAILED, 1)])
    assert cases(root) == {"Daily.g: A": ["skipped"], "Daily: G": ["failure"]}


def test_a_refused_run_is_an_error_with_its_reason(tmp_path: Path) -> None:
    refused = RunResult(status=RunStatus.FAILED, exit_code=75, reason="the lock is held by X")
    root = written(tmp_path / "j.xml", [RUN[0], events.RunFinished(at=AT, result=refused)])
    assert cases(root) == {"Daily: Daily": ["error"]}
    assert root.findtext(".//error") == "the lock is held by X"


def test_an_aborted_run_is_written_with_its_known_results(tmp_path: Path) -> None:
    root = written(tmp_path / "j.xml", [*RUN[:4], started("two"), wrote("two", "half")])
    assert cases(root) == {
        "Daily: One": ["system-out"],
        "Daily: Two": ["error", "system-out"],
        "Daily: Daily": ["error"],
    }
    assert root.findtext(".//testcase[@name='Two']/error") == "Aborted: the run was aborted while the step was running"


def test_nothing_is_written_if_no_run_started(tmp_path: Path) -> None:
    junit.build(tmp_path / "j.xml").close()
    assert list(tmp_path.iterdir()) == []


def test_cases_with_the_same_name_are_distinguished_by_their_ids(tmp_path: Path) -> None:
    listed = [
        RUN[0],
        finished("a", name="Load"),
        finished("b", name="Load"),
        finished("c", name="Load", group_ids=("g",)),
    ]
    root = written(tmp_path / "j.xml", [*listed, ended(listed, RunStatus.SUCCEEDED)])
    assert list(cases(root)) == ["Daily: Load (a)", "Daily: Load (b)", "Daily.g: Load"]


def test_a_step_that_ran_again_is_one_case_with_its_last_result(tmp_path: Path) -> None:
    again = [started("a"), wrote("a", "second"), finished("a")]
    listed = [RUN[0], started("a"), wrote("a", "first"), finished("a", StepStatus.FAILED, failure=BUG), *again]
    root = written(tmp_path / "j.xml", [*listed, ended(listed, RunStatus.SUCCEEDED)])
    assert cases(root) == {"Daily: A": ["system-out"]}
    assert root.findtext(".//system-out") == "second"


def test_no_character_of_a_run_breaks_the_file(tmp_path: Path) -> None:
    evil = "\x00a\x1b\ud800\uffff<&>\"'\t]]>\U0001f600"
    listed = [
        events.RunStarted(at=AT, run_id=evil, name=evil, file=evil, step_count=1),
        started("a"),
        wrote("a", evil),
        finished("a", StepStatus.FAILED, name=evil, file=evil, line=3, failure=BUG, warnings=(evil,)),
    ]
    root = written(tmp_path / "j.xml", [*listed, ended(listed, RunStatus.FAILED, 1)])
    legal = "a<&>\"'\t]]>\U0001f600"
    assert cases(root) == {f"{legal}: {legal}": ["failure", "system-out"]}
    assert root.findtext(".//system-out") == f"warning: {legal}\n{legal}"


def test_the_output_of_a_case_is_limited(tmp_path: Path) -> None:
    lines = [wrote("a", f"{n} " + "x" * 5000) for n in range(5000)]
    listed = [RUN[0], started("a"), *lines, finished("a")]
    root = written(tmp_path / "j.xml", [*listed, ended(listed, RunStatus.SUCCEEDED)])
    text = root.findtext(".//system-out") or ""
    assert len(text) < 256 * 1024
    assert text.startswith("0 xxx")
    assert "\n... 4,800 lines omitted ...\n4850 xxx" in text


def test_the_total_output_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(junit, "_MAX_OUTPUT", 10)
    steps = [event for n in "abc" for event in (started(n), wrote(n, "12345"), finished(n))]
    listed = [RUN[0], *steps, started("d"), finished("d")]
    root = written(tmp_path / "j.xml", [*listed, ended(listed, RunStatus.SUCCEEDED)])
    texts = [element.text or "" for element in root.iter("system-out")]
    assert texts[:2] == ["12345", "12345"]
    assert texts[2].startswith("(omitted")
    assert cases(root)["Daily: D"] == []


def test_an_existing_file_is_kept_if_the_new_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "j.xml"
    path.write_text("old")

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(28, "disk full")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        written(path, RUN)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"
