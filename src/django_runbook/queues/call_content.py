"""Stores what a worker needs to make a call: the tokens and the process inputs, with references in place of secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from django_runbook.calls import Call
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
        encoded = {} if process.stdin is None else {"stdin": references.encode(process.stdin, secrets)}
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

    def decode(self, secrets: Mapping[str, str]) -> tuple[tuple[str, ...], ProcessInputs]:
        """Fill in the secrets; raise KeyError with the name of one that is absent."""
        tokens = tuple(references.decode(parts, secrets) for parts in self.tokens)
        if not self.process:
            return tokens, NO_INPUTS
        stdin = self.process.get("stdin")
        return tokens, ProcessInputs(stdin=None if stdin is None else references.decode(stdin, secrets))


def digest(tokens: tuple[str, ...], process: ProcessInputs) -> str:
    """Return a keyed digest of a content with its secrets."""
    return references.digest(tokens if process == NO_INPUTS else [*tokens, json.dumps([process.stdin])])
