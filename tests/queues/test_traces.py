"""A trace continues on workers: what runs there has its spans below those of the run that has queued it."""

from __future__ import annotations

import re

import pytest

from tests import tracing
from tests.queues.project import Project
from tests.reporters.loopback import serve
from tests.tracing import attributes_of

pytestmark = pytest.mark.slow
OUTER = """
name: Outer
steps:
  - {id: there, name: There, command: show_variable TRACEPARENT, queue: QUEUE}
  - {id: nested, name: Nested, command: run_runbook inner.yml --format plain --verbosity 2, queue: QUEUE}
  - id: loop
    name: Item ${{ item }}
    command: show_variable TRACEPARENT
    for_each: [a, b]
    max_parallel: 2
    queue: QUEUE
  - {id: split, name: Split, command: add_hits --batch-size 30 --seconds 0, shards: 2, queue: QUEUE}
  - {id: again, name: Again, command: run_runbook flaky.yml, retry: {attempts: 2, delay: 0s}, queue: QUEUE}
"""
INNER = "name: Inner\nsteps: [{id: deep, name: Deep, command: show_variable TRACEPARENT, queue: QUEUE}]\n"
RESUMED = """
name: Outer
steps:
  - {id: first, name: First, command: noop}
  - {id: second, name: Second, command: fail --counter calls --until 2}
"""
ITEMS = {"Item a", "Item b"}
FLAKY = "name: Flaky\nsteps: [{id: flaky, name: Try, command: fail --counter calls --until 2}]\n"


@pytest.mark.parametrize("engine", ["redis", "tasks"])
def test_the_spans_of_workers_are_below_those_of_the_run(project: Project) -> None:
    project.write(OUTER)
    (project.directory / "inner.yml").write_text(INNER.replace("QUEUE", project.queue))
    (project.directory / "flaky.yml").write_text(FLAKY)
    with serve() as service:
        project.more = {tracing.VARIABLE: service.url()}
        # One of them waits for the other, in the runbook that it runs.
        with project.worker("a"), project.worker("b"):
            code, output = project.run("--verbosity=2")
        spans = tracing.all_spans_of(service)
    assert code == 0, output
    names = {span.span_id: re.sub(r"^Split.+", "a shard", span.name) for span in spans}
    assert sorted((names[span.span_id], names.get(span.parent_span_id, "")) for span in spans) == [
        ("Again", "RUN Outer"),
        ("Deep", "RUN Inner"),
        ("Item a", "loop"),
        ("Item b", "loop"),
        ("Nested", "RUN Outer"),
        # One for each attempt of the step.
        ("RUN Flaky", "Again"),
        ("RUN Flaky", "Again"),
        ("RUN Inner", "Nested"),
        ("RUN Outer", ""),
        ("Split", "RUN Outer"),
        ("There", "RUN Outer"),
        ("Try", "RUN Flaky"),
        ("Try", "RUN Flaky"),
        ("a shard", "Split"),
        ("a shard", "Split"),
        ("loop", "RUN Outer"),
    ]
    assert len({span.trace_id for span in spans}) == 1
    # What the commands on the workers have seen are their own spans; the messages had none.
    own = {(span.trace_id.hex(), span.span_id.hex()) for span in spans if span.name in {"There", "Deep"} | ITEMS}
    assert set(re.findall(r"TRACEPARENT=00-(\w{32})-(\w{16})-", output)) == own
    by_name = {span.name: span for span in spans}
    assert [event.name for event in by_name["Again"].events] == ["exception"]
    for name in ("There", "Nested", "Item a", "Deep", "Again"):
        attributes = attributes_of(by_name[name])
        assert attributes["django_runbook.queue"] == project.queue
        assert str(attributes["cicd.worker.id"]).startswith(f"{attributes['cicd.worker.name']}:")


@pytest.mark.parametrize("engine", ["tasks"])
def test_a_resumed_run_is_a_trace_of_its_own_with_the_same_run_id(project: Project) -> None:
    project.write(RESUMED)
    with serve() as service:
        project.more = {tracing.VARIABLE: service.url()}
        codes = [project.run()[0], project.run("--resume")[0]]
        spans = tracing.all_spans_of(service)
    assert codes == [1, 0]
    first, second = sorted(
        (span for span in spans if span.name == "RUN Outer"),
        key=lambda span: attributes_of(span)["django_runbook.attempt"],
    )
    assert first.trace_id != second.trace_id
    assert attributes_of(first)["cicd.pipeline.run.id"] == attributes_of(second)["cicd.pipeline.run.id"]
    assert attributes_of(second)["django_runbook.attempt"] == 2
    # What was completed before has no second span.
    traces = [(span.name, 1 if span.trace_id == first.trace_id else 2) for span in spans]
    assert sorted(traces) == [("First", 1), ("RUN Outer", 1), ("RUN Outer", 2), ("Second", 1), ("Second", 2)]
