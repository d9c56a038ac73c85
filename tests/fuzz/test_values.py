"""Whatever a run meets as data, its report is whole: no internal error, no secret, no control character, and `finally`.

Each seed makes a file of data, parameters and secrets at random; ``RUNBOOK_FUZZ_SEEDS`` asks for more of them.
"""

from __future__ import annotations

import base64
import io
import json
import os
import random
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client, override_settings
from django.urls import reverse

from django_runbook.cleaning import cleaned
from django_runbook.models import Run, StepRun
from tests.admin.support import OURS, client_of
from tests.nasty import NASTY, hidden_in

SEEDS: Final = int(os.environ.get("RUNBOOK_FUZZ_SEEDS", "8"))
FORMATS: Final = ("plain", "rich", "jsonl", "github")
PIECES: Final = (
    NASTY,
    "\x1b[2J",
    "\u202e",
    "::error::x",
    "<b>&amp;",
    "${{ 1 }}",
    "%0A",
    "'\"\\",
    "../..",
    "-x",
    "@f",
    "*",
)
RUNBOOK: Final = """
name: Fuzz
params: {{word: "", many: 3}}
secrets: [FUZZ_SECRET]
vars: {{greeting: "hello ${{{{ params.word }}}}"}}
lock: "run of ${{{{ params.word }}}}"
steps:
  - {{id: data, command: "show_file {data}", capture: json}}
  - {{id: text, command: "show_file {text}", capture: text}}
  - command: say
    name: "loop over ${{{{ item | string }}}}"
    for_each: ${{{{ steps.data.output.list }}}}
    args: ["a ${{{{ item | string }}}}"]
    continue_on_error: true
  - command: say
    for_each: ${{{{ steps.data.output.list }}}}
    args: ["word ${{{{ vars.greeting }}}}"]
    options: {{to: stderr}}
    continue_on_error: true
  - command: say
    name: "text ${{{{ steps.text.output }}}}"
    args: ["${{{{ steps.text.output }}}}", "${{{{ secrets.FUZZ_SECRET }}}}"]
    lock: "step ${{{{ steps.text.output }}}}"
    continue_on_error: true
  - command: say
    args: ["to ${{{{ steps.data.output.value | tojson }}}}", "${{{{ params.word ~ steps.text.output | upper }}}}"]
    options: {{to: "${{{{ steps.data.output.value }}}}"}}
    continue_on_error: true
  - command: say again
    when: steps.data.output.value == params.word or steps.data.output.list | length > 2
    confirm: "Really ${{{{ steps.text.output }}}}?"
    continue_on_error: true
  - {{command: "show_file {data}", no_log: true}}
finally:
  - effect end --log {log}
"""


class Values:
    """Draws text and plain data from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        letters = "".join(self._random.choices("abcdefghijkmnpqrstuvwxyz23456789", k=8))
        # What is hidden in a secret is not allowed in the environment: NUL, and halves of characters.
        self.secret = letters + self.text(12).replace("\0", "").encode(errors="ignore").decode()

    def text(self, length: int) -> str:
        draw, parts = self._random, list[str]()
        for _ in range(length):
            match draw.randrange(4):
                case 0:
                    parts.append(draw.choice(PIECES))
                case 1:
                    parts.append(chr(draw.randrange(0x11_0000)))
                case _:
                    parts.append(chr(draw.randrange(0x250)))
        return "".join(parts)[:length]

    def leaking(self) -> str:
        """Return a text with the secret in one of its forms."""
        secret = self.secret
        form = self._random.choice(
            (secret, quote(secret), json.dumps(secret), repr(secret), escape(secret), json.dumps(repr(secret)))
        )
        in_base64 = base64.b64encode(secret.encode()).decode()
        return f"{self.text(self._random.randrange(9))} {self._random.choice((form, in_base64))} end"

    def data(self, depth: int = 3) -> Any:
        draw = self._random
        match draw.randrange(9 if depth else 6):
            case 0:
                return self.text(draw.choice((0, 1, 9, 90)))
            case 1:
                return self.leaking()
            case 2:
                return draw.choice((None, True, False, 0, -1, 10**400, 1e308, 0.1))
            case 3 | 4 | 5:
                return self.text(draw.randrange(20))
            case 6 | 7:
                return [self.data(depth - 1) for _ in range(draw.randrange(4))]
        return {self.text(draw.randrange(6)): self.data(depth - 1) for _ in range(draw.randrange(4))}

    def large_text(self) -> str:
        return self.text(self._random.choice((20, 1000, 4000))) * self._random.choice((1, 1, 250)) + self.leaking()


def strings_of(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for one in value:
                yield from strings_of(one)
        case dict():
            for name, one in value.items():
                yield from strings_of(name)
                yield from strings_of(one)


def check(text: str, secret: str, *, where: str) -> None:
    assert hidden_in(text) == [], where
    for form in (secret, cleaned(secret), secret[:8]):
        assert form not in text, where


def pages() -> Iterator[tuple[str, str]]:
    client: Client = client_of(*OURS)
    urls = [reverse("admin:django_runbook_run_changelist")]
    urls += [reverse("admin:django_runbook_run_change", args=(run.pk,)) for run in Run.objects.all()]
    urls += [reverse("admin:django_runbook_steprun_change", args=(step.pk,)) for step in StepRun.objects.all()]
    for url in urls:
        response = client.get(url)
        assert response.status_code == 200
        yield url, unescape(response.content.decode())


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_value_harms_a_run_or_its_report(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values, format_ = Values(seed), FORMATS[seed % len(FORMATS)]
    monkeypatch.setenv("FUZZ_SECRET", values.secret)
    paths = {name: tmp_path / name for name in ("data", "text", "log")}
    items = [values.data() for _ in range(seed % 5)]
    paths["data"].write_text(json.dumps({"list": items, "value": values.data()}))
    paths["text"].write_text(values.large_text(), errors="replace")
    paths["log"].touch()
    (tmp_path / "fuzz.yml").write_text(RUNBOOK.format(**paths))
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        with override_settings(RUNBOOK={**settings.RUNBOOK, "JOURNAL": True}):
            call_command(
                "run_runbook",
                str(tmp_path / "fuzz.yml"),
                param=[f"word={values.text(15)}"],
                format=format_,
                verbosity=seed % 3,
                yes=True,
                junit=str(tmp_path / "junit.xml"),
                log_dir=str(tmp_path / "logs"),
                stdout=out,
                stderr=err,
            )
    except CommandError as error:
        code = error.returncode
        err.write(str(error))
    assert code in {0, 1}, err.getvalue()
    assert "end end" in paths["log"].read_text()
    shown = {"output": out.getvalue(), "errors": err.getvalue()}
    if format_ == "jsonl":
        shown["output"] = "\n".join(strings_of([json.loads(line) for line in out.getvalue().splitlines()]))
    report = ElementTree.parse(tmp_path / "junit.xml")
    shown["junit"] = "\n".join(
        (*report.getroot().itertext(), *(one for e in report.iter() for one in e.attrib.values()))
    )
    shown |= {path.name: path.read_text() for path in (tmp_path / "logs").rglob("*.log")}
    for command, more in (("show_runs", {}), ("show_runs", {"run": Run.objects.get().pk})):
        answer = io.StringIO()
        call_command(command, stdout=answer, **more)
        shown[f"{command} {more}"] = answer.getvalue()
    for where, text in (*shown.items(), *pages()):
        check(text, values.secret, where=where)
