"""Binds a command with its parser: finds its options, orders its tokens and checks them."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator

from django_runbook import argparse_compat
from django_runbook.binding import injection, option_tokens
from django_runbook.binding.catalog import CommandSpec
from django_runbook.binding.checking_parser import CheckingParser, ParseOutcome, is_refused
from django_runbook.binding.finding import OptionError, find, find_in
from django_runbook.binding.option_tokens import OptionTokens
from django_runbook.binding.orderings import Level, levels_of, matches_intent, orderings, values_in_line
from django_runbook.binding.partial_text import UNKNOWN, holes_of
from django_runbook.binding.refusals import explain, name_of
from django_runbook.binding.rules import RULES, AcceptedCommand
from django_runbook.binding.unbound import Piece, Problems
from django_runbook.binding.verbosity import with_verbosity
from django_runbook.document.diagnostics import Diagnostic, Span, diagnose
from django_runbook.document.runbook import Option
from django_runbook.structs import Struct


class CheckedCommand(Struct):
    """Binds one command that has a parser."""

    problems: Problems
    spec: CommandSpec
    parser: CheckingParser
    args: list[Piece]
    databases: Collection[str]

    def bound(self) -> tuple[Collection[str], bool]:
        """Return the tokens, and whether they are fully checked."""
        problems, parser, words = self.problems, self.parser, self._words()
        alone = parser.parse([word.text for word in words])
        plain = parser.parse([piece.text for piece in (*words, *self.args)]) if self.args else alone
        if plain.is_cut or any(self._has_unknown_name(word) for word in words):
            return option_tokens.unchecked_tokens(problems, self.args, is_deferred=True), False
        levels = levels_of(parser, plain)
        is_astray = _is_astray(plain)
        options = list(self._options_as_tokens(levels, alone, is_astray=is_astray))
        orders = list(orderings(words, options, self.args, levels=levels, starters=injection.starters(parser)))
        values = values_in_line(words, alone)
        best: list[Piece] | None = None
        for ordering in orders:
            outcome = alone if ordering is words else parser.parse([piece.text for piece in ordering])
            if best is None and (outcome.refusal is None or outcome.refusal.kind != "extra"):
                best = ordering
            if (
                outcome.refusal is None
                and matches_intent(ordering, outcome)
                and values_in_line(ordering, outcome) == values
            ):
                accepted = AcceptedCommand(
                    command=self.problems.command, ordering=ordering, outcome=outcome, databases=self.databases
                )
                self.problems.found += (item for rule in RULES for item in rule(accepted))
                return self._final(ordering, outcome), not outcome.absent
        best = best or orders[0]
        self._explain(best)
        return [piece.text for piece in best], True

    def unchecked(self) -> Collection[str]:
        """Return the tokens of a command that parses its own command line: its parser may not accept them."""
        problems, words = self.problems, self._words()
        command = problems.command
        problems.found.append(
            diagnose(
                "RB421",
                message=f'"{command.name}" parses its own command line: its arguments cannot be checked',
                span=command.name_span,
                help_text="it receives the command line as written, as from manage.py",
            )
        )
        for word in words:
            action = argparse_compat.flags_of(self.parser.root).get(word.text.partition("=")[0])
            if action is not None and is_refused(action, is_root=True):
                problems.found.append(_meaningless(name_of(action), word.span))
        alone = self.parser.parse([word.text for word in words])
        levels = levels_of(self.parser, alone)
        options = list(self._options_as_tokens(levels, alone, is_astray=True))
        orders = list(orderings(words, options, self.args, levels=levels, starters=injection.starters(self.parser)))
        outcomes = (self.parser.parse([piece.text for piece in ordering]) for ordering in orders)
        fitting = (
            ordering
            for ordering, outcome in zip(orders, outcomes, strict=True)
            if outcome.refusal is None and matches_intent(ordering, outcome)
        )
        return [piece.text for piece in next(fitting, orders[0])]

    def _words(self) -> list[Piece]:
        return [Piece(word.text, word.span, "word") for word in self.problems.command.words]

    def _has_unknown_name(self, word: Piece) -> bool:
        """Return whether the name of an option is not known before the run."""
        name = word.text.partition("=")[0]
        holes = [hole for hole in holes_of(word.text) if hole < len(name)]
        if not holes or holes[0] == 0 or word.text[0] not in self.parser.prefixes:
            return False
        actions = [argparse_compat.flags_of(one).get(name[:2]) for one in self.parser.parsers]
        return name[:1] == name[1:2] or not any(action is not None and action.nargs != 0 for action in actions)

    def _final(self, ordering: list[Piece], outcome: ParseOutcome) -> list[str]:
        command = self.problems.command
        if command.verbosity is not None:
            ordering = with_verbosity(
                ordering, outcome, self.parser, verbosity=command.verbosity, span=command.name_span
            )
        return [piece.text for piece in ordering]

    def _explain(self, ordering: list[Piece]) -> None:
        problems, command = self.problems, self.problems.command
        has_unknown_option = any(option.value.value is UNKNOWN for option in command.options)
        explain(problems, self.parser, ordering, has_unknown_option=has_unknown_option)
        if not problems.found and not has_unknown_option:
            problems.add(
                "RB408",
                f'"{command.name}" cannot be given these values: its parser reads them as something else',
                command.name_span,
                "a value that begins with a dash cannot be one of several values",
            )

    def _options_as_tokens(
        self, levels: list[Level], alone: ParseOutcome, *, is_astray: bool
    ) -> Iterator[tuple[int, OptionTokens]]:
        """Yield each option with the level that it belongs to."""
        problems = self.problems
        in_line = {_place(by.action, by.parser) for by in alone.consumptions if by.action.option_strings}
        seen: dict[object, Option] = {}
        for option in problems.command.options:
            try:
                found = self._option_as_tokens(option, levels, is_astray=is_astray)
            except OptionError as error:
                problems.found.append(error.diagnostic)
                continue
            if found is None:
                continue
            action, place = found[1].action, _place(found[1].action, levels[found[0]].parser)
            if action is None or option_tokens.is_repeatable(action):
                yield found
            elif place in in_line or place in seen:
                where = "on the command line" if place in in_line else f'as "{seen[place].name}"'
                problems.add("RB409", f'"{option.name}" is already set {where}', option.name_span, "remove one")
            else:
                seen[place] = option
                yield found

    def _option_as_tokens(
        self, option: Option, levels: list[Level], *, is_astray: bool
    ) -> tuple[int, OptionTokens] | None:
        found = find(option, [level.parser for level in levels])
        if found is None:
            if self.spec.reads_own_argv:
                return len(levels) - 1, option_tokens.to_unchecked_tokens(option, is_deferred=False)
            if is_astray and self._other_parser(option, levels) is not None:
                # The misspelled sub-command is reported already.
                return None
            raise OptionError(self._unknown_option(option, levels))
        is_root = levels[found.level].parser is self.parser.root
        if any(is_refused(match.action, is_root=is_root) for match in found.matches):
            raise OptionError(_meaningless(f'"{option.name}"', option.name_span))
        return found.level, option_tokens.to_tokens(option, found.matches, starters=injection.starters(self.parser))

    def _other_parser(self, option: Option, levels: list[Level]) -> argparse.ArgumentParser | None:
        """Return the parser of another sub-command that has the option."""
        taken = [level.parser for level in levels]
        others = (one for one in self.parser.parsers if all(one is not parser for parser in taken))
        return next((one for one in others if find_in(option, one)), None)

    def _unknown_option(self, option: Option, levels: list[Level]) -> Diagnostic:
        other = self._other_parser(option, levels)
        if other is None:
            parsers = [level.parser for level in levels]
            return option_tokens.unknown(
                option, command=self.spec.name, parsers=parsers, stealth=self.spec.stealth_options
            )
        actions = (action for one in self.parser.parsers for action in argparse_compat.actions_of(one))
        names = [
            name for action in actions for name, sub in argparse_compat.sub_parsers(action).items() if sub is other
        ]
        return diagnose(
            "RB403",
            message=f'"{option.name}" is an option of the sub-command "{names[0] if names else other.prog}"',
            span=option.name_span,
            help_text="name that sub-command in the command line",
        )


def _meaningless(what: str, span: Span) -> Diagnostic:
    message, help_text = f"{what} has no meaning in a runbook", "remove it: all steps share the settings of run_runbook"
    return diagnose("RB406", message=message, span=span, help_text=help_text)


def _place(action: argparse.Action | None, parser: argparse.ArgumentParser) -> object:
    """Identify what can be set once: an option, or all flags that share a dest."""
    is_flag = isinstance(action, argparse_compat.StoreConstAction)
    return (id(parser), action.dest) if action is not None and is_flag else id(action)


def _is_astray(outcome: ParseOutcome) -> bool:
    """Return whether the tokens name an unknown sub-command."""
    return outcome.refusal is not None and bool(
        outcome.refusal.action
        and argparse_compat.sub_parsers(outcome.refusal.action)
        and outcome.refusal.kind == "value"
    )
