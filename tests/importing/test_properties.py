"""Any text is imported, or refused with a reason and a place, and any import is a file that YAML can read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from django_runbook.document.syntax import source
from django_runbook.document.validation import validate
from django_runbook.importing.draft import Imported
from django_runbook.importing.emit import comment, emit
from django_runbook.importing.jobs import import_crontab
from django_runbook.importing.problems import CannotImport
from django_runbook.importing.script import import_script
from tests.examples import examples

# Pieces that a shell and cron give a meaning to.
PIECES: Final = (
    *(
        "./manage.py ",
        "python manage.py ",
        "migrate",
        "noop",
        "&&",
        "||",
        "|",
        ";",
        "&",
        "\n",
        " ",
        "'",
        '"',
        "`",
        "$(",
    ),
    *(")", "(", "{", "}", "[[", "]]", "[ ", " ]", "if ", "then ", "fi", "for x in ", "do ", "done", "while ", "case "),
    *(
        "esac",
        "<<EOF\n",
        "EOF\n",
        "<<<",
        ">",
        ">>",
        "2>&1",
        "$X",
        "${X:-",
        "${",
        "$1",
        "$@",
        "$?",
        "X=",
        "export ",
        "#",
    ),
    *(
        "* * * * * ",
        "@daily ",
        "%",
        "\\%",
        "\\",
        "flock -n /tmp/a ",
        "timeout 5 ",
        "sudo -u x ",
        "set -e",
        "trap ",
        "wait",
    ),
    *(
        "${{",
        "}}",
        "$${{",
        "\t",
        "é",
        "\x85",
        "\u2028",
        "function f ",
        "f() ",
        "exit 1",
        "date +%F",
        "break",
        "sleep 1",
    ),
    *(
        "&>",
        "~",
        "*",
        "!",
        "exec 9>",
        "su -c ",
        "sh -c ",
        "env A=b ",
        "echo ",
        "yes",
        "TZ=",
        "MAILTO=",
        "seq 1 3",
        "{1..3}",
    ),
)
texts = st.one_of(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), st.text(max_size=60))


def script(text: str) -> Imported:
    return Imported(drafts=(import_script(text, name="some.sh", stem="some"),))


def crontab(text: str) -> Imported:
    return import_crontab(text, name="some.cron")


@pytest.mark.parametrize("translate", [script, crontab])
@settings(max_examples=examples(150), deadline=None)
@given(text=texts)
@example(text="./manage.py a && " * 100 + "./manage.py b")
@example(text="(" * 200 + "./manage.py b" + ")" * 200)
@example(text="f() { f; }\nf\n./manage.py b")
@example(text="{\U000d638c\U0004b707")
def test_any_text_is_imported_or_refused(translate: Callable[[str], Imported], text: str) -> None:
    try:
        imported = translate(text)
    except CannotImport as reason:
        refusal, imported = str(reason), Imported(drafts=())
        event(refusal.partition(";")[0])
    else:
        refusal = "some."
    assert refusal.startswith("some.")
    for note in imported.leftovers:
        assert all(line.startswith("#") and line.isprintable() for line in comment(note, indent=0))
    for draft in imported.drafts:
        read, problems = source.decode(emit(draft).encode(), name="some.yml")
        assert problems == []
        runbook, found = validate.load(read)
        # What a step says is checked with its command; the file itself is well formed.
        assert runbook is not None, emit(draft)
        assert [one for one in found if one.code < "RB300"] == [], emit(draft)
