from __future__ import annotations

import re
from argparse import ArgumentParser

import pytest
from django.core.management import CommandError, load_command_class

from django_runbook.argparse_compat import flags_of
from django_runbook.document.keys import NODE_KEYS, Kind
from django_runbook.document.validation.schema import FIELDS
from django_runbook.management.foreign_options import FOREIGN_OPTIONS


def parser_of(command: str) -> ArgumentParser:
    return load_command_class("django_runbook", command).create_parser("manage.py", command)


def options_of(command: str) -> set[str]:
    return set(flags_of(parser_of(command)))


def refusal(command: str, *words: str) -> str:
    with pytest.raises(CommandError) as caught:
        parser_of(command).parse_args(list(words))
    return str(caught.value)


@pytest.mark.parametrize("option", sorted(FOREIGN_OPTIONS))
def test_an_option_of_another_tool_is_answered_with_ours(option: str) -> None:
    assert f"{option}: {FOREIGN_OPTIONS[option]}" in refusal("run_runbook", "nightly.yml", option)


@pytest.mark.parametrize("option", sorted(FOREIGN_OPTIONS))
def test_a_command_that_only_checks_names_the_one_that_runs(option: str) -> None:
    assert f"{option}: with run_runbook, {FOREIGN_OPTIONS[option]}" in refusal("check_runbooks", option)


def test_no_word_is_an_option_of_ours() -> None:
    assert set(FOREIGN_OPTIONS) & (options_of("run_runbook") | options_of("check_runbooks")) == set()


def test_the_answers_name_existing_options_commands_and_keys() -> None:
    keys = {key for kind in Kind for key in (*NODE_KEYS[kind], *FIELDS[kind])}
    for answer in FOREIGN_OPTIONS.values():
        for quoted in re.findall(r'"([^"]+)"', answer):
            first, *others = quoted.split()
            if first == "manage.py":
                load_command_class("django_runbook", others[0])
            else:
                assert first in (options_of("run_runbook") if first.startswith("-") else keys), quoted


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["-e", "day=2013-01-31", "nightly.yml"], '-e: use "--param NAME=VALUE"'),
        (["nightly.yml", "--extra-vars=day=2013-01-31"], '--extra-vars: use "--param NAME=VALUE"'),
        # Even where something else is missing too.
        (["--list-tasks"], '--list-tasks: use "--list"'),
        (["nightly.yml", "--parm", "day=1"], '--parm: did you mean "--param"?'),
        (["nightly.yml", "-eday=1"], '-e: use "--param NAME=VALUE"'),
        (["nightly.yml", "-tdata"], '-t: use "--tags TAG"'),
        (["nightly.yml", "-vvv"], '-vvv: use "--verbosity 2"'),
    ],
)  # fmt: skip
def test_the_hint_follows_the_error_of_the_parser(words: list[str], hint: str) -> None:
    message = refusal("run_runbook", *words)
    assert message.startswith("Error: ")
    assert message.endswith(f"; {hint}")


def test_two_options_with_one_answer_are_both_named() -> None:
    assert refusal("run_runbook", "a.yml", "--check", "--diff").count(': use "') == 2


def test_words_after_two_dashes_and_values_are_no_options() -> None:
    assert "use" not in refusal("run_runbook", "a.yml", "--", "-e")
