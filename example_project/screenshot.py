"""Takes the screenshots of the admin: a run that failed and was resumed, and the durations of the Flight desk."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "images" / "admin-run.png"
DURATIONS = ROOT / "docs" / "images" / "admin-durations.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SERVER_SECONDS = 30
USER, PASSWORD = "ada", secrets.token_urlsafe()


def main() -> None:
    """Run, serve, and write the screenshot."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        sys.exit(f"No browser: there is none of {', '.join(BROWSERS)}, and CHROMIUM names none.")
    with tempfile.TemporaryDirectory() as folder:
        desk = _copy_to(Path(folder))
        _fail_and_resume(desk)
        _manage(desk, "createsuperuser", "--no-input", "--username", USER, "--email", "ada@example.com")
        with _server(desk) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            page = _log_in(browser, address)
            _take_picture(page)
            _add_nights(desk)
            _take_durations(page, address)
            browser.close()
    sys.stdout.write(f"{PICTURE.relative_to(ROOT)}\n{DURATIONS.relative_to(ROOT)}\n")


def _copy_to(folder: Path) -> Path:
    leave_out = shutil.ignore_patterns("var", "__pycache__")
    shutil.copytree(ROOT / "runbooks", folder / "runbooks")
    return shutil.copytree(ROOT / "example_project", folder / "example_project", ignore=leave_out)


def _fail_and_resume(desk: Path) -> None:
    """Fail a run at a truncated file, restore the file, and resume the run."""
    feed = desk / "data" / "flights-2013-01.csv.gz"
    whole = feed.read_bytes()
    feed.write_bytes(whole[: len(whole) * 3 // 5])
    _manage(desk, "run_runbook", "daily.yml", exit_code=1)
    feed.write_bytes(whole)
    _manage(desk, "run_runbook", "daily.yml", "--resume")


def _add_nights(desk: Path) -> None:
    """Add earlier nights to a run that succeeded in one go."""
    _manage(desk, "run_runbook", "daily.yml")
    subprocess.run([sys.executable, "nights.py"], cwd=desk, env=_environ(desk), check=True)


def _manage(desk: Path, *arguments: str, exit_code: int = 0) -> None:
    done = subprocess.run([sys.executable, "manage.py", *arguments], cwd=desk, env=_environ(desk), check=False)
    if done.returncode != exit_code:
        sys.exit(f"{' '.join(arguments)}: exit code {done.returncode}")


def _environ(desk: Path) -> dict[str, str]:
    return {**os.environ, "FLIGHTDESK_VAR": str(desk / "var"), "DJANGO_SUPERUSER_PASSWORD": PASSWORD}


@contextmanager
def _server(desk: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "manage.py", "runserver", "--noreload", "--insecure", "--verbosity=0", address]
    with subprocess.Popen(command, cwd=desk, env=_environ(desk), stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(f"http://{address}/admin/login/")
            yield f"http://{address}"
        finally:
            process.terminate()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + SERVER_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=SERVER_SECONDS).close()  # noqa: S310 - our own server
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _log_in(browser: Browser, address: str) -> Page:
    page = browser.new_page(viewport={"width": 1180, "height": 900}, color_scheme="light", device_scale_factor=1.5)
    page.goto(f"{address}/admin/login/?next=/admin/django_runbook/run/")
    page.fill("#id_username", USER)
    page.fill("#id_password", PASSWORD)
    page.click("[type=submit]")
    page.click("#toggle-nav-sidebar")
    return page


def _take_picture(page: Page) -> None:
    page.click("#result_list .field-title a")
    page.wait_for_url("**/change/")
    page.mouse.move(0, 0)
    # Below the steps are details of this machine.
    steps = page.locator(".rb-timeline").bounding_box()
    assert steps is not None
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    height = steps["y"] + steps["height"] + 16
    page.screenshot(path=PICTURE, full_page=True, clip={"x": 0, "y": 0, "width": 1180, "height": height})


def _take_durations(page: Page, address: str) -> None:
    page.goto(f"{address}/admin/django_runbook/run/statistics/?runbook=daily.yml")
    # The weeks after the plot are many.
    weeks = page.locator("section table tbody tr").nth(2).bounding_box()
    assert weeks is not None
    height = weeks["y"] + weeks["height"] + 8
    page.screenshot(path=DURATIONS, full_page=True, clip={"x": 0, "y": 0, "width": 1180, "height": height})


if __name__ == "__main__":
    main()
