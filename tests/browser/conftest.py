"""Provides a site in its own process, and a headless Chromium that fails the test on any error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

ROOT = Path(__file__).parent.parent.parent
NAMES = ("chromium", "chromium-browser", "google-chrome")
# Limits each wait for the page, which polls every two seconds.
WAIT_MS = 1000 * PATIENCE_SECONDS


def missing(reason: str) -> None:
    """Skip the test, or fail if everything must be installed."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass(frozen=True, kw_only=True)
class Site:
    """The site, with its URL and its requests."""

    process: subprocess.Popen[str]
    url: str

    def call(self, name: str, **arguments: object) -> Any:
        """Send a request and return the response."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps([name, arguments])}\n")
        self.process.stdin.flush()
        return answer_of(self.process)

    def run_url(self, run: str) -> str:
        return f"{self.url}/admin/django_runbook/run/{run}/change/"


def answer_of(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the site process has ended"
    return json.loads(line)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    environ = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.browser.settings",
        "BROWSER_SITE_DATABASE": str(folder / "site.sqlite3"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "example_project")]),
    }
    command = [sys.executable, "-m", "tests.browser.site"]
    log = (folder / "log").open("w")
    with (
        log,
        subprocess.Popen(
            command, env=environ, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        ) as process,
    ):
        try:
            yield Site(process=process, url=f"http://127.0.0.1:{answer_of(process)}")
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        missing(f"no browser tests: {error}")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        missing(f"no browser tests: there is none of {', '.join(NAMES)}, and CHROMIUM names none")
    with sync_playwright() as playwright:
        # Without a sandbox, which containers do not support; it loads only our pages.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass(kw_only=True)
class Person:
    """A user who has logged in, with all errors of their pages."""

    site: Site
    chromium: Browser
    cookies: list[Any]
    troubles: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def page(self, **options: Any) -> Page:
        """A new page in its own window."""
        context = self.chromium.new_context(**options)
        self.contexts.append(context)
        context.set_default_timeout(WAIT_MS)
        context.add_cookies(self.cookies)
        page = context.new_page()
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.troubles.append(f"script: {error}"))
        page.on("requestfailed", lambda request: self.troubles.append(f"not loaded: {request.url}"))
        return page

    def _note(self, message: ConsoleMessage) -> None:
        # Violations of the policy are reported in the console too. The icon of the site does not matter.
        if message.type in {"error", "warning"} and not message.location["url"].endswith("/favicon.ico"):
            self.troubles.append(f"{message.type}: {message.text}")


@pytest.fixture(scope="module")
def cookies(site: Site, chromium: Browser) -> list[Any]:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{site.url}/admin/")
    page.fill("#id_username", "ada")
    page.fill("#id_password", "lovelace")
    page.click("[type=submit]")
    page.wait_for_selector("#user-tools")
    found = context.cookies()
    context.close()
    return list(found)


@pytest.fixture
def person(site: Site, chromium: Browser, cookies: list[Any]) -> Iterator[Person]:
    person = Person(site=site, chromium=chromium, cookies=cookies)
    yield person
    for context in person.contexts:
        context.close()
    assert person.troubles == []
