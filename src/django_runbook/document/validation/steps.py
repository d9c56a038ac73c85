"""Reads the steps of a file from its nodes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

from django_runbook.cleaning import is_blank
from django_runbook.document.diagnostics import diagnose
from django_runbook.document.expressions import OPEN, Template
from django_runbook.document.keys import HANDLERS, VERBS, Kind
from django_runbook.document.runbook import (
    Block,
    CallStep,
    CommandStep,
    GroupStep,
    Located,
    Option,
    Step,
)
from django_runbook.document.similar_names import typo_of
from django_runbook.document.syntax.nodes import Mapping, MissingNode, Node, Scalar, Sequence, span_of
from django_runbook.document.syntax.scalars import describe, resolve
from django_runbook.document.validation import environment, policies
from django_runbook.document.validation.foreign import FOREIGN
from django_runbook.document.validation.reading import Keys, Reading, Typed
from django_runbook.structs import MutableStruct, field

_NOT_A_NAME = re.compile(r"[^a-z0-9_]+")


class StepReader(MutableStruct):
    """Reads the steps of one file; each command step starts from the entries of ``defaults``."""

    reading: Reading
    defaults: list[tuple[Scalar, Node]] = field(default_factory=list)
    _ids: dict[str, Scalar] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def reserve_ids(self, root: Node) -> None:
        """Collect all ids in the file, so that no generated id repeats one of them."""
        for key, value in _entries_below(root):
            if key.text != "id" or not isinstance(value, Scalar):
                continue
            first = self._ids.setdefault(value.text, value)
            if first is not value:
                self.reading.diagnostics.append(
                    diagnose(
                        "RB207",
                        message=f'duplicate id "{value.text}"',
                        span=span_of(value),
                        help_text="choose a different id for each step",
                        related=span_of(first),
                        related_message="first defined here",
                    )
                )

    def block(self, typed: Typed | None, keys: Keys, *, verb: str = "steps") -> Block:
        """Read the steps and the handlers of the file or of a group."""
        lists = {key: self._steps(key, keys) for key in (verb, *HANDLERS)}
        is_parallel = verb == "parallel"
        return Block(
            steps=lists[verb],
            is_parallel=is_parallel,
            max_parallel=(typed or {}).get("max_parallel") if is_parallel else None,
            on_success=lists["on_success"],
            on_failure=lists["on_failure"],
            finally_=lists["finally"],
            fail_fast=(typed or {}).get("fail_fast", True),
        )

    def _steps(self, key: str, keys: Keys) -> tuple[Step, ...]:
        if key not in keys:
            return ()
        key_node, node = keys[key]
        if isinstance(node, MissingNode):
            return ()
        is_empty = isinstance(node, Scalar) and resolve(node) is None
        if is_empty or (isinstance(node, Sequence) and not node.items):
            where = key_node if is_empty else node
            self.reading.report("RB208", f'"{key}" is empty', where, help_text="list at least one step, or remove it")
            return ()
        if not isinstance(node, Sequence):
            self.reading.expected(key, "a list of steps", node)
            return ()
        return tuple(step for item in node.items if (step := self._step(item)) is not None)

    def _step(self, node: Node) -> Step | None:
        if isinstance(node, MissingNode):
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
            self.reading.report("RB209", f"a step has {names}", verbs[1][0], help_text="split it into two steps")
            return None
        verb = verbs[0][0]
        match verb.text:
            case "command":
                return self._command(node, at=verbs[0][1])
            case "runbook":
                return self._call(node, at=verbs[0][1])
        return self._group(node, at=verb)

    def _report_no_verb(self, node: Mapping) -> None:
        known = self.reading.known_keys(Kind.COMMAND)
        unknown = [key for key, _ in node.entries if key.text not in known]
        for key in unknown:
            self.reading.unknown_key(key, Kind.COMMAND)
        is_verb = any(typo_of(key.text, VERBS) or _names_a_verb(key.text) for key in unknown)
        if not is_verb:
            where = node.entries[0][0] if node.entries else node
            verbs = ", ".join(f'"{verb}"' for verb in VERBS[:-1])
            message = f'a step needs {verbs} or "{VERBS[-1]}"'
            self.reading.report("RB204", message, where, help_text='add "command: …"')

    def _command(self, node: Mapping, *, at: Node) -> CommandStep | None:
        own = {key.text for key, _ in node.entries}
        inherited = [entry for entry in self.defaults if entry[0].text not in own]
        full = Mapping([*node.entries, *inherited], node.start, node.end) if inherited else node
        typed, keys = self.reading.fields(full, Kind.COMMAND)
        tokens = self.reading.command_line(keys["command"][1], "command")
        name = self._name_of(tokens) if tokens else "command"
        common = self._common(typed, keys, default_name=name)
        args, options = self._args(keys), self._mapping_of("options", keys, "a mapping of option names to values")
        shards = policies.shards(keys, typed or {}, self.reading)
        if "shards" in keys:
            self._check_shards(keys)
            # It limits the shards, and no other loop.
            common.pop("max_parallel", None)
        else:
            self._check_bound(keys)
        if not tokens:
            return None
        own_keys = {"capture", "idempotent", "atomic", "isolate", "queue"}
        given = {key: value for key, value in (typed or {}).items() if key in own_keys}
        given |= {"shards": shards, "queue_span": policies.queue_span(keys)}
        given |= {"env": environment.of_command(keys, self.reading)} if "env" in keys else {}
        if "stdin" in keys:
            given["stdin"] = self.reading.template(keys["stdin"][1], "stdin")
        return CommandStep(span=span_of(at), command=tokens, args=args, options=options, **given, **common)

    def _group(self, node: Mapping, *, at: Scalar) -> GroupStep | None:
        is_parallel = at.text == "parallel"
        typed, keys = self.reading.fields(node, Kind.PARALLEL if is_parallel else Kind.GROUP)
        name_node = keys.get("name", (None, None))[1]
        default = "parallel" if is_parallel else "group"
        name = name_node.text if isinstance(name_node, Scalar) and name_node.text else default
        common = self._common(typed, keys, default_name=name)
        if is_parallel:
            # Here it limits the branches; the items of a loop around them run one at a time.
            common.pop("max_parallel", None)
        else:
            self._check_bound(keys)
        block = self.block(typed, keys, verb=at.text)
        common |= {"queue": (typed or {}).get("queue"), "queue_span": policies.queue_span(keys)}
        return GroupStep(span=span_of(at), block=block, **common)

    def _call(self, node: Mapping, *, at: Node) -> CallStep | None:
        typed, keys = self.reading.fields(node, Kind.CALL)
        if isinstance(at, MissingNode):
            return None
        if not isinstance(at, Scalar) or not isinstance(resolve(at), str) or not at.text or OPEN in at.text:
            self.reading.expected("runbook", "the name of a file, without expressions", at)
            return None
        common = self._common(typed, keys, default_name=PurePath(at.text).stem or "runbook")
        self._check_bound(keys)
        params = self._mapping_of("params", keys, "a mapping of parameters to values")
        return CallStep(span=span_of(at), runbook=self.reading.read_called(at, self.reading), params=params, **common)

    def _check_bound(self, keys: Keys) -> None:
        if "max_parallel" in keys and "for_each" not in keys:
            message = '"max_parallel" has no meaning without "for_each"'
            help_text = 'put steps that run together under "parallel", or remove it'
            self.reading.report("RB217", message, keys["max_parallel"][0], help_text=help_text)

    def _check_shards(self, keys: Keys) -> None:
        for key, why in (("for_each", "both make a loop"), ("lock", "one shard would keep the others out")):
            if key in keys:
                message = f'"shards" and "{key}" of one step: {why}'
                help_text = f'move "{key}" to a group around the step'
                self.reading.report("RB219", message, keys[key][0], help_text=help_text)

    def _name(self, keys: Keys, default: str) -> str | Template:
        name = self.reading.template(keys["name"][1], "name") if "name" in keys else default
        return default if isinstance(name, str) and is_blank(name) else name

    def _common(self, typed: Typed | None, keys: Keys, *, default_name: str) -> Typed:
        given = typed or {}
        settings: Typed = {
            "retry": policies.retry(keys, self.reading),
            "name": self._name(keys, default_name),
            "id": given.get("id") or self._new_id(default_name),
            "for_each": policies.for_each(keys, self.reading),
            "timeout_seconds": policies.timeout(keys, self.reading),
            "lock": policies.lock(keys, self.reading, default=None),
        }
        if "retry" in keys or "continue_on_error" in keys:
            settings["error_spans"] = policies.error_spans(keys)
        if "when" in keys:
            settings["when"] = self.reading.condition(keys["when"][1], "when")
        if "confirm" in keys:
            settings["confirm"] = self.reading.template(keys["confirm"][1], "confirm")
        settings |= {key: given[key] for key in ("description", "no_log", "max_parallel") if key in given}
        settings |= {
            key: tuple(given[key]) if isinstance(given[key], list) else given[key]
            for key in ("tags", "continue_on_error")
            if key in given
        }
        return settings

    def _args(self, keys: Keys) -> tuple[Located, ...]:
        if "args" not in keys:
            return ()
        node = keys["args"][1]
        if isinstance(node, Sequence):
            return tuple(self.reading.value(item) for item in node.items)
        self.reading.expected("args", "a list of values", node)
        return ()

    def _mapping_of(self, name: str, keys: Keys, what: str) -> tuple[Option, ...]:
        if name not in keys:
            return ()
        node = keys[name][1]
        if isinstance(node, Mapping):
            return tuple(
                Option(name=key.text, name_span=span_of(key), value=self.reading.value(value))
                for key, value in node.entries
            )
        self.reading.expected(name, what, node)
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
    return any(f'"{verb}"' in help_text for verb in VERBS)


def _entries_below(root: Node) -> Iterator[tuple[Scalar, Node]]:
    """Yield the entries of all steps of a file, in its order."""
    if not isinstance(root, Mapping):
        return
    for key, value in root.entries:
        if key.text in {"steps", "parallel", *HANDLERS} and isinstance(value, Sequence):
            for item in value.items:
                if isinstance(item, Mapping):
                    yield from item.entries
                    yield from _entries_below(item)
