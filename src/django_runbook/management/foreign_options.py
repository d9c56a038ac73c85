"""Answers the options of other tools with ours, on the command lines of run_runbook and check_runbooks."""

from __future__ import annotations

import itertools
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from django_runbook.argparse_compat import flags_of
from django_runbook.document.similar_names import suggestion

_PARAM: Final = 'use "--param NAME=VALUE"'
_DRY_RUN: Final = 'use "--dry-run", which gives --dry-run to each command, or "--plan"'
_PLAN: Final = 'use "--plan", which shows what would run'
_ONLY_HERE: Final = "a runbook runs on this host; remove it"
_USER: Final = "a command runs as the user of this process; start it as that user"
_PARALLEL: Final = 'use "parallel" or "max_parallel" in the file'
_SECRETS: Final = 'pass secrets as environment variables that the file lists under "secrets"'
_VERBOSITY: Final = 'use "--verbosity 2"'
_KEEP_GOING: Final = 'use "--keep-going"'
_NO_QUESTIONS: Final = 'use "--yes"'

# The words of Ansible, go-task, make, GitHub's act, Rundeck and Fabric.
FOREIGN_OPTIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("-e", "--extra-vars", "--var", "--vars", "--set", "--input", "--params", "--parameter"), _PARAM),
    **dict.fromkeys(("-C", "--check", "-n", "--dryrun", "--just-print", "--noop"), _DRY_RUN),
    **dict.fromkeys(("-D", "--diff"), 'use "--plan", or "manage.py diff_runbook" for a change of the file'),
    **dict.fromkeys(("--syntax-check", "--validate", "--lint"), 'use "manage.py check_runbooks"'),
    **dict.fromkeys(("--list-tasks", "--list-steps", "--list-tags", "--list-all"), 'use "--list"'),
    "--show": _PLAN,
    "--graph": _PLAN,
    "--explain": _PLAN,
    **dict.fromkeys(("--start-at-task", "--start-from", "--from", "--from-step"), 'use "--start-at ID"'),
    **dict.fromkeys(("--step-by-step", "--interactive"), 'use "--step"'),
    **dict.fromkeys(("-t", "--tag"), 'use "--tags TAG"'),
    **dict.fromkeys(("--exclude-tags", "--skip-tag"), 'use "--skip-tags TAG"'),
    **dict.fromkeys(("--steps", "--task", "--job", "-j"), 'use "--only ID"'),
    **dict.fromkeys(("--exclude", "--omit"), 'use "--skip ID"'),
    **dict.fromkeys(("-l", "--limit", "--subset"), f'use "--only ID" for steps; {_ONLY_HERE}'),
    **dict.fromkeys(("-i", "--inventory", "-H", "--hosts", "--list-hosts", "-c", "--connection"), _ONLY_HERE),
    **dict.fromkeys(("-b", "--become", "--become-user", "-u", "--user", "--sudo", "-K", "--ask-become-pass"), _USER),
    **dict.fromkeys(("--forks", "--parallel", "--concurrency", "--jobs"), _PARALLEL),
    **dict.fromkeys(("--ask-vault-pass", "--vault-password-file", "--vault-id", "--secret", "-s"), _SECRETS),
    **dict.fromkeys(("--env", "--env-file"), "set environment variables before you start the run"),
    **dict.fromkeys(("--verbose", "-V", "-vv", "-vvv", "-vvvv", "--debug"), _VERBOSITY),
    **dict.fromkeys(("-q", "--quiet", "--silent"), 'use "--verbosity 0"'),
    **dict.fromkeys(("-k", "--continue", "--continue-on-error", "--ignore-errors", "--no-fail-fast"), _KEEP_GOING),
    **dict.fromkeys(("--fail-fast", "--exitfirst"), "a run ends at its first failure; remove it"),
    **dict.fromkeys(("--noinput", "--no-input", "--no-interactive", "--confirm", "-y"), _NO_QUESTIONS),
    **dict.fromkeys(("--force", "--force-handlers"), 'use "--rerun ID" with "--resume" to repeat a step'),
    **dict.fromkeys(("--retry", "--retry-failed", "--restart-failed", "--last-failed"), 'use "--resume"'),
    **dict.fromkeys(("--json", "--output-format", "-o"), 'use "--format jsonl"'),
    **dict.fromkeys(("--log", "--log-file", "--logs"), 'use "--log-dir DIR"'),
    **dict.fromkeys(("--junitxml", "--junit-xml"), 'use "--junit FILE"'),
    "--pdb": 'use "--inline", which runs all steps in this process',
    "--timeout": 'use "timeout" in the file',
    "--schedule": 'use "schedule" in the file, and "manage.py render_schedule"',
    "--help-tasks": 'use "--describe"',
}


def explain_options(parser: ArgumentParser, *, only_checks: bool = False) -> None:
    """Let the errors of a parser name our option for each one that it does not know.

    ``only_checks`` says that the command runs nothing: its answers are about run_runbook.
    """
    given: list[str] = []
    parse, report = parser.parse_known_args, parser.error

    def parse_known_args(args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        given[:] = map(str, args or ())
        # Some of them would be taken for the beginning of another option: --force for --force-color.
        foreign = [word for word in _unknown_options(given, parser) if _option_of(word) in FOREIGN_OPTIONS]
        if foreign:
            parser.error(f"unrecognized arguments: {' '.join(foreign)}")
        return parse(args, namespace)

    def error(message: str) -> Any:
        hints = list(dict.fromkeys(_hints(given, parser, only_checks=only_checks)))
        return report("; ".join([message, *hints]))

    methods: dict[str, Callable[..., Any]] = {"parse_known_args": parse_known_args, "error": error}
    for name, method in methods.items():
        # Of this one instance.
        setattr(parser, name, method)


def _hints(given: Sequence[str], parser: ArgumentParser, *, only_checks: bool) -> Iterator[str]:
    known = flags_of(parser)
    for word in _unknown_options(given, parser):
        option = _option_of(word)
        if option in FOREIGN_OPTIONS:
            hint = FOREIGN_OPTIONS[option]
            yield f"{option}: with run_runbook, {hint}" if only_checks else f"{option}: {hint}"
        elif option.startswith("--") and not any(one.startswith(option) for one in known):
            near = suggestion(option, sorted(one for one in known if one.startswith("--")))
            if near:
                yield f"{option}: {near}"


def _option_of(word: str) -> str:
    """Return the option of a word that may hold its value too: ``--tag=a``, ``-ta``."""
    option = word.partition("=")[0]
    is_long = word.startswith("--") or option in FOREIGN_OPTIONS
    return word[:2] if not is_long and word[:2] in FOREIGN_OPTIONS else option


def _unknown_options(given: Sequence[str], parser: ArgumentParser) -> list[str]:
    known = flags_of(parser)
    words = itertools.takewhile(lambda word: word != "--", given)
    return [word for word in words if word.startswith("-") and word.partition("=")[0] not in known]
