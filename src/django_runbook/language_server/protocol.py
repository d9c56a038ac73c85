"""Writes answers as messages of the language server protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from lsprotocol import types
from pygls.uris import from_fs_path, to_fs_path

from django_runbook.document.codes import Severity
from django_runbook.document.diagnostics import Diagnostic, Span
from django_runbook.language_server.cursor.editor_text import EditorPosition, EditorText
from django_runbook.language_server.features.answers import HelpText, Suggestion, SuggestionKind, TextEdit
from django_runbook.language_server.features.symbols import Symbol, SymbolKind

EditorDiagnostic: TypeAlias = types.Diagnostic

_DOCUMENTATION: Final = "https://github.com/django-runbook/django-runbook/blob/main/docs/"
_KINDS: Final[Mapping[SuggestionKind, types.CompletionItemKind]] = {
    SuggestionKind.COMMAND: types.CompletionItemKind.Module,
    SuggestionKind.KEY: types.CompletionItemKind.Property,
    SuggestionKind.OPTION: types.CompletionItemKind.Field,
    SuggestionKind.VALUE: types.CompletionItemKind.EnumMember,
    SuggestionKind.VARIABLE: types.CompletionItemKind.Variable,
    SuggestionKind.STEP: types.CompletionItemKind.Reference,
    SuggestionKind.ATTRIBUTE: types.CompletionItemKind.Property,
    SuggestionKind.FUNCTION: types.CompletionItemKind.Function,
    SuggestionKind.FILE: types.CompletionItemKind.File,
}
_SYMBOLS: Final[Mapping[SymbolKind, types.SymbolKind]] = {
    SymbolKind.PARAM: types.SymbolKind.Variable,
    SymbolKind.VARIABLE: types.SymbolKind.Constant,
    SymbolKind.COMMAND: types.SymbolKind.Function,
    SymbolKind.GROUP: types.SymbolKind.Namespace,
    SymbolKind.RUNBOOK: types.SymbolKind.File,
}


def path_of(uri: str) -> Path:
    """Return the path of a document; one that is not in a file has a name in the working directory."""
    path = to_fs_path(uri)
    # A name without folders: the committed text that a diff shows, as "git:/runbooks/a.yml", is not checked.
    return Path(path) if path else Path.cwd() / f"{uri.removeprefix('untitled:').replace('/', '_') or 'untitled'}.yml"


def uri_of(path: Path) -> str:
    """Return the URI of a file."""
    return from_fs_path(str(path)) or ""


def encoding_of(kind: types.PositionEncodingKind | str | None) -> str:
    """Return the name of the encoding in which an editor counts characters."""
    return types.PositionEncodingKind(kind or types.PositionEncodingKind.Utf16).value


def position_of(position: types.Position) -> EditorPosition:
    """Return the position of a request."""
    return EditorPosition(position.line, position.character)


def range_of(text: EditorText, start: int, end: int) -> types.Range:
    """Return the range between two offsets."""
    first, last = text.position_at(start), text.position_at(end)
    return types.Range(types.Position(first.line, first.character), types.Position(last.line, last.character))


def range_of_span(text: EditorText, span: Span) -> types.Range:
    """Return the range of a span."""
    return range_of(text, *text.offsets_of(span))


def completion_item(suggestion: Suggestion, text: EditorText, *, rank: int) -> types.CompletionItem:
    """Write a suggestion; ``rank`` keeps the order of the list."""
    edit = types.TextEdit(range_of(text, suggestion.start, suggestion.end), suggestion.text or suggestion.label)
    return types.CompletionItem(
        label=suggestion.label,
        kind=_KINDS[suggestion.kind],
        detail=suggestion.detail or None,
        documentation=_markdown(suggestion.help) if suggestion.help else None,
        text_edit=edit,
        filter_text=suggestion.matched or None,
        sort_text=f"{rank:04}",
        data={"command": suggestion.command} if suggestion.command else None,
    )


def with_help(item: types.CompletionItem, help_text: str) -> types.CompletionItem:
    """Add the help of a suggestion that is looked at."""
    item.documentation = _markdown(help_text)
    return item


def hover(answer: HelpText, text: EditorText) -> types.Hover:
    """Write the help of the word at the cursor."""
    return types.Hover(contents=_markdown(answer.text), range=range_of(text, answer.start, answer.end))


def diagnostics(found: Iterable[Diagnostic], text: EditorText, uri: str) -> list[EditorDiagnostic]:
    """Write the diagnostics of one file."""
    return [_diagnostic(item, text, uri) for item in found]


def workspace_edit(edits: Iterable[TextEdit], text: EditorText, uri: str) -> types.WorkspaceEdit:
    """Write the edits of one file."""
    changes = [types.TextEdit(range_of(text, edit.start, edit.end), edit.text) for edit in edits]
    return types.WorkspaceEdit(changes={uri: changes})


def symbols(found: Iterable[Symbol], text: EditorText) -> Iterator[types.DocumentSymbol]:
    """Write the outline of a file."""
    for symbol in found:
        children = list(symbols(symbol.children, text))
        own = range_of_span(text, symbol.span)
        end = max((child.range.end for child in children), default=own.end, key=lambda end: (end.line, end.character))
        yield types.DocumentSymbol(
            name=symbol.name.strip() or "-",
            kind=_SYMBOLS[symbol.kind],
            range=types.Range(own.start, max(own.end, end, key=lambda end: (end.line, end.character))),
            selection_range=own,
            detail=symbol.detail or None,
            children=children or None,
        )


def _diagnostic(item: Diagnostic, text: EditorText, uri: str) -> EditorDiagnostic:
    related = []
    if item.related is not None:
        place = types.Location(uri, range_of_span(text, item.related))
        related = [types.DiagnosticRelatedInformation(place, item.related_message)]
    is_error = item.severity is Severity.ERROR
    return EditorDiagnostic(
        range=range_of_span(text, item.span),
        message=f"{item.message}\n{item.help}" if item.help else item.message,
        severity=types.DiagnosticSeverity.Error if is_error else types.DiagnosticSeverity.Warning,
        code=item.code,
        code_description=types.CodeDescription(f"{_DOCUMENTATION}{item.definition.documentation}"),
        source="runbook",
        related_information=related or None,
    )


def _markdown(text: str) -> types.MarkupContent:
    return types.MarkupContent(types.MarkupKind.Markdown, text)
