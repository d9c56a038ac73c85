"""The strictest policy for content that a page of the admin can have: all that it needs comes from its own site."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"


def strict_policy(respond: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Sends the policy with each page."""

    def with_policy(request: HttpRequest) -> HttpResponseBase:
        response = respond(request)
        response["Content-Security-Policy"] = POLICY
        return response

    return with_policy
