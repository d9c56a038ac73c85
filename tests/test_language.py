"""Keeps words and forms that a native-speaking engineer would not write out of the package and the documentation."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

# They read the whole project, and `make house` runs them in any case.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md")

# Each form, as a regular expression, with what to write.
BANNED: Final = {
    r"mend(s|ed|ing)?": "fix",
    r"anew": "again, start over",
    r"told(?!\s+apart\b)": "reported, printed",
    r"stands": "is, is defined",
    r"meanwhile": "in the meantime",
    r"(go|goes|going|went|gone) on": "continue",
    r"behind": "after",
    r"hand(s|ed|ing)? on": "pass on",
    r"let(s|ting)? go": "release",
    r"(take|takes|taken|taking|took) in": "read, import, include",
    r"cut off": "truncated, interrupted",
    r"(?<!there\s)is no (?!longer\b)": "is not a",
    r"in good order": "succeeded",
    r"for want of": "because … is missing",
    r"(has|have|had) come to": "the result",
    r"(put|puts|putting) (back|it back|them back)": "restore",
    r"(get|gets|got|getting) lost": "was lost",
    r"mistakes?": "error",
    r"faults?": "internal error, bug",
    r"nobody can know": "unknown",
    r"ha(s|ve) to do with": "belongs to",
    r"of which": "a new sentence",
    r"whoever": "the user, the process",
    r"all the same": "anyway",
    r"all is well": "succeeded",
    r"as it were": "",
}
_FORMS: Final = re.compile(
    "|".join(rf"\b(?:{form})(?:\b|(?<=\s))" for form in BANNED).replace(" ", r"\s+"), re.IGNORECASE
)
_DOCUMENTED: Final = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_FENCE: Final = re.compile(r"^(`{3,})\S*\n.*?^\1$", re.DOTALL | re.MULTILINE)
_TOKENS: Final = {tokenize.COMMENT, tokenize.STRING} | {
    getattr(tokenize, name) for name in ("FSTRING_MIDDLE",) if hasattr(tokenize, name)
}


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """The prose of a file with its lines: all of a page but its fenced blocks, the comments and strings of a module."""
    text = path.read_text()
    if path.suffix != ".py":
        yield 1, _FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in _TOKENS:
            yield token.start[0], token.string


def found_in(path: Path) -> list[str]:
    """Each banned form in a file, as `line: form (write: replacement)`."""
    found: list[str] = []
    if not _FORMS.search(path.read_text()):
        return found
    for line, text in texts_of(path):
        found += [
            f"{line + text.count(chr(10), 0, match.start())}: {shown(match[0])}" for match in _FORMS.finditer(text)
        ]
    return found


def shown(form: str) -> str:
    """Show a banned form with what to write instead."""
    matching = (
        instead for banned, instead in BANNED.items() if re.fullmatch(banned.replace(" ", r"\s+"), form, re.IGNORECASE)
    )
    return f"{' '.join(form.split())} (write: {next(matching, '')})"


def found_in_test(path: Path) -> list[str]:
    """Each banned form in the names, the comments and the docstrings of a test module, as `line: form (write: replacement)`."""
    text = path.read_text()
    if not _FORMS.search(text.replace("_", " ")):
        return []
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    named = [(one.start[0], one.string) for one in tokens if one.type in {tokenize.NAME, tokenize.COMMENT}]
    documented = [one for one in ast.walk(ast.parse(text)) if isinstance(one, _DOCUMENTED)]
    named += [(one.body[0].lineno, ast.get_docstring(one) or "") for one in documented if one.body]
    return [f"{line}: {shown(match[0])}" for line, words in named for match in _FORMS.finditer(words.replace("_", " "))]


def files() -> list[Path]:
    docs = (path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
    modules = (path for path in (ROOT / "src").rglob("*.py") if "migrations" not in path.parts)
    return sorted([*docs, *modules, *(ROOT / name for name in PAGES)])


def test_no_file_has_a_banned_form() -> None:
    found = {str(path.relative_to(ROOT)): found_in(path) for path in files()}
    assert {name: forms for name, forms in found.items() if forms} == {}


def test_no_test_has_a_banned_form() -> None:
    found = {str(path.relative_to(ROOT)): found_in_test(path) for path in sorted((ROOT / "tests").rglob("*.py"))}
    assert {name: forms for name, forms in found.items() if forms and name != "tests/test_language.py"} == {}


def test_the_banned_forms_are_found(tmp_path: Path) -> None:
    page, module = tmp_path / "page.md", tmp_path / "module.py"
    page.write_text("It goes\non, and is no list.\n\n```text\nmend\n```\n\nThe command is no longer there: mended.\n")
    module.write_text('"""Mends it."""\n\nmend = f"told {1}, told apart"  # stands here\n')
    assert found_in(page) == ["1: goes on (write: continue)", "2: is no (write: is not a)", "8: mended (write: fix)"]
    instead = ["1: Mends (write: fix)", "3: told (write: reported, printed)", "3: stands (write: is, is defined)"]
    assert found_in(module) == instead


def test_the_banned_forms_are_found_in_tests(tmp_path: Path) -> None:
    path = tmp_path / "test_some.py"
    path.write_text('"""Mends it."""\n\n\ndef test_it_is_no_list():  # stands here\n    assert "told"\n')
    instead = ["4: is no (write: is not a)", "4: stands (write: is, is defined)", "1: Mends (write: fix)"]
    assert found_in_test(path) == instead
