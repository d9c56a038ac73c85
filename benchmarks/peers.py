"""A sequence of 20 no-op commands as others would run it, beside a runbook, in processor time and in turns.

A crontab line or make starts a process of ``manage.py`` for each command. invoke and doit run their tasks in one
process, which has set Django up; they are left out if they are not installed.
"""

from __future__ import annotations

import importlib.util
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import processes
from benchmarks.table import Row, show

COUNT = 20
ROUNDS = 3

SET_UP = "import io, django; django.setup(); from django.core.management import call_command\n"
CALL = "call_command('noop', stdout=io.StringIO())"
INVOKE = f"""
{SET_UP}
from invoke import Program, Collection, task
def noop(context): {CALL}
tasks = Collection(*[task(noop, name=f"step{{number}}") for number in range({COUNT})])
Program(namespace=tasks).run(["invoke", *[f"step{{number}}" for number in range({COUNT})]])
"""
DOIT = f"""
{SET_UP}
import sys
from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain
def noop(): {CALL}
def task_steps():
    for number in range({COUNT}):
        yield {{"name": str(number), "actions": [noop]}}
sys.exit(DoitMain(ModuleTaskLoader({{"task_steps": task_steps}})).run(["run", "--verbosity", "0"]))
"""


def main() -> None:
    """Print the processor time of each way, as a ratio to that of a runbook with a process for each step."""
    processes.adopt_orphans()
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        environ = processes.environ_of(folder, PYTHONPYCACHEPREFIX=str(folder / "compiled"))
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        (folder / "noop.yml").write_text("steps:\n" + "  - noop\n" * COUNT)
        goals = "".join(f"step{number}: ; @{sys.executable} -m django noop\n" for number in range(COUNT))
        everything = " ".join(f"step{number}" for number in range(COUNT))
        (folder / "Makefile").write_text(f".PHONY: all {everything}\nall: {everything}\n{goals}")
        call = "subprocess.run([sys.executable, '-m', 'django', 'noop'], check=True)"
        manage = f"import subprocess, sys\nfor _ in range({COUNT}): {call}"
        make = "import subprocess; subprocess.run(['make', '-s'], check=True)"

        def run(*words: str) -> Callable[[], float]:
            return lambda: processes.python(words, environ, folder)

        ways = {
            "a runbook": run("-m", "django", "run_runbook", "noop.yml"),
            "a runbook with --inline": run("-m", "django", "run_runbook", "noop.yml", "--inline"),
            "a line of a crontab for each": run("-c", manage),
        }
        if shutil.which("make"):
            ways["make"] = run("-c", make)
        for name, code in (("invoke", INVOKE), ("doit", DOIT)):
            if importlib.util.find_spec(name) is not None:
                # doit reads the source of its tasks.
                (folder / f"{name}_tasks.py").write_text(code)
                ways[f"{name}, in its process"] = run(f"{name}_tasks.py")
        rounds = [{name: way() for name, way in ways.items()} for _ in range(ROUNDS + 1)][1:]
    for name in ways:
        ratio = statistics.median(one[name] / one["a runbook"] for one in rounds)
        seconds = statistics.median(one[name] for one in rounds)
        show(Row(f"{COUNT} commands that do nothing: {name}", ratio, "times a runbook", note=f"{seconds:.2f} s"))


if __name__ == "__main__":
    main()
