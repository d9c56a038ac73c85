"""Serves the language server protocol on two streams: a thin shell around the answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

from django.db import connections
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

from django_runbook import conf
from django_runbook.language_server import protocol
from django_runbook.language_server.cursor.editor_text import EditorText
from django_runbook.language_server.features.completion import complete
from django_runbook.language_server.features.definition import define
from django_runbook.language_server.features.hover import explain
from django_runbook.language_server.features.questions import Question
from django_runbook.language_server.features.rename import RefusedRenameError, id_at, places_of, rename
from django_runbook.language_server.features.symbols import symbols_of
from django_runbook.language_server.session_order import SessionProtocol
from django_runbook.language_server.workspace.editor_files import EditorFiles
from django_runbook.language_server.workspace.file_checks import FileProblems, check_file, is_runbook
from django_runbook.language_server.workspace.fresh_catalog import FreshCatalog
from django_runbook.language_server.workspace.project_files import new_project
from django_runbook.language_server.workspace.published_problems import PublishedProblems

_DELAY_SECONDS: Final = 0.25
_TRIGGERS: Final = (" ", "-", ".", "{", "|", "[", '"', "'", "=", ",")
_T = TypeVar("_T")


class RunbookServer(LanguageServer):
    """Answers the requests of one editor.

    Answers and checks are made in one thread beside that of the protocol: loading commands may take long, and their
    parsers have state.
    """

    def __init__(self, *, configuration: conf.Configuration, version: str) -> None:
        super().__init__(
            "runbook",
            version,
            text_document_sync_kind=types.TextDocumentSyncKind.Full,
            protocol_cls=SessionProtocol,
        )
        self.configuration = configuration
        self.catalog = FreshCatalog()
        self.open_files = EditorFiles()
        self.worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="runbook")
        self.project = new_project(configuration, lambda: self.open_files, catalog=self.catalog)
        self._uris: dict[Path, str] = {}
        self._problems = PublishedProblems()
        self._waiting: dict[Path, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        _register(self)

    def serve(self, stdin: BinaryIO, stdout: BinaryIO) -> None:
        """Serve until the editor ends."""
        logging.getLogger("pygls.protocol.json_rpc").addFilter(_is_news)
        try:
            self.start_io(stdin, stdout)
        finally:
            self.worker.shutdown(wait=False, cancel_futures=True)

    def put(self, uri: str, language: str, text: str, *, delay: float) -> None:
        """Take the text of an open runbook, and check it after a delay, with those that call it."""
        path = protocol.path_of(uri)
        if path.resolve() not in self._uris and not is_runbook(path, language, self.configuration):
            return
        self._uris[path.resolve()] = uri
        self.open_files = self.open_files.opened(path, text)
        self._schedule(path.resolve(), delay=delay)

    def remove(self, uri: str) -> None:
        """Forget an open file and its diagnostics."""
        path = protocol.path_of(uri).resolve()
        if path not in self._uris:
            return
        self.open_files = self.open_files.closed(path)
        self._publish(self._problems.put(path, {}))
        del self._uris[path]
        self._check_soon(self._problems.readers_of(path), delay=_DELAY_SECONDS)

    def check_all(self) -> None:
        """Check all open files: a file on the disk has changed."""
        self._check_soon(list(self._uris), delay=_DELAY_SECONDS)

    async def ask(self, params: Any, answer: Callable[[Question], _T]) -> _T | None:
        """Answer a question about a place in an open runbook; None for another file."""
        path = protocol.path_of(params.text_document.uri)
        text = self.text_of(path)
        if text is None:
            return None
        offset = text.offset_at(protocol.position_of(params.position)) if hasattr(params, "position") else 0
        question = Question(text=text, offset=offset, path=path, project=self.project)
        return await self.work(lambda: answer(question))

    async def work(self, job: Callable[[], _T]) -> _T:
        """Do work in the thread for it."""

        def run() -> _T:
            try:
                return job()
            finally:
                # A command may have read the database for its choices; an editor stays open for days.
                connections.close_all()

        return await asyncio.get_running_loop().run_in_executor(self.worker, run)

    def text_of(self, path: Path) -> EditorText | None:
        """Return the text of an open file."""
        text = self.open_files.texts.get(path.resolve())
        return None if text is None else self.editor_text(text)

    def editor_text(self, text: str) -> EditorText:
        """Return a text with the encoding of positions that the editor has chosen."""
        return EditorText(text=text, encoding=protocol.encoding_of(self.workspace.position_encoding))

    def _schedule(self, path: Path, *, delay: float) -> None:
        self._check_soon([path, *(reader for reader in self._problems.readers_of(path) if reader != path)], delay=delay)

    def _check_soon(self, paths: list[Path], *, delay: float) -> None:
        loop = asyncio.get_running_loop()
        for path in paths:
            if path in self._waiting:
                self._waiting.pop(path).cancel()
            if path in self._uris:
                self._waiting[path] = loop.call_later(delay, self._start_check, path)

    def _start_check(self, path: Path) -> None:
        self._waiting.pop(path, None)
        task = asyncio.get_running_loop().create_task(self._check(path))
        self._tasks.add(task)
        task.add_done_callback(self._end_check)

    def _end_check(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self.report_server_error(error, JsonRpcException)

    async def _check(self, path: Path) -> None:
        open_files = self.open_files

        def check() -> FileProblems:
            self.catalog.refresh()
            return check_file(path, open_files, catalog=self.catalog, configuration=self.configuration)

        problems = await self.work(check)
        # A newer text has its own check, and a closed file has none.
        if path in self._uris and self.open_files.texts.get(path) == open_files.texts.get(path):
            self._publish(self._problems.put(path, problems.found))

    def _publish(self, changed: dict[Path, list[Any]]) -> None:
        for path, found in changed.items():
            source, _ = self.open_files.read(path, str(path))
            text = self.text_of(path) or self.editor_text(source.text)
            uri = self._uris.get(path, protocol.uri_of(path))
            self.text_document_publish_diagnostics(
                types.PublishDiagnosticsParams(uri=uri, diagnostics=protocol.diagnostics(found, text, uri))
            )


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether the log needs a record: a request that is refused is reported to the editor."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, JsonRpcException)


def _register(server: RunbookServer) -> None:
    server.feature(types.TEXT_DOCUMENT_DID_OPEN)(_did_open)
    server.feature(types.TEXT_DOCUMENT_DID_CHANGE)(_did_change)
    server.feature(types.TEXT_DOCUMENT_DID_CLOSE)(_did_close)
    server.feature(types.TEXT_DOCUMENT_DID_SAVE)(_did_save)
    server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)(_did_save)
    server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)(_ignore)
    completion = types.CompletionOptions(trigger_characters=list(_TRIGGERS), resolve_provider=True)
    server.feature(types.TEXT_DOCUMENT_COMPLETION, completion)(_complete)
    server.feature(types.COMPLETION_ITEM_RESOLVE)(_resolve)
    server.feature(types.TEXT_DOCUMENT_HOVER)(_hover)
    server.feature(types.TEXT_DOCUMENT_DEFINITION)(_define)
    server.feature(types.TEXT_DOCUMENT_REFERENCES)(_find_references)
    server.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)(_prepare_rename)
    server.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))(_rename)
    server.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)(_list_symbols)


def _did_open(ls: RunbookServer, params: types.DidOpenTextDocumentParams) -> None:
    document = params.text_document
    ls.put(document.uri, document.language_id, document.text, delay=0)


def _did_change(ls: RunbookServer, params: types.DidChangeTextDocumentParams) -> None:
    uri = params.text_document.uri
    ls.put(uri, "", ls.workspace.get_text_document(uri).source, delay=_DELAY_SECONDS)


def _did_close(ls: RunbookServer, params: types.DidCloseTextDocumentParams) -> None:
    ls.remove(params.text_document.uri)


def _did_save(ls: RunbookServer, params: Any) -> None:
    ls.check_all()


def _ignore(ls: RunbookServer, params: Any) -> None:
    """Take a message that every editor sends: there is nothing to configure."""


async def _complete(ls: RunbookServer, params: types.CompletionParams) -> types.CompletionList:
    def answer(question: Question) -> list[types.CompletionItem]:
        found = enumerate(complete(question))
        return [protocol.completion_item(suggestion, question.text, rank=rank) for rank, suggestion in found]

    return types.CompletionList(is_incomplete=False, items=await ls.ask(params, answer) or [])


async def _resolve(ls: RunbookServer, params: types.CompletionItem) -> types.CompletionItem:
    name = params.data.get("command") if isinstance(params.data, dict) else None
    described = await ls.work(lambda: ls.project.describe(str(name))) if name else None
    return protocol.with_help(params, described.text) if described is not None else params


async def _hover(ls: RunbookServer, params: types.HoverParams) -> types.Hover | None:
    def answer(question: Question) -> types.Hover | None:
        found = explain(question)
        return None if found is None else protocol.hover(found, question.text)

    return await ls.ask(params, answer)


async def _define(ls: RunbookServer, params: types.DefinitionParams) -> types.Location | None:
    def answer(question: Question) -> types.Location | None:
        target = define(question)
        if target is None:
            return None
        if target.path is None:
            return types.Location(params.text_document.uri, protocol.range_of_span(question.text, target.span))
        source, _ = ls.open_files.read(target.path, str(target.path))
        text = ls.editor_text(source.text)
        return types.Location(protocol.uri_of(target.path.resolve()), protocol.range_of_span(text, target.span))

    return await ls.ask(params, answer)


async def _find_references(ls: RunbookServer, params: types.ReferenceParams) -> list[types.Location]:
    def answer(question: Question) -> list[types.Location]:
        try:
            places = places_of(id_at(question)[0], question)
        except RefusedRenameError:
            return []
        uri = params.text_document.uri
        return [types.Location(uri, protocol.range_of(question.text, *place)) for place in places]

    return await ls.ask(params, answer) or []


async def _prepare_rename(
    ls: RunbookServer, params: types.PrepareRenameParams
) -> types.PrepareRenamePlaceholder | None:
    def answer(question: Question) -> types.PrepareRenamePlaceholder:
        step_id, start, end = id_at(question)
        return types.PrepareRenamePlaceholder(protocol.range_of(question.text, start, end), step_id)

    try:
        return await ls.ask(params, answer)
    except RefusedRenameError as error:
        raise _refused(error) from error


async def _rename(ls: RunbookServer, params: types.RenameParams) -> types.WorkspaceEdit | None:
    def answer(question: Question) -> types.WorkspaceEdit:
        return protocol.workspace_edit(rename(question, params.new_name), question.text, params.text_document.uri)

    try:
        return await ls.ask(params, answer)
    except RefusedRenameError as error:
        raise _refused(error) from error


async def _list_symbols(ls: RunbookServer, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
    def answer(question: Question) -> list[types.DocumentSymbol]:
        runbook = question.runbook
        return list(protocol.symbols(symbols_of(runbook), question.text)) if runbook is not None else []

    return await ls.ask(params, answer) or []


def _refused(error: RefusedRenameError) -> JsonRpcException:
    return JsonRpcException(str(error), code=types.LSPErrorCodes.RequestFailed)
