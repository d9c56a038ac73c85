// Updates the page of a running run: polls for changed rows, inserts them, and rescales the bars. Without this script,
// the page has the same content but does not change.
"use strict";

(() => {
    const MIN_WAIT_MS = 2000;
    const MAX_WAIT_MS = 60000;
    // A slow server is polled less often, so that polling takes at most a tenth of its time.
    const IDLE_FACTOR = 10;
    // The smallest visible bar, as on the server.
    const MIN_WIDTH = 0.4;

    const page = document.querySelector(".rb-run");
    const body = document.getElementById("rb-rows");
    const live = document.getElementById("rb-live");
    const status = document.getElementById("rb-announcement");
    let since = page.dataset.since;
    let wait = MIN_WAIT_MS;
    let timer = null;
    let isPolling = false;

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

    const end = (text) => {
        live.textContent = text;
        page.dataset.live = "";
    };

    const poll = async () => {
        const startedAt = performance.now();
        const answer = await fetch(`${page.dataset.live}?since=${encodeURIComponent(since)}`, {
            credentials: "same-origin",
            headers: { Accept: "application/json" },
            redirect: "manual",
        });
        if (answer.type === "opaqueredirect" || [401, 403, 404].includes(answer.status)) {
            end("This page is no longer updated: the run or the permission to view it was removed.");
            return;
        }
        if (!answer.ok) {
            throw new Error(`the server answered ${answer.status}`);
        }
        const values = await answer.json();
        wait = Math.min(Math.max(MIN_WAIT_MS, IDLE_FACTOR * (performance.now() - startedAt)), MAX_WAIT_MS);
        show(values);
        if (values.is_finished) {
            end("The run has ended.");
            document.querySelector(".rb-live a")?.remove();
        } else {
            live.textContent = "This page updates automatically.";
        }
    };

    const schedule = () => {
        clearTimeout(timer);
        // A hidden page does not poll.
        timer = page.dataset.live && !document.hidden ? setTimeout(tick, wait) : null;
    };

    const tick = async () => {
        if (isPolling || !page.dataset.live) {
            return;
        }
        isPolling = true;
        try {
            await poll();
        } catch {
            wait = Math.min(wait * 2, MAX_WAIT_MS);
            live.textContent = `The server does not respond; retrying in ${Math.round(wait / 1000)} s.`;
        }
        isPolling = false;
        schedule();
    };

    document.addEventListener("visibilitychange", () => (document.hidden ? schedule() : tick()));
    live.textContent = "This page updates automatically.";
    schedule();
})();
