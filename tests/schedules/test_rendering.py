from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml

from django_runbook.exceptions import InvalidRunbook, InvalidUsage
from django_runbook.schedules.job import Installation
from django_runbook.schedules.rendering import in_one_text, render, stale_files, write
from django_runbook.schedules.schedulers import SCHEDULERS
from django_runbook.structs import replace

FOLDER: Final = Path(__file__).parent
PLACE: Final = Installation(python="/srv/desk/venv/bin/python", manage="manage.py", directory="/srv/100 %")
PLACES: Final = {
    "crontab": replace(PLACE, user="desk", mailto="ops@example.com"),
    "systemd": replace(PLACE, user="desk", env_file="/etc/desk.env", on_failure="alert@%n.service"),
    "kubernetes": Installation(
        python="python", manage="manage.py", image="desk:1", namespace="ops", secret="desk", arguments=("--strict",)
    ),
    "celery-beat": Installation(
        python="python", manage="manage.py", task="desk.tasks.run_runbook", arguments=("--strict",)
    ),
    "github": Installation(python="python", manage="manage.py", setup="pip install -r requirements.txt"),
}
# What Kubernetes requires of a CronJob, as far as it is rendered: a key that it does not know is refused.
CRON_JOB: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "batch/v1"},
        "kind": {"const": "CronJob"},
        "metadata": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "properties": {
                "name": {"pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "maxLength": 52},
                "namespace": {"type": "string"},
            },
        },
        "spec": {
            "type": "object",
            "required": ["schedule", "jobTemplate"],
            "additionalProperties": False,
            "properties": {
                "schedule": {"type": "string", "pattern": r"^(\S+ ){4}\S+$"},
                "timeZone": {"type": "string"},
                "concurrencyPolicy": {"enum": ["Allow", "Forbid", "Replace"]},
                "startingDeadlineSeconds": {"type": "integer", "minimum": 10},
                "jobTemplate": {
                    "type": "object",
                    "properties": {
                        "spec": {
                            "type": "object",
                            "required": ["template"],
                            "additionalProperties": False,
                            "properties": {
                                "backoffLimit": {"type": "integer"},
                                "template": {
                                    "type": "object",
                                    "required": ["spec"],
                                    "additionalProperties": False,
                                    "properties": {"spec": {"$ref": "#/definitions/pod"}},
                                },
                            },
                        }
                    },
                },
            },
        },
    },
    "definitions": {
        "pod": {
            "type": "object",
            "required": ["containers", "restartPolicy"],
            "additionalProperties": False,
            "properties": {
                "restartPolicy": {"enum": ["Never", "OnFailure"]},
                "terminationGracePeriodSeconds": {"type": "integer"},
                "containers": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name", "image"],
                        "additionalProperties": False,
                        "properties": {
                            "name": {"pattern": "^[a-z0-9-]+$", "maxLength": 63},
                            "image": {"type": "string"},
                            "command": {"type": "array", "items": {"type": "string"}},
                            "workingDir": {"type": "string"},
                            "envFrom": {"type": "array"},
                        },
                    },
                },
            },
        }
    },
}


@pytest.fixture(autouse=True)
def dirs(settings: Any) -> None:
    settings.RUNBOOK = {"DIRS": [FOLDER / "runbooks"]}


@pytest.mark.parametrize("target", SCHEDULERS)
def test_the_files_are_the_golden_ones(target: str) -> None:
    text = in_one_text(render((), target, PLACES[target]), target)
    path = FOLDER / "rendered" / f"{target}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing: apt-get install systemd"
)
def test_the_units_are_those_of_systemd(tmp_path: Path) -> None:
    # It looks for what a unit names.
    place = Installation(python="/bin/sh", manage="manage.py", directory="/", user="root", env_file="/dev/null")
    units = render((), "systemd", place)
    for name, text in units.items():
        (tmp_path / name).write_text(text)
    call = ["systemd-analyze", "verify", *(str(tmp_path / name) for name in units)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_the_manifests_are_those_of_kubernetes() -> None:
    documents = list(yaml.safe_load_all(in_one_text(render((), "kubernetes", PLACES["kubernetes"]), "kubernetes")))
    assert len(documents) == 3
    for document in documents:
        jsonschema.validate(document, CRON_JOB)


@pytest.mark.parametrize(
    ("target", "schedule", "message"),
    [
        ("kubernetes", "0 4 1 * */2", 'Kubernetes cannot express "0 4 1 * */2"'),
        ("github", "0 4 */2 * MON", 'GitHub cannot express "0 4 */2 * MON"'),
        ("github", "*/4 * * * *", '"*/4 * * * *" starts 4 min apart'),
        ("github", "0,58 * * * *", '"0,58 * * * *" starts 2 min apart'),
    ],
)
def test_what_a_scheduler_cannot_express_is_refused(
    target: str, schedule: str, message: str, tmp_path: Path, settings: Any
) -> None:
    settings.RUNBOOK = {"DIRS": [tmp_path]}
    (tmp_path / "a.yml").write_text(f'schedule: "{schedule}"\nsteps: [noop]\n')
    with pytest.raises(InvalidUsage, match=r"^a\.yml: ") as caught:
        render((), target, PLACES[target])
    assert message in str(caught.value)


def test_a_long_name_is_refused_by_kubernetes_alone(tmp_path: Path, settings: Any) -> None:
    settings.RUNBOOK = {"DIRS": [tmp_path]}
    (tmp_path / f"{'a' * 53}.yml").write_text("schedule: 15 2 * * *\nsteps: [noop]\n")
    with pytest.raises(InvalidUsage, match="the name of a CronJob has at most 52 letters"):
        render((), "kubernetes", PLACES["kubernetes"])
    assert len(render((), "systemd", PLACES["systemd"])) == 2


def test_a_title_stays_in_its_line(tmp_path: Path, settings: Any) -> None:
    settings.RUNBOOK = {"DIRS": [tmp_path]}
    (tmp_path / "a.yml").write_text('name: "A\\nB\\\\"\nschedule: 15 2 * * *\nsteps: [noop]\n')
    [service, _] = render((), "systemd", PLACE).values()
    assert "Description=A B\nAfter" in service


def test_a_file_that_is_not_text_is_out_of_date(tmp_path: Path) -> None:
    (tmp_path / "runbooks").write_bytes(b"\xff")
    rendered = render((), "crontab", PLACE)
    assert list(stale_files(rendered, tmp_path)) == [f'"{tmp_path / "runbooks"}" is out of date']
    write(rendered, tmp_path)
    assert list(stale_files(rendered, tmp_path)) == []


def test_beat_has_one_time_zone(tmp_path: Path, settings: Any) -> None:
    settings.RUNBOOK = {"DIRS": [tmp_path]}
    for name, zone in (("a", "Europe/Berlin"), ("b", "UTC")):
        (tmp_path / f"{name}.yml").write_text(f"schedule: {{cron: 15 2 * * *, timezone: {zone}}}\nsteps: [noop]\n")
    with pytest.raises(InvalidUsage, match="these schedules have Europe/Berlin, UTC"):
        render((), "celery-beat", PLACES["celery-beat"])


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({"a.yml": "steps: [noop]\n"}, InvalidUsage, 'no runbook of this project has a "schedule"'),
        ({"a.yml": "schedule: '@daily'\nsteps: [noop]\n"}, InvalidRunbook, "has errors: see check_runbooks"),
        (
            {"a.yml": "schedule: 15 2 * * *\nparams: {day: {type: date}, n: {type: integer}}\nsteps: [noop]\n"},
            InvalidUsage,
            "it needs a value for day, n; declare a default",
        ),
        (
            {"a b.yml": "schedule: 15 2 * * *\nsteps: [noop]\n", "a_b.yml": "schedule: 15 2 * * *\nsteps: [noop]\n"},
            InvalidUsage,
            'a b.yml and a_b.yml would both be called "a-b"',
        ),
        (
            {"a\nb.yml": "schedule: 15 2 * * *\nsteps: [noop]\n"},
            InvalidUsage,
            r"'a\nb.yml': its name has a character that is not printable, which no scheduler accepts",
        ),
        ({"ü.yml": "schedule: 15 2 * * *\nsteps: [noop]\n"}, InvalidUsage, "ü.yml: its name has no letter or digit"),
    ],
)  # fmt: skip
def test_runbooks_that_no_scheduler_can_start_are_refused(
    files: dict[str, str], error: type[Exception], message: str, tmp_path: Path, settings: Any
) -> None:
    settings.RUNBOOK = {"DIRS": [tmp_path]}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(error) as caught:
        render((), "crontab", PLACE)
    assert message in str(caught.value)


def test_a_named_file_must_have_a_schedule() -> None:
    with pytest.raises(InvalidUsage, match=r'by_hand\.yml has no "schedule"'):
        render(["by_hand"], "crontab", PLACE)


def test_a_parameter_may_be_among_the_arguments(tmp_path: Path, settings: Any) -> None:
    settings.RUNBOOK = {"DIRS": [tmp_path]}
    (tmp_path / "a.yml").write_text("schedule: 15 2 * * *\nparams: {n: {type: integer}}\nsteps: [noop]\n")
    [text] = render((), "crontab", replace(PLACE, arguments=("--param", "n=1"))).values()
    assert "run_runbook a.yml --param n=1\n" in text


def test_a_schedule_without_a_zone_is_in_that_of_the_project(tmp_path: Path, settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    settings.RUNBOOK = {"DIRS": [tmp_path]}
    (tmp_path / "a.yml").write_text("schedule: 15 2 * * *\nsteps: [noop]\n")
    [_, timer] = render((), "systemd", PLACE).values()
    assert "OnCalendar=*-*-* 02:15:00 Asia/Tokyo\n" in timer
