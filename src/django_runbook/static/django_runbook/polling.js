// Polls the server for what has changed on a page, until there is nothing to poll for. A slow server is polled less often,
// so that polling takes at most a tenth of its time; a hidden page does not poll.
"use strict";

// `page.dataset.live` is the address, and empty at the end; `query` returns what follows it. `show` gets each answer, and
// returns whether it is the last one. `live` says how the page is updated; `texts` has `ended` and `removed`.
const pollForChanges = ({ page, live, query, show, texts }) => {
    const MIN_WAIT_MS = 2000;
    const MAX_WAIT_MS = 60000;
    const IDLE_FACTOR = 10;

    let wait = MIN_WAIT_MS;
    let timer = null;
    let isPolling = false;

    const end = (text) => {
        live.textContent = text;
        page.dataset.live = "";
    };

    const poll = async () => {
        const startedAt = performance.now();
        const answer = await fetch(`${page.dataset.live}?${query()}`, {
            credentials: "same-origin",
            headers: { Accept: "application/json" },
            redirect: "manual",
        });
        if (answer.type === "opaqueredirect" || [401, 403, 404].includes(answer.status)) {
            end(texts.removed);
            return;
        }
        if (!answer.ok) {
            throw new Error(`the server answered ${answer.status}`);
        }
        const values = await answer.json();
        wait = Math.min(Math.max(MIN_WAIT_MS, IDLE_FACTOR * (performance.now() - startedAt)), MAX_WAIT_MS);
        if (show(values)) {
            end(texts.ended);
        } else {
            live.textContent = "This page updates automatically.";
        }
    };

    const schedule = () => {
        clearTimeout(timer);
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
};
