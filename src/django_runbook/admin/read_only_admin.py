"""Shows rows without allowing changes, and cleans every response of control characters."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_permission_codename
from django.db import Error
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse

from django_runbook.cleaning import cleaned, cleaned_values
from django_runbook.exceptions import JournalLost


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # ModelAdmin takes no parameter at run time
    """Shows rows, read-only, to users with the permission to view them."""

    actions = None
    # Counting all rows of a large table takes long.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_view(request, self.model)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        # No stored text contains NUL, and PostgreSQL rejects it in a query.
        is_valid = not any("\0" in text for _, texts in request.GET.lists() for text in texts)
        return rows if is_valid else rows.none()

    def get_urls(self) -> list[URLPattern]:
        """Return the views, and clean their responses of control characters."""
        patterns: list[URLPattern] = [*self.own_urls(), *super().get_urls()]
        for pattern in patterns:
            pattern.callback = _clean_view(self._readable(pattern.callback))
        return patterns

    def _readable(self, view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        """Let a view say in a page what is wrong with the tables of the history."""

        @functools.wraps(view)
        def read(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                return view(request, *args, **kwargs)
            except Error:
                # Each command of a project with an admin imports this file at its start.
                from django_runbook.journal import unreadable

                try:
                    unreadable.refuse_other_tables(self.get_queryset(request).db)
                except JournalLost as error:
                    response = self.respond(request, "django_runbook/unreadable.html", title="Runs", reason=str(error))
                    response.status_code = 503
                    return response
                raise

        return read

    def own_urls(self) -> list[URLPattern]:
        """Return the views that this class adds to Django's."""
        return []

    def url(self, name: str, *args: object) -> str:
        """Return the URL of an added view on this site."""
        return reverse(f"admin:django_runbook_{name}", args=args, current_app=self.admin_site.name)

    def respond(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        """Render a page of the admin."""
        request.current_app = self.admin_site.name  # as Django's own views do
        context = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        return TemplateResponse(request, template, context)


def _clean_view(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Clean the responses of a view, because stored values come from commands and from older versions."""

    @functools.wraps(view)
    def clean(*args: Any, **kwargs: Any) -> HttpResponse:
        response = view(*args, **kwargs)
        if isinstance(response, TemplateResponse):
            response.add_post_render_callback(_clean_page)
        elif isinstance(response, JsonResponse):
            response.content = json.dumps(cleaned_values(json.loads(response.content), is_long=True))
        return response

    return clean


def _clean_page(response: HttpResponse) -> None:
    response.content = cleaned(response.content.decode())


def may_view(request: HttpRequest, model: type[Model]) -> bool:
    """Return whether a user has Django's permission to view or to change the rows of a model."""
    meta = model._meta
    return any(
        request.user.has_perm(f"{meta.app_label}.{get_permission_codename(action, meta)}")
        for action in ("view", "change")
    )
