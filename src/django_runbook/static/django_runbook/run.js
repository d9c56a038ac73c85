// Keeps the page of a run up to date while the run goes on: it asks for what has changed, puts the rows in their places,
// and stretches the bars to the new scale. The page says all the same things without it.
"use strict";

(() => {
    const MIN_WAIT_MS = 2000;
    const MAX_WAIT_MS = 60000;
    // A server that takes long to answer is asked less often: at most a tenth of its time is ours.
    const IDLE_FACTOR = 10;
    // As the server has it: the smallest bar that can be seen.
    const MIN_WIDTH = 0.4;

    const page = document.querySelector(".rb-run");
    const body = document.getElementById("rb-rows");
    const live = document.getElementById("rb-live");
    const said = document.getElementById("rb-said");
    let since = page.dataset.since;
    let wait = MIN_WAIT_MS;
    let timer = null;
    let isAsking = false;

    const element = (html) => {
        const template = document.createElement("template");
        template.innerHTML = html.trim();
        return template.content.firstElementChild;
    };

    const replace = (old, html) => {
        // Where the focus was, it is again: at the link of the same place.
        const links = [...old.querySelectorAll("a")];
        const focused = links.indexOf(document.activeElement);
        const fresh = element(html);
        old.replaceWith(fresh);
        if (focused >= 0) {
            fresh.querySelectorAll("a")[focused]?.focus({ preventScroll: true });
        }
    };

    const putRow = ({ key, after, html }) => {
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

    const say = (text) => {
        if (said.textContent !== text) {
            said.textContent = text;
        }
    };

    const show = (answer) => {
        replace(document.getElementById("rb-summary"), answer.summary);
        replace(document.getElementById("rb-axis"), answer.axis);
        answer.rows.forEach(putRow);
        if (answer.keys) {
            const kept = new Set(answer.keys.map((key) => `rb-${key}`));
            [...body.children].filter((row) => !kept.has(row.id)).forEach((row) => row.remove());
        }
        stretch(answer.seconds);
        say(`${answer.status}: ${answer.counts}`);
        since = answer.cursor;
    };

    const end = (text) => {
        live.textContent = text;
        page.dataset.live = "";
    };

    const ask = async () => {
        const begun = performance.now();
        const answer = await fetch(`${page.dataset.live}?since=${encodeURIComponent(since)}`, {
            credentials: "same-origin",
            headers: { Accept: "application/json" },
            redirect: "manual",
        });
        if (answer.type === "opaqueredirect" || [401, 403, 404].includes(answer.status)) {
            end("This page is no longer kept up to date: the run, or the permission to see it, is gone.");
            return;
        }
        if (!answer.ok) {
            throw new Error(`the server answered ${answer.status}`);
        }
        const values = await answer.json();
        wait = Math.min(Math.max(MIN_WAIT_MS, IDLE_FACTOR * (performance.now() - begun)), MAX_WAIT_MS);
        show(values);
        if (values.is_finished) {
            end("The run has ended.");
            document.querySelector(".rb-live a")?.remove();
        } else {
            live.textContent = "This page is kept up to date.";
        }
    };

    const later = () => {
        clearTimeout(timer);
        // A page that nobody looks at asks for nothing.
        timer = page.dataset.live && !document.hidden ? setTimeout(tick, wait) : null;
    };

    const tick = async () => {
        if (isAsking || !page.dataset.live) {
            return;
        }
        isAsking = true;
        try {
            await ask();
        } catch {
            wait = Math.min(wait * 2, MAX_WAIT_MS);
            live.textContent = `The server does not answer; it is asked again in ${Math.round(wait / 1000)} s.`;
        }
        isAsking = false;
        later();
    };

    document.addEventListener("visibilitychange", () => (document.hidden ? later() : tick()));
    live.textContent = "This page is kept up to date.";
    later();
})();
