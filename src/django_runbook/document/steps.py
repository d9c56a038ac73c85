"""Nodes of step lists to Steps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from django_runbook.document.diagnostics import Diagnostic, nearest
from django_runbook.document.keys import EXPECTED, FOREIGN, HANDLERS, MAX_ATTEMPTS, NOT_YET, VERBS, Kind
from django_runbook.document.nodes import Hole, Mapping, Node, Scalar, Sequence, span_of
from django_runbook.document.reading import Keys, Reading, Typed
from django_runbook.document.runbook import Block, CommandStep, GroupStep, Located, Option, Retry, Step
from django_runbook.document.scalars import describe, resolve

_NOT_A_NAME = re.compile(r"[^a-z0-9_]+")


@dataclass(slots=True, kw_only=True)
class StepReader:
    """Reads the steps of one file. ``defaults`` are the entries that each command step starts from."""

    reading: Reading
    defaults: list[tuple[Scalar, Node]] = field(default_factory=list)
    _ids: dict[str, Scalar] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def reserve_ids(self, root: Node) -> None:
        """Note all ids that the file gives, so that no unnamed step takes one of them."""
        for key, value in _entries_below(root):
            if key.text != "id" or not isinstance(value, Scalar):
                continue
            first = self._ids.setdefault(value.text, value)
            if first is not value:
                self.reading.diagnostics.append(
                    Diagnostic(
                        code="RB207",
                        message=f'two steps have the id "{value.text}"',
                        span=span_of(value),
                        help="give each step an id of its own",
                        related=span_of(first),
                        related_message="the first one",
                    )
                )

    def block(self, typed: Typed | None, keys: Keys) -> Block:
        """The steps and the handlers of the file or of a group."""
        lists = {key: self._steps(key, keys) for key in ("steps", *HANDLERS)}
        return Block(
            steps=lists["steps"],
            on_success=lists["on_success"],
            on_failure=lists["on_failure"],
            finally_=lists["finally"],
            fail_fast=(typed or {}).get("fail_fast", True),
        )

    def _steps(self, key: str, keys: Keys) -> tuple[Step, ...]:
        if key not in keys:
            return ()
        key_node, node = keys[key]
        if isinstance(node, Hole):
            return ()
        is_empty = isinstance(node, Scalar) and resolve(node) is None
        if is_empty or (isinstance(node, Sequence) and not node.items):
            where = key_node if is_empty else node
            self.reading.report(
                "RB208", f'"{key}" is empty', where, help_text="list at least one step, or leave it out"
            )
            return ()
        if not isinstance(node, Sequence):
            self.reading.expected(key, "a list of steps", node)
            return ()
        return tuple(step for item in node.items if (step := self._step(item)) is not None)

    def _step(self, node: Node) -> Step | None:
        if isinstance(node, Hole):
            return None
        if isinstance(node, Mapping):
            return self._mapping(node)
        if isinstance(node, Scalar) and isinstance(resolve(node), str) and node.text.strip():
            return self._bare(node)
        message = f"a step must be a command line or a mapping, not {describe(node)}"
        self.reading.report("RB205", message, node, help_text='write "command: …", or the command line alone')
        return None

    def _bare(self, node: Scalar) -> CommandStep | None:
        if self.defaults:
            key = Scalar("command", True, node.start, node.start)  # noqa: FBT003 - a position in a named tuple
            return self._command(Mapping([(key, node)], node.start, node.end), at=node)
        tokens = self.reading.command_line(node, "command")
        if not tokens:
            return None
        name = self._name_of(tokens)
        return CommandStep(id=self._new_id(name), name=name, span=tokens[0].span, command=tokens)

    def _mapping(self, node: Mapping) -> Step | None:
        verbs = [(key, value) for key, value in node.entries if key.text in VERBS]
        if not verbs:
            self._report_no_verb(node)
            return None
        if len(verbs) > 1:
            names = " and ".join(f'"{key.text}"' for key, _ in verbs)
            self.reading.report("RB209", f"a step has {names}", verbs[1][0], help_text="make two steps of it")
            return None
        verb = verbs[0][0]
        if verb.text in NOT_YET:
            self.reading.unknown_key(verb, Kind.COMMAND)
            return None
        return self._command(node, at=verbs[0][1]) if verb.text == "command" else self._group(node, at=verb)

    def _report_no_verb(self, node: Mapping) -> None:
        known = self.reading.known_keys(Kind.COMMAND)
        unknown = [key for key, _ in node.entries if key.text not in known]
        for key in unknown:
            self.reading.unknown_key(key, Kind.COMMAND)
        is_verb = any(nearest(key.text, VERBS) or _names_a_verb(key.text) for key in unknown)
        if not is_verb:
            where = node.entries[0][0] if node.entries else node
            self.reading.report("RB204", 'a step needs "command" or "steps"', where, help_text='add "command: …"')

    def _command(self, node: Mapping, *, at: Node) -> CommandStep | None:
        own = {key.text for key, _ in node.entries}
        inherited = [entry for entry in self.defaults if entry[0].text not in own]
        full = Mapping([*node.entries, *inherited], node.start, node.end) if inherited else node
        typed, keys = self.reading.fields(full, Kind.COMMAND)
        tokens = self.reading.command_line(keys["command"][1], "command")
        name = self._name_of(tokens) if tokens else "command"
        common = self._common(typed, keys, default_name=name)
        args, options = self._args(keys), self._options(keys)
        if not tokens:
            return None
        given = {key: value for key, value in (typed or {}).items() if key in {"capture", "idempotent"}}
        return CommandStep(span=span_of(at), command=tokens, args=args, options=options, **given, **common)

    def _group(self, node: Mapping, *, at: Scalar) -> GroupStep | None:
        typed, keys = self.reading.fields(node, Kind.GROUP)
        name_node = keys.get("name", (None, None))[1]
        name = name_node.text if isinstance(name_node, Scalar) and name_node.text else "group"
        common = self._common(typed, keys, default_name=name)
        return GroupStep(span=span_of(at), block=self.block(typed, keys), **common)

    def _common(self, typed: Typed | None, keys: Keys, *, default_name: str) -> Typed:
        given = typed or {}
        settings: Typed = {
            "retry": self._retry(keys),
            "name": self.reading.template(keys["name"][1], "name") if "name" in keys else default_name,
            "id": given.get("id") or self._new_id(default_name),
        }
        if "when" in keys:
            settings["when"] = self.reading.condition(keys["when"][1], "when")
        if "confirm" in keys:
            settings["confirm"] = self.reading.template(keys["confirm"][1], "confirm")
        settings |= {key: given[key] for key in ("description", "no_log") if key in given}
        settings |= {
            key: tuple(given[key]) if isinstance(given[key], list) else given[key]
            for key in ("tags", "continue_on_error")
            if key in given
        }
        return settings

    def _retry(self, keys: Keys) -> Retry | None:
        if "retry" not in keys:
            return None
        node = keys["retry"][1]
        if isinstance(node, Scalar) and type(attempts := resolve(node)) is int:
            if 1 <= attempts <= MAX_ATTEMPTS:
                return Retry(attempts=attempts)
            self.reading.expected("retry", EXPECTED["attempts"], node)
            return None
        if not isinstance(node, Mapping):
            self.reading.expected("retry", "the number of attempts, or a mapping with attempts, delay, …", node)
            return None
        typed, fields = self.reading.fields(node, Kind.RETRY)
        delay = self.reading.duration(fields.get("delay", (None, None))[1], "delay", default=1.0)
        max_delay = self.reading.duration(fields.get("max_delay", (None, None))[1], "max_delay", default=60.0)
        until = self.reading.condition(fields["until"][1], "until") if "until" in fields else None
        if typed is None:
            return None
        if typed.get("errors") is not None:
            typed["errors"] = tuple(typed["errors"])
        longest = max_delay if "max_delay" in fields else max(max_delay, delay)
        return Retry(delay_seconds=delay, max_delay_seconds=longest, until=until, **typed)

    def _args(self, keys: Keys) -> tuple[Located, ...]:
        if "args" not in keys:
            return ()
        node = keys["args"][1]
        if isinstance(node, Sequence):
            return tuple(self.reading.value(item) for item in node.items if not isinstance(item, Hole))
        self.reading.expected("args", "a list of values", node)
        return ()

    def _options(self, keys: Keys) -> tuple[Option, ...]:
        if "options" not in keys:
            return ()
        node = keys["options"][1]
        if isinstance(node, Mapping):
            return tuple(
                Option(name=key.text, name_span=span_of(key), value=self.reading.value(value))
                for key, value in node.entries
            )
        self.reading.expected("options", "a mapping of option names to values", node)
        return ()

    def _name_of(self, tokens: tuple[Located, ...]) -> str:
        name = tokens[0].value
        return name if isinstance(name, str) else "command"

    def _new_id(self, name: str) -> str:
        base = name if re.fullmatch(r"[\w-]+", name) else _NOT_A_NAME.sub("_", name.lower()).strip("_") or "group"
        while True:
            count = self._counts[base] = self._counts.get(base, 0) + 1
            step_id = base if count == 1 else f"{base}-{count}"
            if step_id not in self._ids:
                return step_id


def _names_a_verb(word: str) -> bool:
    help_text = FOREIGN.get(word, "")
    return word in NOT_YET or any(f'"{verb}"' in help_text for verb in VERBS)


def _entries_below(root: Node) -> Iterator[tuple[Scalar, Node]]:
    """The entries of all steps of a file, in its order."""
    if not isinstance(root, Mapping):
        return
    for key, value in root.entries:
        if key.text in {"steps", *HANDLERS} and isinstance(value, Sequence):
            for item in value.items:
                if isinstance(item, Mapping):
                    yield from item.entries
                    yield from _entries_below(item)
