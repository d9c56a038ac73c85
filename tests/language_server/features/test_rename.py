from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_runbook.document.outline import outline
from django_runbook.document.syntax import source
from django_runbook.document.validation import validate
from django_runbook.language_server.cursor.editor_text import EditorText
from django_runbook.language_server.features.questions import Question
from django_runbook.language_server.features.rename import RefusedRenameError, id_at, rename
from django_runbook.language_server.features.step_references import references_in
from tests.examples import examples
from tests.language_server.support import ask

FILE = """\
steps:
  - id: la¦te
    command: noop
    capture: json
  - command: noop "${{ steps.late.output.total }} ${{ steps["late"].output }}"
    when: steps.late.status == "succeeded" and steps . late . ignored
    name: Late
finally:
  - noop ${{ steps.get("late") }} late
"""
# Ways to write a reference to a step in one word of a command line.
REFERENCES = [
    "steps.{}.id",
    "steps['{}'].id",
    "steps . {} . name",
    "steps.{}.status | upper",
    "(steps.{}.id ~ 1) | lower",
]
STYLES = [
    "  - noop é😀${{{{ {} }}}}",
    "  - 'noop 😀 ${{{{ {} }}}}'",
    '  - "noop \\"😀\\" ${{{{ {} }}}}"',
    "  - command: noop\n    when: {} == 1",
]
IDS = ["a", "b1", "late", "a_b", "steps", "id"]


def renamed(question: Question, new_id: str) -> str:
    text = question.text.text
    for edit in sorted(rename(question, new_id), key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def test_an_id_is_renamed_where_it_is_given_and_in_each_expression() -> None:
    expected = FILE.replace("¦", "").replace("late", "count").replace('get("count") }} count', 'get("count") }} late')
    assert renamed(ask(FILE), "count") == expected


@pytest.mark.parametrize("place", ["steps.la¦te.output.total", 'steps["lat¦e"]', "steps . ¦late", 'get("late¦")'])
def test_an_id_is_renamed_from_each_of_its_places(place: str) -> None:
    text = FILE.replace("¦", "")
    marked = text.replace(place.replace("¦", ""), place, 1)
    assert renamed(ask(marked), "count") == renamed(ask(FILE), "count")


@pytest.mark.parametrize(
    ("text", "new_id", "reason"),
    [
        (FILE, "Late", '"Late" is not an id: it must be a lower-case name'),
        (FILE, "", '"" is not an id'),
        (FILE, "noop", 'the id "noop" is taken'),
        ("steps:\n  - {id: a¦, command: noop}\n  - {id: b, command: noop}\n", "b", 'the id "b" is taken'),
        ("steps:\n  - noop\n  - noop ${{ steps.no¦op.id }}\n", "a", 'named after its command: give it an "id" first'),
        ("steps:\n  - noop\n  - id: x¦\n    command: [\n", "a", "fix the error in line 5 first"),
        ("steps:\n  - id: x¦\n    command: noop ${{ steps. }}\n", "a", "fix the error in line 3 first"),
        ('steps:\n  - {id: x¦, command: noop}\n  - command: "noop ${{ steps[\'\\x78\'].id }}"\n', "a", '"x" is written with escapes in line 3'),
        ("steps:\n  - {id: noop¦, command: greet}\n  - noop\n", "a", 'this would rename the step "noop-2" to "noop"'),
        ("steps:\n  - id: x¦\n    command: noop\n  - run: noop ${{ steps.x.id }}\n", "a", "fix the error in line 4 first"),
        ("steps:\n  - id: x¦\n    command: noop\n  - when: steps.x.id == 'a'\n", "a", "fix the error in line 4 first"),
        ("steps:\n  - id: x¦\n    command: noop\n  - noop 'it ${{ steps.x.id }}\n", "a", "fix the error in line 4 first"),
        ("steps:\n  - {id: x¦, command: noop}\n  - {id: x, command: noop}\n", "a", "fix the error in line 3 first"),
        ("steps:\n  - no¦op\n", "a", "the cursor is not on the ID of a step"),
        ("name: a¦\nsteps: [noop]\n", "a", "the cursor is not on the ID of a step"),
    ],
)  # fmt: skip
def test_a_rename_that_would_break_the_file_is_refused(text: str, new_id: str, reason: str) -> None:
    with pytest.raises(RefusedRenameError) as refused:
        rename(ask(text), new_id)
    assert reason in str(refused.value)


@pytest.mark.parametrize("error", ["steps.late.nothing", "steps.nothing.id", "params.x", "run.nothing"])
def test_an_error_that_hides_no_name_does_not_matter(error: str) -> None:
    text = f"steps:\n  - {{id: la¦te, command: noop}}\n  - command: nothing\n    when: {error} == 1 or steps.late.id == 'a'\n"
    assert renamed(ask(text), "count").count("count") == text.replace("¦", "").count("late")


def test_the_same_name_changes_nothing() -> None:
    assert rename(ask(FILE), "late") == []


def in_style(style: str, expression: str) -> str:
    """Write an expression into a scalar, with its quotes as the kind of scalar needs them."""
    if "'noop" in style:
        return style.format(expression.replace("'", "''"))
    if '"noop' in style:
        return style.format(expression.replace("'", '\\"'))
    return style.format(expression)


@given(
    ids=st.lists(st.sampled_from(IDS), unique=True, min_size=1),
    uses=st.lists(st.tuples(st.integers(0, 9), st.sampled_from(REFERENCES), st.sampled_from(STYLES)), max_size=5),
    chosen=st.integers(0, 9),
    new_id=st.sampled_from(["new", "noop_3", "x" * 100]),
)
@settings(max_examples=examples(40))
def test_a_renamed_file_is_the_same_up_to_the_id(
    ids: list[str], uses: list[tuple[int, str, str]], chosen: int, new_id: str
) -> None:
    steps = [f"  - {{id: {one}, command: noop}}" for one in ids]
    steps += [in_style(style, way.format(ids[number % len(ids)])) for number, way, style in uses]
    text = "\n".join(["steps:", *steps, ""])
    old_id = ids[chosen % len(ids)]
    question = ask(text.replace(f"id: {old_id},", f"id: ¦{old_id},"))
    assert id_at(question)[0] == old_id
    changed = renamed(question, new_id)

    before, problems = validate.load(source.Source(path="a.yml", text=text))
    after, new_problems = validate.load(source.Source(path="a.yml", text=changed))
    assert before is not None
    assert after is not None
    assert [new_id if name == old_id else name for name in outline(before)] == list(outline(after))
    assert [item.code for item in problems] == [item.code for item in new_problems]
    paths = [(new_id if one.path[0] == old_id else one.path[0], *one.path[1:]) for one in references_in(before)]
    assert [one.path for one in references_in(after)] == paths


def test_a_reference_after_the_edge_of_another_is_not_taken_for_it() -> None:
    question = Question(
        text=EditorText(text="steps:\n  - {id: a, command: noop}\n"),
        offset=0,
        path=ask("¦").path,
        project=ask("¦").project,
    )
    with pytest.raises(RefusedRenameError):
        id_at(question)
