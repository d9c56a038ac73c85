"""Random scripts call the same commands, in the same order, in a shell and as imported runbooks."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

from django_runbook.importing.emit import emit
from django_runbook.importing.finishing import open_count
from django_runbook.importing.problems import CannotImport
from django_runbook.importing.script import import_script
from django_runbook.testing import run
from tests.importing.stub_commands import installed

# Those with an odd number fail.
COMMANDS: Final = tuple(f"step{number}" for number in range(6))
STUB: Final = """#!/bin/sh
echo "$1" >> calls
case "$1" in *[13579]) exit 1 ;; esac
"""
EVERY_WAY: Final = ("simple", "and", "or", "or_true", "or_exit", "if", "if_not", "braces", "for", "test")


def simple() -> st.SearchStrategy[str]:
    return st.sampled_from(COMMANDS).map(lambda name: f"./manage.py {name}")


def statements(depth: int = 2) -> st.SearchStrategy[str]:
    if not depth:
        return simple()
    inner = statements(depth - 1)
    several = st.lists(inner, min_size=1, max_size=2).map("; ".join)
    return st.one_of(
        simple(),
        st.tuples(simple(), inner).map(" && ".join),
        st.tuples(simple(), simple()).map(" || ".join),
        st.tuples(simple(), simple(), simple()).map(lambda parts: "{} && {} || {}".format(*parts)),
        simple().map(lambda text: f"{text} || true"),
        simple().map(lambda text: f"{text} || exit 1"),
        st.tuples(simple(), simple()).map(lambda parts: "{} || {{ {}; exit 1; }}".format(*parts)),
        st.tuples(simple(), several, several).map(lambda parts: "if {}; then {}; else {}; fi".format(*parts)),
        st.tuples(simple(), several).map(lambda parts: "if ! {}; then {}; fi".format(*parts)),
        several.map(lambda text: f"{{ {text}; }}"),
        several.map(lambda text: f"( {text} )"),
        several.map(lambda text: f"for x{depth} in 1 2; do {text}; done"),
        st.tuples(st.sampled_from(("=", "!=")), several).map(
            lambda parts: 'if [ "a" {} a ]; then {}; fi'.format(*parts)
        ),
        inner.map(lambda text: f"[ a = a ] && {text}"),
        st.tuples(simple(), st.sampled_from(("-ne", "-eq")), several).map(
            lambda parts: "{}\nif [ $? {} 0 ]; then {}; fi".format(*parts)
        ),
        st.tuples(st.booleans(), several, several).map(
            lambda parts: "if [ a = {} ]; then {}; elif [ a = a ]; then {}; fi".format("ba"[parts[0]], *parts[1:])
        ),
        st.tuples(several, st.sampled_from(("return 1", "exit 1", "true"))).map(
            lambda parts: f"{{ f{depth}() {{ {parts[0]} || {parts[1]}; ./manage.py step0; }}; f{depth}; }}"
        ),
        st.sampled_from(("set -e", "set +e")),
        several.map(lambda text: f"sh -c '{text}'"),
    )


scripts = st.tuples(st.booleans(), st.lists(statements(), min_size=1, max_size=4)).map(
    lambda parts: ("set -e\n" if parts[0] else "") + "\n".join(parts[1]) + "\n"
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        stub = Path(name, "manage.py")
        stub.write_text(STUB)
        stub.chmod(0o755)
        yield Path(name)


def called_by_shell(script: str, folder: Path) -> tuple[list[str], bool]:
    calls = folder / "calls"
    calls.write_text("")
    done = subprocess.run(["bash", "-c", script], cwd=folder, check=False)
    return calls.read_text().split(), done.returncode == 0


def called_by_runbook(script: str, folder: Path) -> tuple[list[str], bool]:
    """Run the imported runbook; skip a script if a part of it has no counterpart."""
    try:
        draft = import_script(script, name="some.sh", stem="some")
    except CannotImport:
        reject()
    assume(not open_count(draft))
    path = folder / "some.yml"
    path.write_text(emit(draft))
    fake = {name: int(name[-1]) % 2 for name in COMMANDS if f" {name}" in path.read_text()}
    if "fail_run" in path.read_text():
        fake["fail_run"] = 1
    done = run(path, fake=fake)
    return [call.command for call in done.calls if call.command != "fail_run"], done.exit_code == 0


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=scripts)
def test_a_runbook_calls_what_the_shell_calls(script: str, folder: Path) -> None:
    with installed(dict.fromkeys(COMMANDS, ())):
        expected, has_succeeded = called_by_shell(script, folder)
        found, is_good = called_by_runbook(script, folder)
    assert found == expected, (folder / "some.yml").read_text()
    assert has_succeeded or not is_good, (folder / "some.yml").read_text()
