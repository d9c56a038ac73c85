"""Tests which values of options are secrets."""

from __future__ import annotations

from typing import Any

import pytest

from django_runbook.option_secrets import secrets_in


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"url": "https://hc-ping.com"}, []),
        (
            {"url": "https://hc-ping.com/0b4a2d11-1111-4222/{slug}"},
            ["https://hc-ping.com/0b4a2d11-1111-4222/", "0b4a2d11-1111-4222"],
        ),
        (
            {"urls": ["tgram://bottoken-of-the-project/77"]},
            ["tgram://bottoken-of-the-project/77", "bottoken-of-the-project"],
        ),
        ({"key": "a signing key", "name": "desk"}, ["a signing key"]),
        ({"nested": {"API_TOKEN": "abc"}, "count": 5}, ["abc"]),
    ],
)
def test_the_secrets_in_options_are_found(options: dict[str, Any], expected: list[str]) -> None:
    assert list(secrets_in(options)) == expected
