"""Holds the package to the sizes, names and sentences that CONTRIBUTING asks for."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.syntax import nodes_of, tree_of

# They parse the whole package, and `make house` runs them in any case.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
MAX_FILE, MAX_FUNCTION, MAX_CLASS = 400, 50, 250
# Of the docstrings, so many in a hundred begin with a verb.
MIN_VERBS_PERCENT = 99
VERBS: Final = frozenset(
    """
    accept account accumulate acknowledge acquire add adopt advance allow analyze answer append apply ask assemble
    attach await be become begin bind bound build bundle call cancel capture carry change check choose classify clean
    close collect combine compare complete compute configure connect consume contain continue convert copy count create
    cut deal decide declare decode defer define delete delimit deliver derive describe detect determine discard disable
    dispatch display distinguish divide do draw drop emit enable enclose encode end enforce ensure enter escape estimate
    evaluate exclude execute exit expand explain expose extend extract fail fetch fill filter find fingerprint finish
    fit flatten flush follow forbid forget fork format forward free freeze get give group guard handle have help hide
    hold identify ignore implement import include indicate infer inform insert install interpret interrupt invoke isolate
    join judge keep kill label leave let limit link list listen load locate lock log look lower mail make map mark mask
    match measure merge move name neutralize normalize note notice notify number offer open order own parse pass pause
    pick ping plan point poll post prepare preserve prevent print probe process produce propagate protect provide prune publish
    purge put quote raise read reap rebuild receive recognize reconnect record recover redirect reduce refer refuse
    register reject release remember remove rename render renew repeat replace report represent request require reset
    resolve restart restore restrict resume retrieve retry return reveal reverse rewrite roll round run save say scan
    schedule search select send separate serialize serve set shift shorten show shut sign signal skip sleep sort spell
    split stand start state step stop store stream strip subtract sum summarize supply support surround suspend swap switch
    take
    tell terminate test time touch trace track translate treat trim try turn undo unlock unwrap update upload use
    validate verify wait wake walk warn watch widen wrap write yield
    announce arrange assert buffer claim commit grant rank reopen spend work learn redraw size suggest
    """.split()  # noqa: SIM905 - a text of words is easier to read
)


@cache
def modules() -> list[str]:
    """Return the path of each module, relative to ``src``."""
    paths = sorted((SOURCE / "django_runbook").rglob("*.py"))
    return [str(path.relative_to(SOURCE)) for path in paths if "migrations" not in path.parts]


_IRREGULAR: Final = {"is": "be", "has": "have", "does": "do", "goes": "go"}


def begins_with_verb(docstring: str) -> bool:
    """Whether the first word is a verb, as in "Read the file" or "Reads files"."""
    word = docstring.split(maxsplit=1)[0].rstrip(".,:;").lower()
    return any(form in VERBS for form in _base_forms(word))


def _base_forms(word: str) -> Iterator[str]:
    yield word
    yield _IRREGULAR.get(word, word)
    if word.endswith("ies"):
        yield f"{word[:-3]}y"
    if word.endswith("es"):
        yield word[:-2]
    if word.endswith("s"):
        yield word[:-1]


def docstrings() -> Iterator[tuple[str, str]]:
    """Each docstring, with its place."""
    for name in modules():
        for node in nodes_of(SOURCE / name):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node)
                if text:
                    yield f"{name}:{getattr(node, 'name', '')}", text


def without_verb() -> list[str]:
    return [f"{place}: {text.splitlines()[0]}" for place, text in docstrings() if not begins_with_verb(text)]


def too_long() -> list[str]:
    found = []
    for name in modules():
        line_count = len((SOURCE / name).read_text().splitlines())
        if line_count > MAX_FILE:
            found.append(f"{name} has {line_count} lines")
        for node in nodes_of(SOURCE / name):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                limit = MAX_CLASS if isinstance(node, ast.ClassDef) else MAX_FUNCTION
                if _length(node) > limit:
                    found.append(f"{name}:{node.name} has {_length(node)} lines")
    return found


def _length(node: ast.ClassDef | ast.FunctionDef) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def names_with_two_meanings() -> list[str]:
    homes = defaultdict(list)
    for name in modules():
        if "/commands/" in name:
            # Django asks for one name of all of them.
            continue
        for node in nodes_of(SOURCE / name):
            if isinstance(node, ast.ClassDef) and node.name != "Meta":
                homes[node.name.lstrip("_")].append(name)
    return [f"{name}: {', '.join(where)}" for name, where in sorted(homes.items()) if len(where) > 1]


def circles() -> list[str]:
    """Each file from which imports lead back to it, those inside functions and for types included."""
    names = {name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): name for name in modules()}
    arrows = {name: set(_imported(name, names)) - {name} for name in modules()}
    found = []
    for name in modules():
        seen, stack = set[str](), list(arrows[name])
        while stack:
            other = stack.pop()
            if other not in seen:
                seen.add(other)
                stack.extend(arrows[other])
        if name in seen:
            found.append(name)
    return found


def _imported(name: str, names: dict[str, str]) -> Iterator[str]:
    for node in nodes_of(SOURCE / name):
        if isinstance(node, ast.Import):
            yield from (names[alias.name] for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom) and node.module in names:
            inside = [names.get(f"{node.module}.{alias.name}") for alias in node.names]
            yield from (found for found in inside if found is not None)
            if None in inside:
                yield names[node.module]


def modules_without_verb() -> list[str]:
    texts = {name: ast.get_docstring(tree_of(SOURCE / name)) or "" for name in modules()}
    return [name for name, text in texts.items() if text and not begins_with_verb(text)]


KINDS: Final[dict[str, Callable[[], list[str]]]] = {
    "too long": too_long,
    "names with two meanings": names_with_two_meanings,
    "circles": circles,
    "modules without verb": modules_without_verb,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_package_has_the_shape_that_contributing_asks_for(kind: str) -> None:
    assert KINDS[kind]() == []


def test_contributing_names_the_sizes() -> None:
    text = " ".join((ROOT / "CONTRIBUTING.md").read_text().split())
    assert f"at most {MAX_FILE} lines, a function {MAX_FUNCTION} and a class {MAX_CLASS}" in text


def test_most_docstrings_begin_with_a_verb() -> None:
    count, without = len(list(docstrings())), without_verb()
    assert 100 - 100 * len(without) / count >= MIN_VERBS_PERCENT, "\n".join(without)


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("Read the file.", True),
        ("Retries it.", True),
        ("Matches.", True),
        ("Is empty.", True),
        ("A queryset to spans of its rows.", False),
        ("What a parser has against its tokens.", False),
        ("``90`` to seconds.", False),
    ],
)
def test_verbs_are_recognized(docstring: str, *, expected: bool) -> None:
    assert begins_with_verb(docstring) is expected
