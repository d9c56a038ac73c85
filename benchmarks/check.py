"""Checking a runbook of 1,000 steps without expressions, as a ratio to loading the same file with PyYAML's C loader."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

import yaml

from benchmarks.table import Row, show

STEP = """\
  - id: step_{0}
    name: Step number {0}
    command: say word --to stdout
    description: a text that says what it does
    tags: [a, b]
    options:
      verbosity: 1
      traceback: true
    continue_on_error: false
    retry: 3
    no_log: false
    idempotent: true
"""
ROUNDS = 9


def main() -> None:
    """Print the ratio; the building of parsers is left out: the catalogue has met the command before."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
    import django

    django.setup()
    from django_runbook import checking, clock
    from django_runbook.document import inputs
    from django_runbook.document.syntax import source
    from django_runbook.document.validation import validate
    from django_runbook.planning.plan import plan

    raw = ("steps:\n" + "".join(STEP.format(number) for number in range(1000))).encode()

    def load() -> None:
        yaml.load(raw.decode(), yaml.CSafeLoader)

    def check() -> None:
        text, _ = source.decode(raw, name="steps.yml")
        runbook, diagnostics = validate.load(text)
        assert runbook is not None
        known = inputs.resolve(runbook, inputs.GivenInputs(now=clock.now()))
        planned = plan(runbook, known, checking.new_binder(catalog=catalog))
        assert not [*diagnostics, *planned.diagnostics]

    catalog = checking.new_binder().catalog
    catalog.get("say")
    rounds = [(_seconds(load), _seconds(check)) for _ in range(ROUNDS)]
    loads, checks = [first for first, _ in rounds], [second for _, second in rounds]
    print(f"CSafeLoader      {min(loads) * 1000:.0f} ms")
    print(f"check            {min(checks) * 1000:.0f} ms")
    note = f"median of ratios {statistics.median(second / first for first, second in rounds):.2f}"
    show(Row("checking 1,000 steps", min(checks) / min(loads), "times loading their YAML", 2.0, note=note))


def _seconds(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
