"""Refuses requests outside of the session of an editor: pygls leaves them without an answer, or fails on them."""

from __future__ import annotations

from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidRequest
from pygls.protocol import LanguageServerProtocol


class SessionProtocol(LanguageServerProtocol):
    """Answers requests before ``initialize`` and after ``shutdown`` with the errors of the specification.

    Notifications are dropped there, except ``exit``.
    """

    def handle_message(self, message: Any) -> None:
        refusal = self._refusal(getattr(message, "method", ""))
        if refusal is None:
            super().handle_message(message)
        elif hasattr(message, "id") and hasattr(message, "method"):
            self._send_response(message.id, error=refusal.to_response_error())

    def _refusal(self, method: str) -> JsonRpcException | None:
        if method == types.EXIT:
            return None
        if self._shutdown:
            return JsonRpcInvalidRequest("the server was shut down, and waits for the notification exit")
        if self._workspace is None and method != types.INITIALIZE:
            code = types.ErrorCodes.ServerNotInitialized
            return JsonRpcException("the request initialize comes first", code=code)
        if self._workspace is not None and method == types.INITIALIZE:
            return JsonRpcInvalidRequest("the server is initialized already")
        return None
