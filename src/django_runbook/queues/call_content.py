"""Stores what a worker needs to make a call: the tokens and the process inputs, with references in place of secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from django_runbook.models.calls import Call
from django_runbook.process_inputs import NO_INPUTS, ProcessInputs
from django_runbook.queues import references
from django_runbook.queues.references import Encoded
from django_runbook.structs import Struct


class CallContent(Struct):
    """Holds the encoded content of a call, under the names of its columns."""

    tokens: list[Encoded]
    process: dict[str, Any]

    @classmethod
    def encode(cls, tokens: tuple[str, ...], process: ProcessInputs, *, secrets: Mapping[str, str]) -> CallContent:
        """Encode the content of a new call."""
        encoded: dict[str, Any] = {}
        if process.stdin is not None:
            encoded["stdin"] = references.encode(process.stdin, secrets)
        if process.env:
            encoded["env"] = {
                name: None if value is None else references.encode(value, secrets)
                for name, value in process.env.items()
            }
        return cls(tokens=[references.encode(token, secrets) for token in tokens], process=encoded)

    @classmethod
    def of(cls, call: Call) -> CallContent:
        """Return the content that a row holds now; a claim removes that of a step with ``no_log``."""
        return cls(tokens=call.tokens, process=call.process)

    @property
    def columns(self) -> dict[str, Any]:
        return {"tokens": self.tokens, "process": self.process}

    @property
    def secret_names(self) -> set[str]:
        """Return the names of the secrets that it refers to."""
        return references.names_in(list(self._texts()))

    def _texts(self) -> Iterator[Encoded]:
        yield from self.tokens
        if "stdin" in self.process:
            yield self.process["stdin"]
        yield from filter(None, self.process.get("env", {}).values())

    def decode(self, secrets: Mapping[str, str]) -> tuple[tuple[str, ...], ProcessInputs]:
        """Fill in the secrets; raise KeyError with the name of one that is absent."""
        tokens = tuple(references.decode(parts, secrets) for parts in self.tokens)
        if not self.process:
            return tokens, NO_INPUTS
        stdin = self.process.get("stdin")
        return tokens, ProcessInputs(
            stdin=None if stdin is None else references.decode(stdin, secrets),
            env={
                name: None if value is None else references.decode(value, secrets)
                for name, value in self.process.get("env", {}).items()
            },
        )


def digest(tokens: tuple[str, ...], process: ProcessInputs) -> str:
    """Return a keyed digest of a content with its secrets."""
    return references.digest(tokens if process == NO_INPUTS else [*tokens, json.dumps([process.stdin, process.env])])
