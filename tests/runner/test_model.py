"""Random runbooks run as the model says that they do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from hypothesis import HealthCheck, given, note, reject, settings

from tests.runner.drawing import cases
from tests.runner.fakes import Called
from tests.runner.model import Call, Model, Together, Trace, UndeterminedError, ids_of
from tests.runner.played import Played, play
from tests.runner.trees import Case, sketch


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
                check_order([told for told in happened[position:end] if told[1] in own], branch)
            assert end - position == sum(map(_count, item.branches))
        position = end
    assert list(happened[position:]) == []


def _ids(trace: Trace) -> set[str]:
    return set(ids_of(Together([trace])))


def _count(trace: Trace) -> int:
    return sum(sum(map(_count, item.branches)) if isinstance(item, Together) else 1 for item in trace.items)


def agree(case: Case, model: Model, ran: Played) -> None:
    """That the runner did what the model says."""
    status, exit_code = model.status, model.exit_code
    results = {result.step_id: result for result in ran.result.steps}
    firm = {step_id: one for step_id, one in model.results.items() if step_id not in model.loose}
    seen = {step_id: one for step_id, one in results.items() if step_id not in model.loose}
    assert {key: (one.status.value, one.tolerated) for key, one in seen.items()} == {
        key: (one.status, one.tolerated) for key, one in firm.items()
    }
    assert {key: one.attempt_count for key, one in seen.items()} == {key: one.attempts for key, one in firm.items()}
    assert len(ran.result.steps) == len(results)
    check_calls(ran.commands.calls, model)
    check_order(ran.happened(), model.trace)
    assert (ran.result.status.value, ran.result.exit_code) == (status, exit_code)


def check_calls(calls: Sequence[Called], model: Model) -> None:
    """That each command was called as often as it had to be, in the right way, and was told what there was to tell."""
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
            assert all(told in allowed for told, allowed in zip(call.told, one.told, strict=True)), (call, one)


@given(cases())
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_random_runbooks_run_as_the_model_says(case: Case) -> None:
    note(sketch(case))
    model = Model(case)
    try:
        model.run()
    except UndeterminedError:
        reject()
    agree(case, model, play(case))
