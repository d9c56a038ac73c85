"""Plans steps that are known to be skipped: their names are checked, their values are not."""

from __future__ import annotations

import datetime

import pytest

from django_runbook.binding.binder import Binder
from django_runbook.binding.catalog import Catalog
from django_runbook.document.inputs import GivenInputs, resolve
from django_runbook.document.syntax import source
from django_runbook.document.validation import validate
from django_runbook.planning.plan import Plan, plan

NOW = datetime.datetime(2013, 1, 31, 6, tzinfo=datetime.UTC)
HEAD = """
params:
  ids: {type: list, default: []}
  mode: {choices: [full, delta], default: delta}
  limit: {type: integer, default: null}
  day: {type: date, default: "${{ today }}"}
vars:
  is_first: ${{ params.day.day == 1 }}
steps:
"""


def plan_of(steps: str, **given: str) -> Plan:
    runbook, problems = validate.load(source.Source(path="a.yml", text=HEAD + steps))
    assert problems == []
    assert runbook is not None
    return plan(
        runbook, resolve(runbook, GivenInputs(params=given, now=NOW, run={"id": "1"})), Binder(catalog=Catalog())
    )


def codes_of(steps: str, **given: str) -> list[str]:
    return [item.code for item in plan_of(steps, **given).diagnostics]


WRONG = "  - {command: migrate, options: {verbosity: '${{ params.ids }}'}, when: WHEN}\n"


@pytest.mark.parametrize(
    ("when", "codes"),
    [
        ("params.ids | length > 0", []),
        ("params.mode == 'full'", []),
        ("false", []),
        ("params.limit is not none", []),
        ("today.day == 1", []),
        ("vars.is_first", []),
        ("params.mode == 'delta'", ["RB404"]),
        ("params.ids | length == 0", ["RB404"]),
        ("true", ["RB404"]),
    ],
)
def test_values_of_a_skipped_step_are_not_checked(when: str, codes: list[str]) -> None:
    assert codes_of(WRONG.replace("WHEN", f'"{when}"')) == codes


def test_values_are_checked_if_the_condition_depends_on_the_run() -> None:
    steps = "  - {id: one, command: say a, capture: text}\n" + WRONG.replace("WHEN", "steps.one.output == 'b'")
    assert codes_of(steps) == ["RB404"]


@pytest.mark.parametrize(
    ("step", "codes"),
    [
        ("{command: no_such_command, when: false}", ["RB401"]),
        ("{command: migrate, options: {no_such_option: 1}, when: false}", ["RB403"]),
        ("{command: migrate, continue_on_error: [NoSuchError], when: false}", ["RB417"]),
        ("{command: migrate --verbosity 9, when: false}", []),
        ("{command: parse_required, when: false}", []),
        ("{command: say, args: ['${{ 1 / (params.ids | length) }}'], when: false}", []),
        ("{command: say a, for_each: '${{ params.ids[0] }}', when: false}", []),
        ("{steps: [{command: migrate, options: {verbosity: '${{ params.ids }}'}}], when: false}", []),
        ("{steps: [{command: migrate, options: {verbosity: 9}}], when: false}", []),
        ("{steps: [{steps: [no_such_command]}], when: false}", ["RB401"]),
        ("{command: say, options: {to: '${{ item }}'}, for_each: [a, b], when: false}", []),
        ("{command: say, options: {to: '${{ item }}'}, for_each: [stdout, b], when: true}", ["RB404"]),
    ],
)
def test_names_are_checked_and_values_are_not(step: str, codes: list[str]) -> None:
    assert codes_of(f"  - {step}\n") == codes


@pytest.mark.parametrize("when", ["today.day == 1", "now.hour == 3", "params.day.day == 1", "vars.is_first"])
def test_names_are_checked_if_the_step_could_run_on_another_day(when: str) -> None:
    assert codes_of(f"  - {{command: migrate --verbosity 9, when: {when}}}\n") == ["RB404"]
    assert codes_of(f"  - {{command: migrate, options: {{verbosity: '${{{{ params.ids }}}}'}}, when: {when}}}\n") == []


def test_an_omitted_parameter_omits_its_option() -> None:
    step = "  - {command: parse_typed, options: {count: '${{ params.limit }}'}}\n"
    assert plan_of(step).steps["parse_typed"].binding.tokens == ()
    assert plan_of(step, limit="3").steps["parse_typed"].binding.tokens == ("--count=3",)
    assert codes_of("  - {command: say, args: ['${{ params.limit }}']}\n") == ["RB404"]


@pytest.mark.parametrize("value", ["'${{ params.mode }}'", "'${{ [{1: 2}][0] }}'", "{a: 1}", "[{a: 1}]"])
def test_a_mapping_is_an_error_at_its_position(value: str) -> None:
    found = plan_of(f"  - {{command: parse_typed, options: {{mode: {value}}}}}\n").diagnostics
    assert [item.span.column for item in found] == ([] if "mode }" in value else [44 + value.startswith("[")])


def test_an_atomic_step_with_an_unknown_database_is_accepted() -> None:
    one = "  - {id: one, command: say a, capture: text}\n"
    step = "  - {command: 'flush --no-input --database=${{ steps.one.output }}', atomic: true}\n"
    assert "RB419" not in codes_of(one + step)


def test_a_given_day_is_known() -> None:
    assert codes_of("  - {command: migrate --verbosity 9, when: params.day.day == 1}\n", day="2013-02-02") == []


def test_a_condition_that_cannot_be_decided_is_an_error_before_the_run() -> None:
    assert codes_of("  - {command: noop, when: 'params.ids[0] == 1'}\n") == ["RB320"]
    assert codes_of("  - {command: noop, when: params.limit > 5}\n") == ["RB320"]
    assert codes_of("  - {steps: [{command: noop, when: params.limit > 5}], when: params.limit is not none}\n") == []


def test_a_step_that_was_not_checked_is_bound_again_if_it_runs() -> None:
    planned = plan_of(WRONG.replace("WHEN", "false"))
    assert not planned.steps["migrate"].is_final
    planned = plan_of("  - {command: say a, when: false}\n")
    assert planned.steps["say"].is_final


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("days(1)", "a duration (timedelta)"),
        ("now.tzinfo", "a time zone (tzinfo)"),
        ("[{'a': 1}][0]", "a mapping"),
    ],
)
def test_the_kind_of_a_value_that_no_command_takes_is_named(source: str, kind: str) -> None:
    (found,) = plan_of(f'  - command: say\n    args: ["${{{{ {source} }}}}"]\n').diagnostics
    assert found.message.startswith(f'"{source}" ')
    assert kind in found.message
