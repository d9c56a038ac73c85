from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from django_runbook.wording import short_id
from tests.browser.conftest import Person

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

# The contrast of each status with its background, according to WCAG 2.
CONTRASTS = """() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const light = (color) => {
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        const parts = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((part) => part / 255);
        const [r, g, b] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = light(getComputedStyle(document.body).backgroundColor);
    return [...document.querySelectorAll(".rb-badge, .rb-note, .rb-count, .rb-id, .rb-role")].map((element) => {
        const text = light(getComputedStyle(element).color);
        return (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
    });
}"""


def row(page: Page, name: str) -> Locator:
    return page.locator("tr.rb-row").filter(has=page.get_by_role("link", name=name, exact=True))


def bars(page: Page, name: str) -> list[tuple[float, float]]:
    """The left end and the width of the bars of a row, relative to the axis."""
    row_bars = row(page, name).locator(".rb-bar")
    axis = page.locator("#rb-axis").bounding_box()
    assert axis is not None
    boxes = [row_bars.nth(number).bounding_box() for number in range(row_bars.count())]
    return [((box["x"] - axis["x"]) / axis["width"], box["width"] / axis["width"]) for box in boxes if box is not None]


def test_the_timeline_of_a_failed_run_is_to_scale(person: Person) -> None:
    run = person.site.call("make", kind="failed_run")
    page = person.page()
    page.goto(person.site.run_url(run))
    assert page.locator(".rb-timeline").get_by_role("columnheader").all_inner_texts()[:3] == [
        "Step",
        "Status",
        "Duration",
    ]
    assert row(page, "rebuild_index").locator("td").first.inner_text() == "failed"
    first, second = bars(page, "Import LGA")
    # 122 s in all: from 17.6 s for 6 s, and from 25.6 s to 39.8 s.
    assert first == pytest.approx((17.6 / 122, 6 / 122), abs=0.005)
    assert second == pytest.approx((25.6 / 122, 14.2 / 122), abs=0.005)
    drawn = row(page, "Import LGA").get_by_role("img")
    assert drawn.get_attribute("aria-label") == "attempt 1: failed, 6.0s; attempt 2: succeeded, 14s"
    page.get_by_role("row", name="rebuild_index").get_by_role("link", name="rebuild_index").click()
    assert page.get_by_role("heading", name="Error").is_visible()
    assert "1,234 lines omitted" in page.locator(".rb-output").inner_text()


def test_a_running_run_updates_without_a_reload(person: Person) -> None:
    run = person.site.call("make", kind="running_run")
    page = person.page()
    page.goto(person.site.run_url(run))
    page.evaluate("window.isTheSame = true")
    progress = row(page, "Backfill delay classes").locator(".rb-count")
    assert progress.inner_text() == "5,000 of 20,000 (25%)"
    narrow = bars(page, "migrate")[0][1]
    page.get_by_role("link", name="Backfill delay classes").focus()

    person.site.call("progress", run=run, done=12_000)
    page.get_by_text("12,000 of 20,000 (60%)").wait_for()
    assert re.search(r"\d+/s, .+ left", row(page, "Backfill delay classes").inner_text())
    # The row was replaced but keeps the focus; earlier bars are narrower on the longer axis.
    assert page.evaluate("document.activeElement.textContent") == "Backfill delay classes"
    assert bars(page, "migrate")[0][1] < narrow

    person.site.call("proceed", run=run)
    row(page, "report").wait_for()
    assert page.locator("tr.rb-row th a").all_inner_texts()[-1] == "report"
    assert row(page, "Backfill delay classes").locator("td").first.inner_text() == "succeeded"

    person.site.call("finish", run=run)
    page.get_by_text("The run has ended.").wait_for()
    assert page.locator(".rb-summary .rb-badge").inner_text() == "succeeded"
    assert page.get_by_role("status").inner_text() == "succeeded: 3 succeeded"
    assert page.evaluate("document.querySelector('.rb-run').dataset.live") == ""
    assert page.evaluate("window.isTheSame") is True


def test_the_page_of_a_running_step_appends_new_output(person: Person) -> None:
    run = person.site.call("make", kind="running_run")
    page = person.page()
    page.goto(person.site.run_url(run))
    page.get_by_role("link", name="Backfill delay classes").click()
    output = page.locator("#rb-lines")
    assert not output.is_visible()
    person.site.call("write", run=run, head="<b>one</b>\ntwo")
    page.get_by_text("<b>one</b>").wait_for()
    person.site.call("write", run=run, head="<b>one</b>\ntwo\nthree", tail="eight", omitted=4)
    page.get_by_text("eight").wait_for()
    assert output.inner_text() == "<b>one</b>\ntwo\nthree\n4 lines omitted\neight"
    person.site.call("finish", run=run)
    page.get_by_text("The step has ended").wait_for()
    assert page.get_by_role("status").inner_text() == "succeeded"
    assert page.locator(".rb-headline .rb-badge").inner_text() == "succeeded"


def test_a_run_that_dies_while_its_page_is_open_becomes_interrupted(person: Person) -> None:
    run = person.site.call("make", kind="running_run")
    page = person.page()
    page.goto(person.site.run_url(run))
    person.site.call("die", run=run)
    page.get_by_text(f"--resume {short_id(run)}").wait_for()
    assert row(page, "Backfill delay classes").locator("td").first.inner_text() == "interrupted"


def test_a_resumed_run_shows_both_attempts(person: Person) -> None:
    run = person.site.call("make", kind="resumed_run")
    page = person.page()
    page.goto(person.site.run_url(run))
    assert page.locator(".rb-seam-label").text_content() == "resumed after 2d00h"
    first, second = bars(page, "import")
    assert first[0] + first[1] == pytest.approx(0.5, abs=0.01)
    assert second[0] == pytest.approx(0.5, abs=0.01)


def test_the_steps_are_reached_by_keyboard_in_their_order(person: Person) -> None:
    run = person.site.call("make", kind="failed_run")
    page = person.page()
    page.goto(person.site.run_url(run))
    page.get_by_role("link", name="migrate", exact=True).focus()
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent"))
    assert reached == ["Load data", "reference_data", "Import each airport", "Import EWR"]
    page.get_by_role("link", name="rebuild_index").last.focus()
    page.keyboard.press("Enter")
    traceback = page.locator("details").filter(has=page.get_by_text("Traceback", exact=True))
    traceback.locator("summary").focus()
    page.keyboard.press("Enter")
    traceback.get_by_text("TransportError: 429").wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_texts_have_enough_contrast_in_both_themes(person: Person, theme: str) -> None:
    page = person.page(color_scheme=theme)
    pages = [person.site.run_url(person.site.call("make", kind=kind)) for kind in ("failed_run", "running_run")]
    for url in (*pages, f"{person.site.url}/admin/django_runbook/run/"):
        page.goto(url)
        found = page.evaluate(CONTRASTS)
        assert found
        assert min(found) >= 4.5


def test_a_narrow_window_needs_no_horizontal_scrolling(person: Person) -> None:
    page = person.page(viewport={"width": 400, "height": 800})
    page.goto(person.site.run_url(person.site.call("make", kind="failed_run")))
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 400
    # The label of a status is hidden, but not from screen readers.
    assert page.get_by_role("row", name="rebuild_index").get_by_role("cell", name="failed", exact=True).count() == 1


def test_no_column_of_the_list_of_runs_is_truncated(person: Person) -> None:
    for kind in ("failed_run", "resumed_run"):
        person.site.call("make", kind=kind)
    person.site.call("die", run=person.site.call("make", kind="running_run"))
    page = person.page(viewport={"width": 1280, "height": 900})
    page.goto(f"{person.site.url}/admin/django_runbook/run/")
    cut = (
        "[...document.querySelectorAll('#changelist-form, .results')].filter(one => one.scrollWidth > one.clientWidth)"
    )
    assert page.evaluate(f"{cut}.length") == 0


def test_nothing_is_animated_with_reduced_motion(person: Person) -> None:
    run = person.site.call("make", kind="running_run")
    page = person.page(reduced_motion="reduce")
    page.goto(person.site.run_url(run))
    bar = row(page, "Backfill delay classes").locator(".rb-bar")
    assert bar.evaluate("bar => getComputedStyle(bar).animationName") == "none"


def test_the_page_is_complete_without_scripts(person: Person) -> None:
    run = person.site.call("make", kind="running_run")
    page = person.page(java_script_enabled=False)
    page.goto(person.site.run_url(run))
    assert "the state of the run when it was loaded" in page.locator(".rb-live").inner_text()
    assert bars(page, "migrate")
    person.site.call("progress", run=run, done=19_000)
    page.get_by_role("link", name="Reload").click()
    assert "19,000 of 20,000" in row(page, "Backfill delay classes").inner_text()
