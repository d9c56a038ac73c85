"""The reporters of the Flight desk by what they send to the receiver of the example, which prints it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from django_runbook import conf, configured_reporters
from flightdesk.reporters import reporters, set_up_sentry
from tests.documentation import DOCS
from tests.patience import LONG_PATIENCE_SECONDS, PATIENCE_SECONDS

EXAMPLE = Path(__file__).parent.parent.parent / "example_project"
NAMES = {
    "FLIGHTDESK_PING": "heartbeat",
    "FLIGHTDESK_WEBHOOK": "incidents",
    "FLIGHTDESK_NOTIFY": "team",
    "FLIGHTDESK_SENTRY": "crons",
    "FLIGHTDESK_TRACES": "traces",
    "FLIGHTDESK_LOG": "log",
}


def receiver() -> Any:
    """Return the module of the receiver, which is a script of the example."""
    import receiver

    return receiver


# Apprise imports a module of Python that is deprecated.
@pytest.mark.filterwarnings("ignore:'imghdr'")
def test_each_reporter_has_its_variable_and_is_valid(settings: Settings, tmp_path: Path) -> None:
    assert set(reporters({}, metrics=tmp_path)) == {"metrics"}
    environ = {**receiver().variables("127.0.0.1:1"), "FLIGHTDESK_LOG": str(tmp_path / "log")}
    assert set(environ) == set(NAMES)
    for variable, name in NAMES.items():
        assert set(reporters({variable: environ[variable]}, metrics=tmp_path)) == {"metrics", name}
    settings.RUNBOOK = {"REPORTERS": reporters(environ, metrics=tmp_path)}
    assert len(configured_reporters.make_all(conf.read())) == 7


@pytest.mark.slow
def test_the_packages_of_the_extras_are_imported_for_their_variable_only() -> None:
    code = "import sys, flightdesk.settings; print({'apprise', 'opentelemetry', 'sentry_sdk'} & set(sys.modules))"
    found = {}
    for variables in ({}, {"FLIGHTDESK_SENTRY": "http://key@127.0.0.1:1/1"}):
        run = {**os.environ, "PYTHONPATH": str(EXAMPLE), **variables}
        done = subprocess.run([sys.executable, "-c", code], env=run, capture_output=True, text=True, check=True)
        found[len(variables)] = done.stdout.strip()
    assert found[0] == "set()"
    assert "sentry_sdk" in found[1]
    assert "apprise" not in found[1]
    # Nothing to set up.
    set_up_sentry({})


def test_the_page_about_notifications_lists_each_variable() -> None:
    page = (DOCS / "guide" / "notifications.md").read_text()
    source = (EXAMPLE / "flightdesk" / "reporters.py").read_text()
    assert set(NAMES) == set(re.findall(r"FLIGHTDESK_[A-Z]+", source))
    assert set(re.findall(r"^\| `(FLIGHTDESK_[A-Z]+)", page, re.MULTILINE)) == set(NAMES)


@pytest.mark.slow
def test_the_receiver_shows_what_it_receives() -> None:
    shown: list[str] = []
    with receiver().new_server(shown.append, port=0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for path, kind, body in (("/text", "text/plain", "a\nb"), ("/json", "application/json", json.dumps({"ü": 1}))):
            request = urllib.request.Request(
                f"http://127.0.0.1:{server.server_port}{path}", body.encode(), {"Content-Type": kind}
            )
            urllib.request.urlopen(request, timeout=PATIENCE_SECONDS).close()
        server.shutdown()
    assert shown == ["POST /text\n  a\n  b", 'POST /json\n  {\n    "ü": 1\n  }']


@pytest.mark.slow
def test_a_failed_run_reaches_everybody(tmp_path: Path) -> None:
    log = tmp_path / "runs.log"
    words = [sys.executable, str(EXAMPLE / "manage.py"), "run_runbook", "daily.yml", "--param", "file=none.csv.gz"]
    done = subprocess.run(
        [sys.executable, str(EXAMPLE / "receiver.py"), *words],
        cwd=tmp_path,
        env={
            **os.environ,
            "FLIGHTDESK_VAR": str(tmp_path),
            "FLIGHTDESK_LOG": str(log),
            "DJANGO_SETTINGS_MODULE": "flightdesk.settings",
        },
        capture_output=True,
        text=True,
        timeout=LONG_PATIENCE_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, ""), done.stdout
    _, *arrived = re.split(r"^POST ", done.stdout, flags=re.MULTILINE)
    paths = [text.splitlines()[0].partition("?")[0] for text in arrived]
    assert {"/ping/flight-desk-daily/start", "/ping/flight-desk-daily/1", "/webhook", "/notify"} <= set(paths)
    webhook, notice = (json.loads(arrived[paths.index(path)].partition("\n")[2]) for path in ("/webhook", "/notify"))
    assert webhook["title"] == notice["title"] == "Flight desk, daily failed"
    assert (webhook["occasions"], notice["type"]) == (["failure"], "failure")
    check_ins = [
        text.split("\n")[1].split()[:2] for text, path in zip(arrived, paths, strict=True) if "/envelope/" in path
    ]
    assert [one for one in check_ins if len(one) == 2] == [
        ["desk-flight-desk-daily", "in_progress"],
        ["desk-flight-desk-daily", "error"],
    ]
    names = [line[2:44].rstrip() for line in arrived[paths.index("/v1/traces")].rstrip().splitlines()[1:]]
    assert names == [
        "RUN Flight desk, daily",
        "├─ migrate",
        "├─ Import data",
        "│  ├─ reference_data",
        "│  └─ Import none.csv.gz",
        "└─ notify_operations",
    ]
    assert "cicd.pipeline.run.errors ({error})" in done.stdout
    lines = log.read_text().splitlines()
    assert lines[0].startswith("INFO Flight desk, daily: 12 steps (")
    assert lines[-1].startswith("ERROR Flight desk, daily: failed: 3 succeeded, 1 failed, 9 not run in ")
    assert (tmp_path / "metrics" / "daily.yml.prom").is_file()
