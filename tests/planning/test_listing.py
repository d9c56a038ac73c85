"""Tests the output of ``--plan``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.runner.support import run


@pytest.mark.only("inline")
def test_plan_hides_arguments_in_a_group_with_no_log(tmp_path: Path) -> None:
    ended = run(tmp_path, "steps: [{no_log: true, steps: [{steps: [say hidden]}]}]", plan=True)
    assert "say ***" in "\n".join(ended.shown)
    assert "hidden" not in "\n".join(ended.shown)


@pytest.mark.only("inline")
def test_plan_shows_arguments_and_runs_nothing(tmp_path: Path) -> None:
    text = "secrets: [TOKEN]\nsteps: [{id: one, command: say x, capture: text}, 'say ${{ steps.one.output }} ${{ secrets.TOKEN }} \"a b\"']"
    (tmp_path / "x.yml").write_text(text)
    stdout = io.StringIO()
    call_command("run_runbook", str(tmp_path / "x.yml"), plan=True, stdout=stdout)
    assert stdout.getvalue().splitlines()[1:] == ["  say x", "  say ? ? 'a b'"]


@pytest.mark.only("inline")
@pytest.mark.parametrize(("env", "shown"), [({}, "?"), ({"ZONE": "a b"}, "a b")])
def test_environment_variables_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], shown: str
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    text = "env: [ZONE, {name: AREA_OF_TEST, default: all}]\nsteps: ['say ${{ env.ZONE }} ${{ env.AREA_OF_TEST }}']"
    (tmp_path / "x.yml").write_text(text)
    stdout = io.StringIO()
    call_command("run_runbook", str(tmp_path / "x.yml"), plan=True, stdout=stdout)
    quoted = f"'{shown}'" if " " in shown else shown
    assert stdout.getvalue().splitlines()[1:] == [
        f"  env.ZONE = {shown}",
        "  env.AREA_OF_TEST = all",
        f"  say {quoted} all",
    ]


@pytest.mark.only("inline")
def test_the_variables_of_a_command_are_shown_as_a_shell_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter22")
    env = "env: {A: a b, B: null, C: '${{ secrets.TOKEN }}', D: '${{ steps.one.output }}'}"
    text = f"""
secrets: [TOKEN]
steps:
  - {{id: one, command: say x, capture: text}}
  - {{command: say, {env}}}
  - {{command: say, {env}, no_log: true}}
"""
    (tmp_path / "x.yml").write_text(text)
    stdout = io.StringIO()
    call_command("run_runbook", str(tmp_path / "x.yml"), plan=True, stdout=stdout)
    assert stdout.getvalue().splitlines()[2:] == [
        "  env -u B A='a b' C='***' D=? say",
        "  env -u B A=*** C=*** D=*** say ***",
    ]


QUEUES = """
steps:
  - {id: own, command: noop, queue: heavy}
  - id: group
    queue: mail
    steps:
      - {id: inside, command: noop}
      - {id: other, command: noop, queue: heavy}
      - {id: here, command: noop, queue: false}
      - {id: loop, command: "say ${{ item }}", for_each: [a, b]}
  - {id: local, command: noop}
"""


@pytest.mark.django_db
def test_each_step_names_the_queue_to_which_it_goes(tmp_path: Path, settings: Any) -> None:
    engine = {"BACKEND": "celery", "OPTIONS": {"app": "tests.celery_apps.eager"}}
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": True, "QUEUE": engine}
    (tmp_path / "x.yml").write_text(QUEUES)

    def shown(option: str) -> list[str]:
        stdout = io.StringIO()
        call_command("run_runbook", str(tmp_path / "x.yml"), **{option: True}, stdout=stdout)
        return [" ".join(line.split()) for line in stdout.getvalue().splitlines()]

    assert shown("list") == [
        "own noop on queue heavy",
        "group",
        "inside noop on queue mail",
        "other noop on queue heavy",
        "here noop",
        "loop say on queue mail",
        "local noop",
    ]
    assert [line for line in shown("plan") if "noop" in line or "say" in line] == [
        "noop # on queue heavy",
        "noop # on queue mail",
        "noop # on queue heavy",
        "noop",
        "say: # for each of 2 items, on queue mail",
        "say a # on queue mail",
        "say b # on queue mail",
        "noop",
    ]
