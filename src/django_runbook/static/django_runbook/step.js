// Updates the page of a running step: appends its new lines. Without this script, the page has the lines so far.
"use strict";

(() => {
    // A command may write for hours: of its output, this many additions stay on the page.
    const MAX_ADDITIONS = 100;
    const END_PX = 4;

    const page = document.querySelector(".rb-one");
    const output = document.getElementById("rb-lines");
    const status = document.getElementById("rb-announcement");

    const append = (lines) => {
        if (lines.length > 0) {
            const isAfterText = output.lastChild?.nodeType === Node.TEXT_NODE;
            output.append((isAfterText ? "\n" : "") + lines.join("\n"));
        }
    };

    const show = (answer) => {
        const isAtEnd = output.scrollHeight - output.scrollTop - output.clientHeight < END_PX;
        document.getElementById("rb-headline").outerHTML = answer.headline;
        append(answer.head);
        if (answer.omitted) {
            const cut = document.createElement("span");
            cut.className = "rb-cut";
            cut.textContent = answer.omitted;
            output.append(cut);
        }
        append(answer.tail);
        while (output.childNodes.length > MAX_ADDITIONS) {
            output.firstChild.remove();
        }
        if (isAtEnd) {
            output.scrollTop = output.scrollHeight;
        }
        page.dataset.seen = answer.seen_count;
        return answer.is_finished;
    };

    pollForChanges({
        page,
        live: document.getElementById("rb-live"),
        query: () => `seen=${page.dataset.seen}`,
        show: (answer) => {
            const isLast = show(answer);
            if (isLast) {
                status.textContent = answer.status;
            }
            return isLast;
        },
        texts: {
            ended: "The step has ended; reload the page for its result.",
            removed: "This page is no longer updated: the run or the permission to view it was removed.",
        },
    });
})();
