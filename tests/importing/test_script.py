from __future__ import annotations

import re
import textwrap

import pytest

from django_runbook.importing.emit import emit
from django_runbook.importing.problems import CannotImport
from django_runbook.importing.script import import_script


def imported(script: str) -> str:
    """The keys and the steps of the runbook, without its comments."""
    text = emit(import_script(textwrap.dedent(script), name="some.sh", stem="some"))
    return re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE)


def todos(script: str) -> list[str]:
    text = emit(import_script(textwrap.dedent(script), name="some.sh", stem="some"))
    return re.findall(r"TODO line (.*)", text)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("./manage.py a; ./manage.py b", "fail_fast: false\nsteps:\n  - a\n  - b\n"),
        ("set -e\n./manage.py a\n./manage.py b", "steps:\n  - a\n  - b\n"),
        ("#!/bin/sh -eu\n./manage.py a\n./manage.py b", "steps:\n  - a\n  - b\n"),
        ("export A=b\n./manage.py a\nC=d ./manage.py b", 'fail_fast: false\nvars:\n  a: b\ndefaults: {env: {A: "${{ vars.a }}"}}\nsteps:\n  - a\n  - command: b\n    env: {A: "${{ vars.a }}", C: d}\n'),
        ("if ! ./manage.py a; then\n  ./manage.py b\n  exit 1\nfi", "steps:\n  - a\non_failure:\n  - b\n"),
        ("/usr/bin/test $(date +%V) -eq 2 && ./manage.py a", 'steps:\n  - command: a\n    when: (today.strftime("%V") | int) == 2\n'),
        ("./manage.py a | /usr/bin/logger -t x", "steps:\n  - a\n"),
        ("set -e\nsh -c './manage.py a; ./manage.py b'\n./manage.py c", "steps:\n  - steps:\n      - command: a\n        continue_on_error: true\n      - b\n  - c\n"),
        ("./manage.py a || true", "steps:\n  - command: a\n    continue_on_error: true\n"),
        ("./manage.py a --x=$1", "params:\n  arg1: {type: string}\nsteps:\n  - a --x=${{ params.arg1 }}\n"),
        ("DAY=${1:-5}\n./manage.py a $DAY", 'params:\n  day: "5"\nsteps:\n  - a ${{ params.day }}\n'),
        ("X='a b'\n./manage.py a \"$X\" $X", "vars:\n  x: a b\nsteps:\n  - a ${{ vars.x }} a b\n"),
        ("OPTIONS='--fast -v 0'\n./manage.py a $OPTIONS", "steps:\n  - a --fast -v 0\n"),
        ("X=1\n./manage.py a $X\nX=2\n./manage.py a $X", "fail_fast: false\nsteps:\n  - a 1\n  - a 2\n"),
        ("./manage.py a ${REGION:-eu}", "env: [{name: REGION, default: eu}]\nsteps:\n  - a ${{ env.REGION }}\n"),
        ("set -u\n./manage.py a $REGION", "env: [REGION]\nsteps:\n  - a ${{ env.REGION }}\n"),
        ("./manage.py a $SMTP_PASSWORD", "secrets: [SMTP_PASSWORD]\nsteps:\n  - a ${{ secrets.SMTP_PASSWORD }}\n"),
        ("./manage.py a 'x|y' '|' \"it's\"", """steps:\n  - a 'x|y' ${{ "|" }} "it's"\n"""),
        ("./manage.py --settings=a.b a --traceback", "steps:\n  - a --traceback\n"),
        ("./manage.py dumpdata > /b/d-$(date +%F).json", "steps:\n  - dumpdata --output=/b/d-${{ today }}.json\n"),
        ("echo yes | ./manage.py a", "steps:\n  - command: a\n    stdin: |\n      yes\n"),
        ("printf 'a\\nb' | ./manage.py a", "steps:\n  - command: a\n    stdin: |-\n      a\n      b\n"),
        ("./manage.py a <<'EOF'\nx $Y\n  z\nEOF", "steps:\n  - command: a\n    stdin: |\n      x $Y\n        z\n"),
        ("./manage.py a <<< \"$HOME\"", "env: [{name: HOME, default: \"\"}]\nsteps:\n  - command: a\n    stdin: |\n      ${{ env.HOME }}\n"),
        ("trap './manage.py c' EXIT\ntrap './manage.py b' ERR\n./manage.py a", "steps:\n  - a\non_failure:\n  - b\nfinally:\n  - c\n"),
        ("./manage.py a || { ./manage.py b; exit 1; }", "steps:\n  - a\non_failure:\n  - b\n"),
        ("for x in a b; do ./manage.py c --$x $x; done", "fail_fast: false\nsteps:\n  - command: c --${{ item }} ${{ item }}\n    for_each: [a, b]\n"),
        ("for x in 1 2; do for y in {1..3}; do ./manage.py c $x$y; done; done", 'fail_fast: false\nsteps:\n  - command: c ${{ item.x }}${{ item.y }}\n    for_each: {x: ["1", "2"], y: ["1", "2", "3"]}\n'),
        ("until ./manage.py a; do sleep 5; done", "steps:\n  - command: a\n    retry: {attempts: 1000, delay: 5s, backoff: 1, jitter: false}\n"),
        ("for i in 1 2; do\n  if ./manage.py a; then break; fi\n  sleep 1m\ndone", "steps:\n  - command: a\n    retry: {attempts: 2, delay: 1m, backoff: 1, jitter: false}\n"),
        ("set -e\n./manage.py a &\n./manage.py b &\nwait", "steps:\n  - fail_fast: false\n    parallel:\n      - a\n      - b\n"),
        ("./manage.py a\nif [ $? -ne 0 ]; then ./manage.py b; fi", "steps:\n  - id: a\n    command: a\n    continue_on_error: true\n  - command: b\n    when: steps.a.ignored\n"),
        ("[ $(date +%u) = 1 ] && ./manage.py a", "steps:\n  - command: a\n    when: today.isoweekday() == 1\n"),
        ('if [[ "$1" == full || -n "$2" ]]; then ./manage.py a; else ./manage.py b; fi', 'params:\n  arg1: {type: string}\n  arg2: {type: string}\nsteps:\n  - command: a\n    when: params.arg1 == "full" or params.arg2 != ""\n  - command: b\n    when: not (params.arg1 == "full" or params.arg2 != "")\n'),
        ("N=$(./manage.py a | jq -r .x.n)\n[ $N -ge 3 ] && ./manage.py b $N", "fail_fast: false\nsteps:\n  - id: a\n    command: a\n    capture: json\n  - command: b ${{ steps.a.output.x.n }}\n    when: (steps.a.output.x.n | int) >= 3\n"),
        ("m() { python manage.py \"$@\"; }\nm a 'b c'\nm d", "fail_fast: false\nsteps:\n  - a 'b c'\n  - d\n"),
        ("exit_code=0\n./manage.py a\nexit 0", "steps:\n  - a\n"),
        ("if [ -z \"$1\" ]; then exit 2; fi\n./manage.py a $1", "params:\n  arg1: {type: string}\nsteps:\n  - command: fail_run 'line 1, exit 2' --exit-code 2\n    when: params.arg1 == \"\"\n  - a ${{ params.arg1 }}\n"),
        ("set -e\nl() { exec 9>/l/x.lock; flock -n 9 || exit 1; }\nl\n./manage.py a\n./manage.py b", "lock: {name: x, on_conflict: fail}\nsteps:\n  - a\n  - b\n"),
        ("set -e\nmain() { { exec 9>/l/x.lock; flock 9; }; ./manage.py a; }\nmain \"$@\"", "lock: {name: x, on_conflict: wait}\nsteps:\n  - a\n"),
        ("f() { export X=1; }\nf\n./manage.py a", "steps:\n  - command: a\n    env: {X: \"1\"}\n"),
        ("export X=1\n./manage.py a\nX=2\n./manage.py b", "fail_fast: false\nsteps:\n  - command: a\n    env: {X: \"1\"}\n  - command: b\n    env: {X: \"2\"}\n"),
        ("set -e\n{ set +e; ./manage.py a; set -e; }\n./manage.py b", "steps:\n  - command: a\n    continue_on_error: true\n  - b\n"),
        ("set -e\nf() { set +e; ./manage.py a; }\nf\n./manage.py b\n./manage.py c", "steps:\n  - command: a\n    continue_on_error: true\n  - command: b\n    continue_on_error: true\n  - c\n"),
        ("f() { set -e; ./manage.py a; ./manage.py b; }\nf || true", "steps:\n  - continue_on_error: true\n    steps:\n      - command: a\n        continue_on_error: true\n      - b\n"),
        ("set -e\nexec ./manage.py a\n./manage.py b", "steps:\n  - a\n"),
        ("set -e\n./manage.py a & p=$!\n./manage.py b & q=$!\nwait $p\nwait $q || exit 1\n./manage.py c", "steps:\n  - fail_fast: false\n    parallel:\n      - a\n      - b\n  - c\n"),
        ("set -e\ncd /srv || { echo no; exit 1; }\n./manage.py a", "steps:\n  - a\n"),
    ],
)  # fmt: skip
def test_a_script_is_a_runbook(script: str, expected: str) -> None:
    assert imported(script) == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("./manage.py b *.csv", "the shell expands the pattern *.csv to names of files"),
        ("./manage.py b ~/x", "the shell expands the home folder in ~/x"),
        ("./manage.py b {a,b}", "the shell expands the braces in {a,b}"),
        ("./manage.py b $((1 + 2))", "the shell computes $((1 + 2))"),
        ("./manage.py b ${X%.*}", "the shell computes ${X%.*}"),
        ("./manage.py b $(hostname)", "the output of $(hostname) is known to the shell only"),
        ("./manage.py b < in.csv", "it reads a file (< in.csv): give the command an option for it"),
        ("./manage.py b > out.csv", "its output is data (out.csv): give the command an option that writes the"),
        ("! ./manage.py b", "! makes a failure a success: see continue_on_error"),
        ("case $1 in a) ./manage.py b;; esac", '"case" has no counterpart: write a step with "when" for each branch'),
        ("[ -f /x ] && ./manage.py b", "a test of files (-f) has no counterpart: let the command test it"),
        ("grep -q x y && ./manage.py b", "its condition is the exit code of a command that is not a management command"),
        ("./manage.py b | grep x", 'the output of the command is read by "grep": let the command do that, or write'),
        ("pg_dump desk", "not a management command: write one, or keep it in the shell before or after the run"),
        ("ssh host ./manage.py b", "a runbook runs on the host where it is started"),
        ("./manage.py runserver", "it does not end: start it where services are started"),
        ("while true; do ./manage.py b; done", "a loop while a command succeeds has no counterpart: see for_each and retry"),
        ("if true; then", "it cannot be read as shell: see line 2, column"),
        ("./manage.py b 'c d'\\ ", "a part of it is not read as the shell does: quote its spaces"),
        ("./manage.py b w'c d'$X-b", "the shell expands a part of w'c d'$X-b: put quotes around it"),
        ("./manage.py b ${X:-c d}", "the shell splits the default of $X into arguments: list them as a param"),
        ("./manage.py b 'x", "it cannot be read as shell: see line 2, column"),
        ('if [ "$1" = a ]; then exec ./manage.py b; fi; ./manage.py c', "exec ends the script, also with success: give the steps after it a condition"),
        ('if [ "$1" = a ]; then exec 9>/l; flock 9; fi', "the steps after this list hold this lock: add it to them, or to the file"),
        ("for x in 1 2; do ./manage.py b & done; wait", "it waits for commands of another list, or for none: see parallel"),
    ],
)  # fmt: skip
def test_what_has_no_counterpart_is_a_comment_with_its_reason(line: str, reason: str) -> None:
    found = todos(f"./manage.py a\n{line}\n")
    assert len(found) == 1
    assert found[0].startswith(f"2: {reason}"[: len(found[0])])


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("case $1 in a) X=1;; esac", "$X is set by line 1, which is not carried over"),
        ("read -p 'Which? ' X", "$X is set by line 1, which is not carried over"),
        ("while getopts x X; do :; done", "$X is set by line 1, which is not carried over"),
        ("((X++))", "$X is set by line 1, which is not carried over"),
        ("unset X", "$X is set by line 1, which is not carried over"),
        ("X+=1", "X is a list of the shell: use a param of type list"),
        ("X=$(hostname)", "the output of $(hostname) is known to the shell only"),
        ('if [ "$1" = a ]; then X=1; fi', "a variable that is set in a branch has no known value: set it in one place"),
    ],
)
def test_a_variable_with_an_unknown_value_is_not_one_of_the_environment(statement: str, reason: str) -> None:
    made = emit(import_script(f"{statement}\n./manage.py a\n./manage.py b $X\n", name="some.sh", stem="some"))
    assert f"# TODO line 3: {reason}\n  #   ./manage.py b $X\n" in made
    assert "env:" not in made


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("/opt/ready && ./manage.py a", "what follows && ran only if it succeeded"),
        ("[ -f /x ] || exit 1", "the steps below ran only if it did not end the script"),
    ],
)
def test_a_guard_that_is_not_carried_over_is_named(line: str, reason: str) -> None:
    made = emit(import_script(f"{line}\n./manage.py b\n", name="some.sh", stem="some"))
    assert reason in " ".join(made.replace("#", " ").split())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "some.sh: no management command in it can be carried over"),
        ("ls\n", "some.sh: no management command in it can be carried over; line 1: not a management command"),
        ("#!/usr/bin/env python3\nprint()\n", 'some.sh:1: it is a script of "python3", not of a shell'),
    ],
)
def test_a_script_without_steps_is_refused(text: str, message: str) -> None:
    with pytest.raises(CannotImport, match=re.escape(message)):
        import_script(text, name="some.sh", stem="some")


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("env -i A=1 ./manage.py a", "commands see the whole environment of the run"),
        ("env -u A ./manage.py a", "commands see the whole environment of the run"),
        ("f() { set -e; ./manage.py a; }\nf || true", "TODO line 1, `set -e`: the shell ignores it here"),
        (
            "set -e\nif [ x = $1 ]; then set +e; ./manage.py a; fi\n./manage.py b",
            "TODO line 2, `set -e or +e`: it changes",
        ),
        ("set -e\nset -x\n./manage.py a", "line 2, `set -x`: it configures the shell"),
    ],
)
def test_what_the_shell_does_differently_is_said(script: str, text: str) -> None:
    assert text in emit(import_script(script, name="some.sh", stem="some"))


def test_no_secret_is_written() -> None:
    text = "export DB_PASSWORD=hunter22\nPGPASSWORD='hunter 22' pg_dump x\nURL=postgres://u:hunter22@h/d\n./manage.py a $URL\n"
    made = emit(import_script(text, name="some.sh", stem="some"))
    assert "hunter" not in made
    assert "secrets: [URL]" in made
