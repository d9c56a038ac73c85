"""Tests the JSON of webhooks and their signature."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from django_runbook.exceptions import InvalidUsage
from django_runbook.reporters.notifiers.webhook import WebhookNotifier, payload_of, signature
from tests.documentation import DOCS, blocks_of
from tests.reporters import notice_scenes
from tests.reporters.loopback import BEHAVIOURS, Behaviour, expected_outcome, no_pauses, serve  # noqa: F401 - a fixture

KEY = "a key that two sides know"


def test_the_payload_of_a_failure_has_what_failed() -> None:
    payload: dict[str, Any] = json.loads(json.dumps(payload_of(notice_scenes.FAILURE)))
    assert payload["version"] == 1
    assert (payload["occasions"], payload["title"]) == (["failure"], "Nightly maintenance failed")
    assert payload["run"] == {
        "id": notice_scenes.RUN_ID,
        "name": "Nightly maintenance",
        "file": "nightly.yml",
        "attempt": 1,
        "step_count": 5,
    }
    result = payload["result"]
    assert (result["status"], result["exit_code"], result["duration_seconds"]) == ("failed", 1, 83)
    assert result["steps_by_status"] == {"succeeded": 1, "failed": 2, "not_run": 1, "skipped": 1}
    assert [(step["id"], step["ignored"], step["attempts"]) for step in result["failed_steps"]] == [
        ("flaky", True, 1),
        ("two", False, 2),
    ]
    failure = {"type": "CommandError", "message": "it went wrong\nand more", "exit_code": 3}
    assert result["failed_steps"][1]["failure"] == failure


def keys_of(value: Any) -> Any:
    """Return the names in an object, at every depth; a list has those of its first object."""
    if isinstance(value, dict):
        return {name: keys_of(inner) for name, inner in value.items()}
    return keys_of(value[0]) if isinstance(value, list) and value else None


def test_the_page_shows_each_name_of_the_payload() -> None:
    (shown,) = (
        json.loads(block.text) for block in blocks_of(DOCS / "guide" / "notifications.md") if block.language == "json"
    )
    payload = json.loads(json.dumps(payload_of(notice_scenes.FAILURE)))
    shown["result"] |= {name: payload["result"][name] for name in ("steps_by_status", "failure")}
    assert keys_of(shown) == keys_of(payload)


def test_the_payload_of_a_start_has_no_result() -> None:
    assert payload_of(notice_scenes.START)["result"] is None


def test_the_signature_is_that_of_the_specification() -> None:
    # The example of the specification "Standard Webhooks".
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature(
        b'{"test": 2432232314}', key=key, message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", seconds="1614265330"
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.slow
@pytest.mark.parametrize("key", [KEY, "whsec_" + base64.b64encode(KEY.encode()).decode()])
def test_a_receiver_can_verify_a_message(key: str) -> None:
    with serve() as service:
        WebhookNotifier(url=service.url("/hook"), key=key, clock=lambda: 1614265330.7).notify(notice_scenes.FAILURE)
        (request,) = service.requests
    headers = request.headers
    assert headers["content-type"] == "application/json"
    assert headers["webhook-timestamp"] == "1614265330"
    text = f"{headers['webhook-id']}.1614265330.".encode() + request.body
    digest = hmac.new(KEY.encode(), text, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


@pytest.mark.slow
@pytest.mark.usefixtures("no_pauses")
@BEHAVIOURS
def test_a_service_that_does_not_accept_a_message_is_an_error(behave: Behaviour) -> None:
    with serve(behave) as service:
        webhook = WebhookNotifier(url=service.url("/hook"))
        with expected_outcome(behave):
            webhook.notify(notice_scenes.FAILURE)
        ids = {request.headers["webhook-id"] for request in service.requests}
    # A receiver recognizes what it gets again.
    assert len(ids) == 1


@pytest.mark.parametrize("key", ["short", "", None, "whsec_no base64!", "whsec_", "whsec_QQ==", 5])
def test_an_invalid_key_is_refused_without_being_shown(key: Any) -> None:
    with pytest.raises(InvalidUsage, match='"key"') as caught:
        WebhookNotifier(url="https://example.com/hook", key=key)
    assert not key or str(key) not in str(caught.value)
