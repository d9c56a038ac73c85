"""Random runbooks run as the model says that they do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, Phase, example, given, note, reject, settings

from tests.examples import examples
from tests.runner.accounts import Call, Together, Trace, UndeterminedError, ids_of
from tests.runner.drawing import cases
from tests.runner.fakes import Called
from tests.runner.model import Model
from tests.runner.played import play
from tests.runner.support import FinishedRun, run
from tests.runner.trees import Block, Case, Command, File, Step, sketch, texts


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Holds what a run reported: of each step its status, whether that is ignored and the attempts; and what happened when."""

    results: Mapping[str, tuple[str, bool, int]]
    happened: Sequence[tuple[str, ...]]
    status: str
    exit_code: int


def check_order(happened: Sequence[tuple[str, ...]], trace: Trace) -> None:
    """That what happened is one of the orders that the trace allows."""
    position = 0
    for item in trace.items:
        if not isinstance(item, Together):
            assert (happened[position] if position < len(happened) else None) == item, happened[:position]
            position += 1
            continue
        ids = set(ids_of(item))
        end = position
        while end < len(happened) and happened[end][1] in ids:
            end += 1
        if not item.is_loose:
            for branch in item.branches:
                own = set(_ids(branch))
                check_order([happening for happening in happened[position:end] if happening[1] in own], branch)
            # How many events come from a loose part inside is unknown.
            assert any(map(_has_loose, item.branches)) or end - position == sum(map(_count, item.branches))
        position = end
    assert list(happened[position:]) == []


def _ids(trace: Trace) -> set[str]:
    return set(ids_of(Together([trace])))


def _count(trace: Trace) -> int:
    return sum(sum(map(_count, item.branches)) if isinstance(item, Together) else 1 for item in trace.items)


def _has_loose(trace: Trace) -> bool:
    inside = [item for item in trace.items if isinstance(item, Together)]
    return any(item.is_loose or any(map(_has_loose, item.branches)) for item in inside)


def agree(model: Model, seen: Seen) -> None:
    """That the runner did what the model says."""
    firm = {key: one for key, one in model.results.items() if key not in model.loose}
    assert {key: one for key, one in seen.results.items() if key not in model.loose} == {
        key: (one.status, one.ignored, one.attempts) for key, one in firm.items()
    }
    check_order(seen.happened, model.trace)
    assert (seen.status, seen.exit_code) == (model.status, model.exit_code)


def check_calls(calls: Sequence[Called], model: Model) -> None:
    """Checks that each command was called as often as it had to be, in the right way, and could read the right names."""
    expected, seen = defaultdict[tuple[str, str], list[Call]](list), defaultdict[tuple[str, str], list[Called]](list)
    for one in model.calls:
        expected[one.step_id, one.at].append(one)
    for call in calls:
        if (call.step_id, call.at) not in model.loose_calls:
            seen[call.step_id, call.at].append(call)
    assert {key: [(one.act, one.is_isolated) for one in own] for key, own in seen.items()} == {
        key: [(one.act, one.is_isolated) for one in own] for key, own in expected.items()
    }
    for key, own in seen.items():
        for call, one in zip(own, expected[key], strict=True):
            assert all(value in allowed for value, allowed in zip(call.read, one.read, strict=True)), (call, one)


def foretold(case: Case) -> Model:
    """Runs a case in the model; a case that could end in more than one way is drawn again."""
    note(sketch(case))
    model = Model(case)
    try:
        model.run()
    except UndeterminedError:
        reject()
    return model


def leaf(step_id: str, act: str, *, reads: tuple[str, ...] = (), **keys: Any) -> Step:
    return Step(id=step_id, body=Command(scripts=((act,),), reads=reads), **keys)


# A step that may run out of time uses up that of the file, and the steps after it are not run.
CUT = Block(
    steps=(leaf("c1", "hang", continue_on_error=(124,)), leaf("c2", "ok")),
    on_failure=(leaf("c3", "ok", reads=("status", "failed_step")),),
)
# It runs out of its own, and a handler of the last step takes that of the file.
OWN = Block(
    steps=(
        leaf("c1", "hang", timeout=2, continue_on_error=(124,)),
        Step(id="g", body=Block(steps=(leaf("c2", "ok"),), on_success=(leaf("c3", "hang"),))),
    ),
    on_success=(leaf("c4", "ok", reads=("status",)),),
)


@pytest.mark.slow
@given(cases())
@example(Case(file=File(name="main.yml", block=CUT, timeout=5)))
@example(Case(file=File(name="main.yml", block=OWN, timeout=5)))
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_random_runbooks_run_as_the_model_says(case: Case) -> None:
    model, played = foretold(case), play(case)
    result = played.result
    results = {one.step_id: (one.status.value, one.ignored, one.attempt_count) for one in result.steps}
    assert len(results) == len(result.steps)
    happened = played.happened()
    agree(model, Seen(results=results, happened=happened, status=result.status.value, exit_code=result.exit_code))
    check_calls(played.commands.calls, model)


_ACTS = {
    ("ok",): "say",
    ("exit 3",): "fail --code 3",
    ("exit 4",): "fail --code 4",
    ("exit 3", "ok"): "fail --code 3 --until 2",
    ("hang",): "work --how plain",
}


@pytest.mark.slow
@given(cases(is_real=True))
@settings(max_examples=examples(6), phases=[Phase.reuse, Phase.generate])
@override_settings(RUNBOOK={"STOP_TIMEOUT": 0.5, "JOURNAL": False, "ISOLATE": True})
def test_random_runbooks_run_as_the_model_says_in_processes_of_their_own(case: Case) -> None:
    model = foretold(case)
    with TemporaryDirectory() as name:
        ended = run_for_real(case, Path(name))
    steps = ended.events[-1]["result"]["steps"]
    results = {one["step_id"]: (one["status"], one["ignored"], one["attempt_count"]) for one in steps}
    happened = [happening for event in ended.events if (happening := _happening(event))]
    agree(model, Seen(results=results, happened=happened, status=ended.status, exit_code=ended.exit_code))


def run_for_real(case: Case, directory: Path) -> FinishedRun:
    """Run a case with commands that do what their scripts say."""

    def words(step_id: str, command: Command, place: str) -> dict[str, object]:
        keys: dict[str, object] = {"command": _ACTS[command.scripts[0]]}
        if command.scripts[0] == ("exit 3", "ok"):
            keys["options"] = {"counter": f"{directory}/{step_id}.{place}"}
        if command.scripts[0] == ("hang",):
            keys["options"] = {"log": f"{directory}/log"}
        if command.reads:
            keys["args"] = [f"${{{{ run.{name} }}}}" for name in command.reads]
        return keys

    written = dict(texts(case.file, words))
    for name, text in written.items():
        (directory / name).write_text(text)
    options = {"tags": list(case.tags), "skip_tags": list(case.skip_tags), "keep_going": case.keep_going}
    return run(directory, written[case.file.name], **options)


def _happening(event: dict[str, Any]) -> tuple[str, ...]:
    match event["event"]:
        case "step_started":
            return ("start", event["step_id"])
        case "attempt_failed":
            return ("retry", event["step_id"], str(event["attempt"]))
        case "step_finished":
            return ("end", event["result"]["step_id"], event["result"]["status"])
    return ()
