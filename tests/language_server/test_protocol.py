from __future__ import annotations

from pathlib import Path

import pytest
from lsprotocol.types import PositionEncodingKind

from django_runbook.document.codes import CODES
from django_runbook.document.diagnostics import Span, diagnose
from django_runbook.language_server import protocol
from django_runbook.language_server.cursor.editor_text import EditorText
from django_runbook.language_server.features.answers import Suggestion, SuggestionKind
from django_runbook.language_server.features.symbols import Symbol, SymbolKind

TEXT = EditorText(text="steps:\n  - 😀😀 nope\n")
ROOT = Path(__file__).parent.parent.parent


def test_a_diagnostic_has_its_code_its_help_and_a_range_in_utf_16() -> None:
    item = diagnose("RB401", message="unknown", span=Span(2, 8, 2, 12), help_text="correct it")
    [found] = protocol.diagnostics([item], TEXT, "file:///a.yml")
    assert (found.code, found.severity, found.message) == ("RB401", 1, "unknown\ncorrect it")
    assert (found.range.start.character, found.range.end.character) == (9, 13)


def test_a_diagnostic_points_at_the_related_place() -> None:
    item = diagnose(
        "RB207", message="duplicate", span=Span(2, 8, 2, 12), related=Span(1, 1, 1, 6), related_message="first"
    )
    [found] = protocol.diagnostics([item], TEXT, "file:///a.yml")
    assert found.related_information is not None
    [related] = found.related_information
    assert (related.message, related.location.uri, related.location.range.end.character) == (
        "first",
        "file:///a.yml",
        5,
    )


@pytest.mark.parametrize("code", CODES)
def test_the_link_of_each_code_leads_to_a_page_that_is_there(code: str) -> None:
    item = diagnose(code, message="x", span=Span(1, 1, 1, 2))
    [found] = protocol.diagnostics([item], TEXT, "file:///a.yml")
    assert found.code_description is not None
    page, _, anchor = found.code_description.href.rpartition("/docs/")[2].partition("#")
    assert (ROOT / "docs" / page).is_file()
    assert anchor.startswith(code.lower())


def test_a_file_has_the_path_of_its_uri_and_back() -> None:
    path = Path("/srv/my app/größe.yml")
    assert protocol.path_of(protocol.uri_of(path)) == path


def test_a_text_that_was_never_saved_is_in_the_working_directory() -> None:
    assert protocol.path_of("untitled:Untitled-1") == Path.cwd() / "Untitled-1.yml"


@pytest.mark.parametrize(
    "uri", ["git:/srv/runbooks/a.yml?%7B%7D", "http://host/runbooks/a.yml", "vscode-notebook-cell:/srv/a#1", ""]
)
def test_a_document_that_is_not_in_a_file_is_in_no_folder_of_runbooks(uri: str) -> None:
    assert protocol.path_of(uri).parent == Path.cwd()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (None, "utf-16"),
        ("utf-8", "utf-8"),
        (PositionEncodingKind.Utf8, "utf-8"),
        (PositionEncodingKind.Utf32, "utf-32"),
    ],
    ids=["unknown", "text", "utf-8", "utf-32"],
)
def test_the_encoding_of_positions_is_that_of_the_editor(
    kind: PositionEncodingKind | str | None, expected: str
) -> None:
    assert protocol.encoding_of(kind) == expected


@pytest.mark.parametrize("kind", SuggestionKind)
def test_each_kind_of_suggestion_has_one_of_the_protocol(kind: SuggestionKind) -> None:
    item = protocol.completion_item(Suggestion(label="x", kind=kind, start=0, end=0), TEXT, rank=3)
    assert (item.kind is not None, item.sort_text) == (True, "0003")


def test_the_range_of_a_group_holds_its_steps() -> None:
    """Editors refuse an outline whose children are outside of their parent."""
    child = Symbol(name="b", kind=SymbolKind.COMMAND, span=Span(2, 5, 2, 7))
    [group] = protocol.symbols([Symbol(name="", kind=SymbolKind.GROUP, span=Span(1, 1, 1, 6), children=(child,))], TEXT)
    assert (group.name, group.range.end.line, group.selection_range.end.line) == ("-", 1, 0)


@pytest.mark.parametrize("kind", SymbolKind)
def test_each_kind_of_symbol_has_one_of_the_protocol(kind: SymbolKind) -> None:
    [symbol] = protocol.symbols([Symbol(name="a", kind=kind, span=Span(1, 1, 1, 6))], TEXT)
    assert symbol.kind is not None
