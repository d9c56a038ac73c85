"""Random scripts call the same commands, in the same order, in a shell and as imported runbooks."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

from django_runbook.importing.draft import RunbookDraft
from django_runbook.importing.emit import emit
from django_runbook.importing.finishing import open_count
from django_runbook.importing.problems import CannotImport
from django_runbook.importing.script import import_script
from django_runbook.testing import run
from tests.examples import examples
from tests.importing.stub_commands import installed

# Those with an odd number fail.
COMMANDS: Final = tuple(f"step{number}" for number in range(6))
ENVIRONMENT: Final = {"HOME": "home"}
STUB: Final = """#!/bin/sh
echo "$1" >> calls
shift_first=$1; shift; for one in "$@"; do printf '%s\\0' "$one"; done > arguments; set -- "$shift_first"
case "$1" in *[13579]) exit 1 ;; esac
"""


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
        st.sampled_from(("set -e", "set +e", "true", "echo done")),
        st.tuples(simple(), st.sampled_from(("&& echo done", "|| echo failed", "&& set -e", "|| set +e"))).map(
            " ".join
        ),
        st.tuples(st.sampled_from("({"), st.sampled_from("-+"), several, st.sampled_from("-+")).map(
            lambda parts: "{} set {}e; {}; set {}e; {}".format(*parts, {"(": ")", "{": "}"}[parts[0]])
        ),
        st.tuples(
            st.sampled_from("-+"), several, st.sampled_from(("", "&& ./manage.py step2", "|| ./manage.py step4"))
        ).map(lambda parts: f"{{ g{depth}() {{ set {parts[0]}e; {parts[1]}; }}; g{depth} {parts[2]}; }}"),
        simple().map(lambda text: f"exec {text}"),
        several.map(lambda text: f"sh -c '{text}'"),
    )


scripts = st.tuples(st.booleans(), st.lists(statements(), min_size=1, max_size=4)).map(
    lambda parts: ("set -e\n" if parts[0] else "") + "\n".join(parts[1]) + "\n"
)


# Pieces of words. No word begins with a dash, which would be an option of another command.
WORD_PIECES: Final = (
    *("a", "-b", "'c d'", '"e f"', "\\ ", "\\'", '"\\""', "'$X'", "$X", '"$X"', "${X}", "$Y", '"$Y"', "$V", '"$V"', "${Z:-i j}", '"${Z:-k  l}"'),
    *("''", '""', "=", "%", "é", "${{", "}}", "'${{ x }}'", '"$"', "'|'", "'*'", "$'m\\tn'", '"it\'s"', "$(echo o  p)", '"$(echo q)"'),
    *("{", "}", "\\$X", "@", ":", "#", "'#'", "1"),
)  # fmt: skip
words = st.lists(st.sampled_from(WORD_PIECES), min_size=1, max_size=4).map("".join)
command_lines = st.tuples(st.lists(words, min_size=1, max_size=3), st.booleans()).map(
    lambda parts: "\n".join(
        (
            "X='g  h'",
            "Y=y",
            'V="r  $HOME s"',
            'm() { ./manage.py step0 w "$@" w$1 "w$2"; }',
            f"{'m' if parts[1] else './manage.py step0'} w{' w'.join(parts[0])}",
            "",
        )
    )
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
    environment = {"PATH": os.environ["PATH"], **ENVIRONMENT}
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, check=False)
    return calls.read_text().split(), done.returncode == 0


def imported(script: str) -> RunbookDraft:
    """Import a script; skip one if a part of it has no counterpart."""
    try:
        draft = import_script(script, name="some.sh", stem="some")
    except CannotImport:
        reject()
    if open_count(draft):
        reject()
    return draft


def called_by_runbook(script: str, folder: Path) -> tuple[list[str], bool]:
    draft = imported(script)
    path = folder / "some.yml"
    path.write_text(emit(draft))
    steps = re.sub(r"^ *#.*\n", "", path.read_text(), flags=re.MULTILINE)
    fake = {name: int(name[-1]) % 2 for name in COMMANDS if f" {name}" in steps}
    if "fail_run" in path.read_text():
        fake["fail_run"] = 1
    done = run(path, fake=fake)
    return [call.command for call in done.calls if call.command != "fail_run"], done.exit_code == 0


IF: Final = "if [ a = b ]; then ./manage.py step0; elif [ a = a ]; then ./manage.py step1; fi"


@pytest.mark.slow
@pytest.mark.parametrize("last", ["set -e", "true", "echo done", "exit 0"])
@pytest.mark.parametrize("failing", ["./manage.py step1", IF, "./manage.py step1; ./manage.py step3"])
def test_a_subshell_succeeds_with_its_last_statement(failing: str, last: str, folder: Path) -> None:
    script = f"set -e\n( set +e; {failing}; {last}; )\n./manage.py step0\n"
    draft = import_script(script, name="some.sh", stem="some")
    assert not open_count(draft)
    with installed(dict.fromkeys(COMMANDS, ())):
        expected = called_by_shell(script, folder)
        assert expected[0][-1] == "step0"
        assert called_by_runbook(script, folder) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [
        "set -e\n./manage.py step1 && echo done\n./manage.py step0\n",
        "set -e\n./manage.py step1 || true && ./manage.py step2\n",
        "set -e\n{ ./manage.py step1 || true; } && ./manage.py step2\n./manage.py step0\n",
        "for x in 1 2; do set -e; ./manage.py step1; done\n./manage.py step0\n",
        "for x in 1 2; do for y in 1 2; do\n# first\nset -e; ./manage.py step1; done; done\n./manage.py step0\n",
        "set -e\nfor x in 1; do ./manage.py step0; set +e; done\n./manage.py step1\n./manage.py step2\n",
    ],
)
def test_what_a_failure_ends_is_what_it_ends_in_a_shell(script: str, folder: Path) -> None:
    assert not open_count(import_script(script, name="some.sh", stem="some"))
    with installed(dict.fromkeys(COMMANDS, ())):
        assert called_by_runbook(script, folder)[0] == called_by_shell(script, folder)[0]


@pytest.mark.parametrize(
    "script",
    [
        "./manage.py step1 && set -e\n./manage.py step0\n",
        "set -e\n./manage.py step1 || set +e\n./manage.py step0\n",
        "g() { set -e; ./manage.py step1; }\ng && ./manage.py step2\n./manage.py step0\n",
        "set -e\nfor x in 1 2; do ./manage.py step1; set +e; done\n./manage.py step0\n",
        "set -e\nfor x in 1 2; do for y in 1 2; do set -u; ./manage.py step1; set +e; done; done\n./manage.py step0\n",
    ],
)
def test_a_change_of_set_e_that_may_not_hold_is_a_comment_to_decide_on(script: str) -> None:
    assert open_count(import_script(script, name="some.sh", stem="some"))


@pytest.mark.parametrize("last", ["set -e", "true", "echo done"])
def test_a_judged_list_that_always_succeeds_is_left_out(last: str) -> None:
    draft = import_script(f"( ./manage.py step1; {last}; ) && ./manage.py step2\n", name="some.sh", stem="some")
    assert open_count(draft)
    assert "which always succeeds" in emit(draft)


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=scripts)
def test_a_runbook_calls_what_the_shell_calls(script: str, folder: Path) -> None:
    with installed(dict.fromkeys(COMMANDS, ())):
        expected, has_succeeded = called_by_shell(script, folder)
        found, is_good = called_by_runbook(script, folder)
    assert found == expected, (folder / "some.yml").read_text()
    assert has_succeeded or not is_good, (folder / "some.yml").read_text()


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=command_lines)
def test_a_command_gets_the_arguments_that_a_shell_gives_it(script: str, folder: Path) -> None:
    with installed({"step0": ("words",)}):
        called_by_shell(script, folder)
        expected = (folder / "arguments").read_text().split("\0")[:-1]
        # The stub has no options, but a word that is split may be one.
        assume(not any(argument.startswith("-") for argument in expected))
        draft = imported(script)
        path = folder / "some.yml"
        path.write_text(emit(draft))
        # A value of the run is not split, as a comment says.
        assume("the shell split" not in path.read_text())
        env = ENVIRONMENT if "env.HOME" in path.read_text() else {}
        (call,) = run(path, fake={"step0": 0}, env=env).calls
    assert list(call.argv) == expected, path.read_text()
