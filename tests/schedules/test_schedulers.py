"""Renders names, paths and arguments that mean something to a scheduler or to its files."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from celery.schedules import crontab

from django_runbook.exceptions import InvalidUsage
from django_runbook.schedules import celery_beat
from django_runbook.schedules import crontab as cron_table
from django_runbook.schedules.job import Installation
from django_runbook.schedules.rendering import render
from django_runbook.schedules.schedulers import SCHEDULERS, refuse_options
from django_runbook.structs import replace
from tests.schedules.support import PLACE, job, schedule

ODD: Final = (
    "a b", "100%", "%n", "$HOME", "$$", "$(date)", "`date`", "a'b", 'a"b', "a\\b", "a\\", "\\%", "\\\\%n", "ü", "; x", "#c",
    "*", "~", "{{ x }}", "- a", "a: b", "\\x41",
)  # fmt: skip


def arguments(place: Installation) -> Installation:
    return replace(place, arguments=tuple(f"--param=x={value}" for value in ODD))


def as_cron_reads(line: str, *, drops_backslashes: bool) -> str:
    """Return the command that cron passes to its shell: it ends at a percent sign without a backslash."""
    kept = "%\\\\" if drops_backslashes else "%"
    found = re.match(r"(?:[^%\\]|\\.)*", line)
    assert found is not None
    return re.sub(r"\\(.)", lambda match: match[1] if match[1] in kept else match[0], found[0])


@pytest.mark.parametrize("drops_backslashes", [False, True])
def test_a_shell_of_cron_receives_the_words(drops_backslashes: bool) -> None:  # noqa: FBT001 - a parameter
    place = arguments(replace(PLACE, directory=None))
    [table] = cron_table.render([job("15 2 * * *", "UTC")], place).values()
    command = as_cron_reads(table.splitlines()[-1].removeprefix("15 2 * * *  "), drops_backslashes=drops_backslashes)
    assert shlex.split(command)[4:] == [f"--param=x={value}" for value in ODD]


def test_kubernetes_expands_no_word() -> None:
    [text] = SCHEDULERS["kubernetes"].render([job("15 2 * * *", "UTC")], arguments(PLACE)).values()
    [container] = yaml.safe_load(text)["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["command"][4:] == [f"--param=x={value.replace('$', '$$')}" for value in ODD]


def test_systemd_splits_no_word() -> None:
    units = SCHEDULERS["systemd"].render([job("15 2 * * *", "UTC")], arguments(PLACE))
    [line] = [line for line in units["nightly.service"].splitlines() if line.startswith("ExecStart=")]
    words = shlex.split(line.removeprefix("ExecStart="))
    assert words[4:] == [f"--param=x={value.replace('$', '$$').replace('%', '%%')}" for value in ODD]


@pytest.mark.parametrize("target", ["kubernetes", "github"])
@pytest.mark.parametrize("name", ["y", "N", "1e3", "0o17", "1", "null", "no"])
def test_a_name_is_a_string_for_every_reader_of_yaml(name: str, target: str) -> None:
    [text] = SCHEDULERS[target].render([job("15 2 * * *", "UTC", name=name, title=name)], PLACE).values()
    assert re.search(rf"^ *(?:- )?name: '{name}'$", text, re.MULTILINE)


def test_a_title_of_github_is_not_taken_for_a_key() -> None:
    [text] = SCHEDULERS["github"].render([job("15 2 * * *", "UTC", title="x'on':y")], PLACE).values()
    assert "name: x'on':y\non:\n" in text


def test_a_name_with_a_dash_is_not_an_option(tmp_path: Path, settings: Any) -> None:
    settings.RUNBOOK = {"DIRS": [tmp_path]}
    (tmp_path / "-x.yml").write_text('name: "a\\e[1mb"\nschedule: 15 2 * * *\nsteps: [noop]\n')
    for target in SCHEDULERS:
        text = "".join(render((), target, PLACE).values())
        assert re.search(r"[ \"]\./-x\.yml\b", text), target
        assert "\x1b" not in text, target


@pytest.mark.parametrize("seconds", [0.5, 1.25, 300, 86_400 * 400])
def test_systemd_reads_each_jitter(seconds: float) -> None:
    found = job("15 2 * * *", "UTC", schedule=schedule("15 2 * * *", "UTC", jitter=seconds))
    timer = SCHEDULERS["systemd"].render([found], PLACE)["nightly.timer"]
    [text] = re.findall(r"^RandomizedDelaySec=([0-9.]+)$", timer, re.MULTILINE)
    assert float(text) == seconds


@pytest.mark.parametrize(
    ("cron", "count"),
    [
        ("0 4 1-29 2 MON", 1),
        ("0 4 31 4 MON", 1),
        ("0 4 30,31 2 MON", 1),
        ("0 4 1-30 4,5 MON", 2),
        ("0 4 1 4 MON", 2),
        ("0 4 29 2 *", 1),
    ],
)
def test_celery_accepts_each_entry(cron: str, count: int) -> None:
    [text] = celery_beat.render([job(cron, "UTC")], PLACE).values()
    values: dict[str, Any] = {}
    exec(text, values)
    entries = values["CELERY_BEAT_SCHEDULE"]
    assert [type(entry["schedule"]) for entry in entries.values()] == [crontab] * count


@pytest.mark.parametrize(
    ("target", "option", "value", "is_valid"),
    [
        ("systemd", "python", "venv/bin/python", False),
        ("systemd", "python", "python3", True),
        ("systemd", "directory", "srv", False),
        ("systemd", "directory", "/srv\\", False),
        ("systemd", "directory", "/srv/a b", True),
        ("systemd", "env_file", "desk.env", False),
        ("systemd", "env_file", "-/etc/desk.env", True),
        ("systemd", "user", "desk admin", False),
        ("crontab", "user", "desk admin", False),
        ("crontab", "directory", "srv", True),
        ("kubernetes", "directory", "srv", False),
        ("kubernetes", "namespace", "Ops", False),
        ("kubernetes", "secret", "desk.env", True),
    ],
)
def test_an_option_that_a_scheduler_cannot_read_is_refused(
    target: str,
    option: str,
    value: str,
    is_valid: bool,  # noqa: FBT001 - a parameter
) -> None:
    given = {**dict.fromkeys(SCHEDULERS[target].required, "x"), option: value}
    if is_valid:
        refuse_options(target, given)
        return
    with pytest.raises(InvalidUsage, match=rf"does not work with --to {target}: it must be ") as caught:
        refuse_options(target, given)
    assert str(caught.value).startswith(f'--{option.replace("_", "-")} "{value}" ')
