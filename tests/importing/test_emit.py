from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_runbook.document.syntax import source
from django_runbook.document.validation import validate
from django_runbook.importing.draft import Note, RunbookDraft, StepDraft
from django_runbook.importing.emit import comment, emit

# Most characters are drawn so rarely that one which a file may not contain would be found once in a hundred runs.
ODD = "\ufdd0\ufdd1\ufdef\ufeff\ufffe\uffff\x00\x1b\x7f\x85\xa0\xad\u2028\u202e\U0001fffe"
texts = st.text(st.characters(codec="utf-8") | st.sampled_from(ODD), max_size=40)
notes = st.builds(Note, line=st.integers(0, 3), text=texts, subject=texts, source=texts, is_open=st.booleans())


@given(first=notes, second=notes, third=notes, description=texts)
def test_any_comment_stays_a_comment(first: Note, second: Note, third: Note, description: str) -> None:
    inner = StepDraft(line=1, command="noop --x 'a b'", notes=(second,))
    step = StepDraft(line=1, steps=(second, inner, third), notes=(first,))
    draft = RunbookDraft(stem="some", line=1, entries=(first, step, third), notes=(first,), description=description)
    read, problems = source.decode(emit(draft).encode(), name="some.yml")
    assert problems == []
    runbook, found = validate.load(read)
    assert found == []
    assert runbook is not None
    assert len(runbook.block.steps) == 1


@pytest.mark.parametrize(
    ("note", "lines"),
    [
        (Note(line=0, text="As it is"), ["# As it is"]),
        (Note(line=3, text="why"), ["# line 3: why"]),
        (Note(line=3, subject="cd  /x", text="why"), ["# line 3, `cd /x`: why"]),
        (Note(line=3, text="why", source="a\n  b", is_open=True), ["# TODO line 3: why", "#   a", "#     b"]),
        (Note(line=3, text="why", source="PGPASSWORD=x API_KEY='a b' N=1 run"), ["# line 3: why", "#   PGPASSWORD=*** API_KEY=*** N=1 run"]),
        (Note(line=3, subject="TOKEN=$X", text="see http://me:pw@host/"), ["# line 3, `TOKEN=$X`: see http://me:***@host/"]),
        (Note(line=3, text="\ufdd0", source="a\uffffb\xa0c"), ["# line 3: \\ufdd0", "#   a\\uffffb\xa0c"]),
        (Note(line=3, text="a\x1b[31mb\x07", source="\tx\x85y"), ["# line 3: ab", "#       x", "#   y"]),
    ],
)  # fmt: skip
def test_a_comment_has_its_line_and_no_secret(note: Note, lines: list[str]) -> None:
    assert comment(note, indent=0) == lines
