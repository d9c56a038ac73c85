"""Posts to web services: with timeouts, without redirects, and with errors that name the host only.

A URL may be a secret as a whole, and a redirect could pass it, or a signature, to another server.
"""

from __future__ import annotations

import base64
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.message import Message
from functools import cache
from http.client import HTTPException, RemoteDisconnected
from typing import IO, Final
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from django_runbook.exceptions import InvalidUsage

ATTEMPT_SECONDS: Final = 4.0
_MAX_LABEL_LENGTH: Final = 63
_PAUSES: Final = (0.5, 1.0)
_RETRIED: Final = frozenset((408, 425, 429, 500, 502, 503, 504))


class PostError(OSError):
    """Reports that a service has not accepted a request."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


def checked_url(url: object, *, option: str = "url") -> SplitResult:
    """Return the parts of a URL; raise InvalidUsage, which does not contain it, if no request can be sent to it."""
    if not isinstance(url, str):
        raise InvalidUsage(f'"{option}" must be a URL')
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidUsage(f'"{option}" is not a URL') from error
    if parts.scheme not in {"http", "https"} or not host or any(not "!" <= letter <= "~" for letter in url):
        raise InvalidUsage(f'"{option}" must be a URL that begins with https:// or http://, without spaces')
    if not all(0 < len(label) <= _MAX_LABEL_LENGTH for label in host.removesuffix(".").split(".")):
        raise InvalidUsage(f'"{option}" has a host that cannot exist: "{host}"')
    return parts


def post(url: str, body: bytes, *, headers: Mapping[str, str], rest: Callable[[float], object] = time.sleep) -> None:
    """Post a body; raise PostError if the service has not accepted it, also after retries.

    ``rest`` waits between two attempts. The body is sent as the same message each time.
    """
    for pause in (*_PAUSES, None):
        problem, is_final = _attempt(url, body, headers)
        if not problem:
            return
        if is_final or pause is None:
            raise PostError(problem)
        rest(pause)


def _attempt(url: str, body: bytes, headers: Mapping[str, str]) -> tuple[str, bool]:
    """Send a request once; return why it was not accepted, and whether another attempt would be useless."""
    parts = urlsplit(url)
    host, headers = parts.hostname, {**headers, **_authorization(parts)}
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    request = urllib.request.Request(bare, data=body, headers=headers, method="POST")  # noqa: S310 - checked_url allows two schemes
    try:
        with _opener().open(request, timeout=ATTEMPT_SECONDS):
            return "", True
    except urllib.error.HTTPError as error:
        error.close()
        text = "a redirect, which is not followed" if 300 <= error.code < 400 else f"HTTP {error.code}"
        return f"{host} answered with {text}", error.code not in _RETRIED
    except urllib.error.URLError as error:
        return f"no connection to {host}: {_reason(error.reason)}", False
    except TimeoutError:
        return f"{host} did not answer within {ATTEMPT_SECONDS:g}s", False
    except RemoteDisconnected:
        return f"{host} closed the connection without an answer", False
    except HTTPException as error:
        return f"{host} did not answer in HTTP ({type(error).__name__})", False
    except OSError as error:
        return f"the connection to {host} was lost: {_reason(error)}", False


def _authorization(parts: SplitResult) -> dict[str, str]:
    """Return the header for the user and the password in a URL, as curl sends them."""
    if parts.username is None:
        return {}
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}


@cache
def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirects)


def _reason(reason: object) -> str:
    """Describe an error without its arguments, which may contain the URL."""
    if isinstance(reason, TimeoutError):
        return "timed out"
    return (reason.strerror if isinstance(reason, OSError) else None) or type(reason).__name__
