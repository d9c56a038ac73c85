"""Drives a language server over its standard streams, as an editor does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.patience import scaled


class LanguageClient:
    """Starts a server, opens documents in it and asks about them; lines and columns count from 1.

    The session begins at once, unless ``begins`` is false.
    """

    def __init__(
        self, command: list[str], *, root: Path, settings: dict[str, Any], begins: bool = True, **process: Any
    ) -> None:
        self._root = root
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **process)
        self._settings = settings
        self._version = 1
        self._count = 0
        self.published: dict[str, list[dict[str, Any]]] = {}
        if begins:
            self.begin()

    def begin(self) -> None:
        """Begin the session."""
        root = self._root
        folder = {"uri": root.as_uri(), "name": root.name}
        completion = {"completionItem": {"snippetSupport": True, "documentationFormat": ["markdown"]}}
        client = {"textDocument": {"completion": completion, "hover": {}}, "workspace": {"configuration": True}}
        self.initialized = self.ask(
            "initialize",
            {"processId": None, "rootUri": root.as_uri(), "workspaceFolders": [folder], "capabilities": client},
        )
        self._send({"method": "initialized", "params": {}})
        self._send({"method": "workspace/didChangeConfiguration", "params": {"settings": self._settings}})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.ask("shutdown", None)
        self.exit()

    def exit(self) -> None:
        """End the process of the server, after `shutdown`."""
        self._send({"method": "exit"})
        self._process.communicate(timeout=scaled(20))
        self.exit_code = self._process.returncode

    def open(self, path: Path, text: str) -> str:
        """Open a document; return its URI."""
        document = {"uri": path.as_uri(), "languageId": "yaml", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        return path.as_uri()

    def change(self, uri: str, text: str) -> None:
        """Replace the text of a document, whose diagnostics are awaited again."""
        self._version += 1
        self.published.pop(uri, None)
        document = {"uri": uri, "version": self._version}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": text}]})

    def notify(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def problems(self, uri: str) -> list[dict[str, Any]]:
        """Wait for the diagnostics of a document."""
        while uri not in self.published:
            self._take(self._receive())
        return self.published[uri]

    def at(self, method: str, uri: str, *, line: int, column: int) -> Any:
        """Ask about a place in a document."""
        position = {"line": line - 1, "character": column - 1}
        return self.ask(f"textDocument/{method}", {"textDocument": {"uri": uri}, "position": position})

    def ask(self, method: str, params: Any) -> Any:
        message = self._answer(method, params)
        assert "error" not in message, message
        return message["result"]

    def refusal(self, method: str, params: Any) -> str:
        """Ask for what is refused; return the reason."""
        reason: str = self.error(method, params)["message"]
        return reason

    def error(self, method: str, params: Any) -> dict[str, Any]:
        """Ask for what is refused; return the error."""
        message = self._answer(method, params)
        assert "error" in message, message
        found: dict[str, Any] = message["error"]
        return found

    def _answer(self, method: str, params: Any) -> dict[str, Any]:
        self._count += 1
        number = self._count
        self._send({"id": number, "method": method, "params": params})
        while True:
            message = self._receive()
            if message.get("id") == number and "method" not in message:
                return message
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("method") == "textDocument/publishDiagnostics":
            self.published[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "id" in message:
            items = message["params"].get("items", []) if isinstance(message.get("params"), dict) else []
            answer = [self._settings.get(item.get("section"), {}) for item in items]
            self._send({"id": message["id"], "result": answer if items else None})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        length = 0
        while line := self._process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        found: dict[str, Any] = json.loads(self._process.stdout.read(length))
        return found
