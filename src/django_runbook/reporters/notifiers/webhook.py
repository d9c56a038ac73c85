"""Posts each notice as JSON to a URL, signed as the specification "Standard Webhooks" says."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from django_runbook.exceptions import InvalidUsage
from django_runbook.reporters import phrases
from django_runbook.reporters.http_post import checked_url, post
from django_runbook.reporters.notifiers.notice_text import MAX_STEPS, failed_steps, host, summary_of, title_of
from django_runbook.reporters.notifiers.notices import Notice
from django_runbook.results import Failure, RunResult, StepResult

# Increased when a name or a meaning changes, but not when something is added.
VERSION: Final = 1
_PREFIX: Final = "whsec_"
_MIN_KEY_LENGTH: Final = 16
_NO_KEY: Final = object()


class WebhookNotifier:
    """Posts to ``url``; with a ``key``, the header ``webhook-signature`` proves who sent the body, and when.

    A key that begins with ``whsec_`` is Base64; any other one is used as it is.
    """

    def __init__(self, *, url: str, key: object = _NO_KEY, clock: Callable[[], float] = time.time) -> None:
        checked_url(url)
        self._url = url
        self._key = _key_bytes(key)
        self._clock = clock

    def notify(self, notice: Notice) -> None:
        body = json.dumps(payload_of(notice)).encode()
        message_id, seconds = f"msg_{uuid.uuid4().hex}", str(int(self._clock()))
        headers = {"Content-Type": "application/json", "webhook-id": message_id, "webhook-timestamp": seconds}
        if self._key:
            headers["webhook-signature"] = signature(body, key=self._key, message_id=message_id, seconds=seconds)
        post(self._url, body, headers=headers)


def signature(body: bytes, *, key: bytes, message_id: str, seconds: str) -> str:
    """Return the signature of a message in the form of its header."""
    signed = b".".join((message_id.encode(), seconds.encode(), body))
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def payload_of(notice: Notice) -> dict[str, Any]:
    """Return the JSON of a notice."""
    return {
        "version": VERSION,
        "occasions": sorted(notice.occasions),
        "at": notice.at.isoformat(),
        "title": title_of(notice),
        "text": notice.text,
        "summary": summary_of(notice),
        "host": host(),
        "run": {
            "id": notice.run.run_id,
            "name": notice.run.name,
            "file": notice.run.file,
            "attempt": notice.run.attempt,
            "step_count": notice.run.step_count,
        },
        "result": None if notice.result is None else _result(notice.result),
    }


def _result(result: RunResult) -> dict[str, Any]:
    commands = [step for step in result.steps if not step.is_group and not phrases.is_not_due(step)]
    return {
        "status": result.status,
        "exit_code": result.exit_code,
        "duration_seconds": round(result.duration_seconds, 3),
        "reason": result.reason,
        "warnings": result.warnings,
        "failure": _failure(result.failure),
        "steps_by_status": dict(Counter(step.status.value for step in commands)),
        "failed_steps": [_step(step) for step in failed_steps(result)[:MAX_STEPS]],
        "resume_command": result.resume_command,
    }


def _step(step: StepResult) -> dict[str, Any]:
    return {
        "id": step.step_id,
        "name": step.name,
        "status": step.status,
        "ignored": step.ignored,
        "attempts": step.attempt_count,
        "duration_seconds": round(step.duration_seconds, 3),
        "failure": _failure(step.failure),
    }


def _failure(failure: Failure | None) -> dict[str, Any] | None:
    """Return a failure without its traceback, which is for those who can see the code."""
    if failure is None:
        return None
    return {"type": failure.error_type, "message": failure.message, "exit_code": failure.exit_code}


def _key_bytes(key: object) -> bytes:
    if key is _NO_KEY:
        return b""
    if not isinstance(key, str) or not key:
        # A variable of the environment that is missing must not turn signatures off.
        raise InvalidUsage('"key" must be a string; without signatures, leave it out')
    try:
        found = base64.b64decode(key.removeprefix(_PREFIX), validate=True) if key.startswith(_PREFIX) else key.encode()
    except binascii.Error as error:
        raise InvalidUsage(f'"key" begins with {_PREFIX}, and must be Base64 from there') from error
    if len(found) < _MIN_KEY_LENGTH:
        raise InvalidUsage(f'"key" must have at least {_MIN_KEY_LENGTH} characters')
    return found
