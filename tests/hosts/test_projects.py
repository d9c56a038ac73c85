"""Projects that set Django up in ways of their own: no step hangs, and steps are isolated where that can be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.runner.support import environ

pytestmark = pytest.mark.slow

RUNBOOK = """
steps:
  - {id: a, command: say one, capture: text, timeout: 30s}
  - {id: b, command: "say ${{ steps.a.output }}"}
  - parallel: [{id: c, command: say three}, {id: d, command: say four}]
finally: [{id: e, command: say five}]
"""
# Only a project with a script that runs commands can start it again.
WITH_VARIABLES = RUNBOOK.replace(
    "finally:", "  - {id: f, command: show_environment PLACE, env: {PLACE: here}}\nfinally:"
)
RUN = '"run_runbook", "test.yml"'
FROM_COMMAND_LINE = f"""
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", {RUN}, "--format", "plain", "--verbosity", "2"])
"""
FROM_CODE = f"""
import django
django.setup()
from django.core.management import call_command
call_command({RUN}, format="plain", verbosity=2)
"""
GEVENT = "from gevent import monkey\nmonkey.patch_all()\n"
# As error trackers, exporters of metrics and listeners of logging queues do it, in what all processes import.
THREADS = """
import logging.handlers, queue, socketserver, sys, threading
from tests.settings import *
def track():
    while True:
        EVENTS.get()
EVENTS = queue.Queue()
threading.Thread(target=track, daemon=True).start()
records = queue.Queue()
logging.getLogger().addHandler(logging.handlers.QueueHandler(records))
logging.handlers.QueueListener(records, logging.StreamHandler()).start()
exporter = socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler)
threading.Thread(target=exporter.serve_forever, daemon=True).start()
"""
CONFIGURATION = """
from configurations import Configuration
import tests.settings as base
class Production(Configuration):
    # Configuration has the settings of mail that Django 6.1 refuses beside MAILERS.
    locals().update({name: value for name, value in vars(base).items() if name.isupper() and name != "MAILERS"})
"""
CONFIGURE = """
import tests.settings as base
from django.conf import settings
settings.configure(**{name: value for name, value in vars(base).items() if name.isupper()})
"""
A_THREAD = "import threading, time\nthreading.Thread(target=time.sleep, args=[3600], daemon=True).start()\n"
INLINE = "all steps run in this process: "
# The project's script, its settings module, and the reason for which all of its steps are inline.
PROJECTS = {
    "gevent": (GEVENT + FROM_COMMAND_LINE, "", ""),
    "gevent in a greenlet": (
        GEVENT + "import gevent\ndef call():" + FROM_CODE.replace("\n", "\n    ") + "\ngevent.spawn(call).get()\n",
        "",
        "",
    ),
    "threads": (FROM_COMMAND_LINE, THREADS, ""),
    "configurations": (
        FROM_COMMAND_LINE.replace("django.core.management", "configurations.management"),
        CONFIGURATION,
        "",
    ),
    "configurations in a host": ("import configurations\nconfigurations.setup()\n" + FROM_CODE, CONFIGURATION, ""),
    "configure": (CONFIGURE + FROM_COMMAND_LINE, "", ""),
    "configure in a host with threads": (
        CONFIGURE + A_THREAD + FROM_CODE,
        "",
        "the settings exist only in this process, which has threads and cannot be forked",
    ),
}


@pytest.mark.parametrize("kind", PROJECTS)
def test_the_steps_of_a_project_run(tmp_path: Path, kind: str) -> None:
    script, module, reason = PROJECTS[kind]
    variables = environ() | {"RUNBOOK_TEST_ISOLATE": "1"}
    if module:
        (tmp_path / "own_settings.py").write_text(module)
        variables |= {"DJANGO_SETTINGS_MODULE": "own_settings"}
        variables["PYTHONPATH"] += f":{tmp_path}"
    if module is CONFIGURATION:
        variables["DJANGO_CONFIGURATION"] = "Production"
    if CONFIGURE in script:
        del variables["DJANGO_SETTINGS_MODULE"]
    (tmp_path / "manage.py").write_text(script)
    has_script = "execute_from_command_line" in script
    (tmp_path / "test.yml").write_text(WITH_VARIABLES if has_script else RUNBOOK)
    done = subprocess.run(
        [sys.executable, "manage.py"],
        cwd=tmp_path,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"succeeded: {6 if has_script else 5} succeeded" in done.stdout
    assert ("PLACE=here" in done.stdout) == has_script
    lines = [line.strip(" |") for line in done.stdout.splitlines()]
    assert [INLINE + reason] * bool(reason) == [line for line in lines if line.startswith(INLINE)]
    assert done.stderr == ""
