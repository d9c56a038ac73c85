// Updates the page of a running run: polls for changed rows, inserts them, and rescales the bars. Without this script,
// the page has the same content but does not change.
"use strict";

(() => {
    // The smallest visible bar, as on the server.
    const MIN_WIDTH = 0.4;

    const page = document.querySelector(".rb-run");
    const body = document.getElementById("rb-rows");
    const live = document.getElementById("rb-live");
    const status = document.getElementById("rb-announcement");
    let since = page.dataset.since;

    const element = (html) => {
        const template = document.createElement("template");
        template.innerHTML = html.trim();
        return template.content.firstElementChild;
    };

    const replace = (old, html) => {
        // Restore the focus to the corresponding link.
        const links = [...old.querySelectorAll("a")];
        const focused = links.indexOf(document.activeElement);
        const fresh = element(html);
        old.replaceWith(fresh);
        if (focused >= 0) {
            fresh.querySelectorAll("a")[focused]?.focus({ preventScroll: true });
        }
    };

    const insertRow = ({ key, after, html }) => {
        const old = document.getElementById(`rb-${key}`);
        if (old) {
            replace(old, html);
            return;
        }
        const before = document.getElementById(`rb-${after}`);
        const fresh = element(html);
        if (before) {
            before.after(fresh);
        } else {
            body.prepend(fresh);
        }
        body.querySelector(".rb-none")?.remove();
    };

    const stretch = (seconds) => {
        for (const bar of body.querySelectorAll("rect[data-begin]")) {
            const left = (100 * bar.dataset.begin) / seconds;
            const width = Math.max((100 * bar.dataset.end) / seconds - left, MIN_WIDTH);
            bar.setAttribute("x", `${Math.max(0, Math.min(left, 100 - width)).toFixed(2)}%`);
            bar.setAttribute("width", `${width.toFixed(2)}%`);
        }
    };

    const announce = (text) => {
        if (status.textContent !== text) {
            status.textContent = text;
        }
    };

    const show = (answer) => {
        replace(document.getElementById("rb-summary"), answer.summary);
        replace(document.getElementById("rb-axis"), answer.axis);
        answer.rows.forEach(insertRow);
        if (answer.keys) {
            const kept = new Set(answer.keys.map((key) => `rb-${key}`));
            [...body.children].filter((row) => !kept.has(row.id)).forEach((row) => row.remove());
        }
        stretch(answer.seconds);
        announce(`${answer.status}: ${answer.counts}`);
        since = answer.cursor;
    };

    pollForChanges({
        page,
        live,
        query: () => `since=${encodeURIComponent(since)}`,
        show: (values) => {
            show(values);
            if (values.is_finished) {
                document.querySelector(".rb-live a")?.remove();
            }
            return values.is_finished;
        },
        texts: {
            ended: "The run has ended.",
            removed: "This page is no longer updated: the run or the permission to view it was removed.",
        },
    });
})();
