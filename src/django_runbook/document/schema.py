"""Defines the values of typed keys: one strict pydantic model for each kind of mapping.

`reading` reads the nodes of all other keys: mappings, lists of steps and expressions. Importing pydantic takes a third
of the time of a whole start, so the first typed key imports this module.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from django_runbook.document.keys import MAX_ATTEMPTS, MAX_ITEMS, Kind

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=100)]
Errors = list[StrictInt | StrictStr]
Queue = Literal[False] | Annotated[str, Field(min_length=1, max_length=200)]
Tags = list[Annotated[str, Field(min_length=1)]]
MaxParallel = Annotated[int, Field(ge=1, le=MAX_ITEMS)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class RetryModel(_Model):
    attempts: Annotated[int, Field(ge=1, le=MAX_ATTEMPTS)]
    backoff: Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)] = 2.0
    jitter: bool = True
    errors: Errors | None = None


class DefaultsModel(_Model):
    tags: Tags = []
    continue_on_error: StrictBool | Errors = False
    no_log: bool = False
    capture: Literal["text", "lines", "json"] | None = None
    idempotent: bool = False
    atomic: bool = False
    isolate: bool | None = None
    queue: Queue | None = None


class CommandModel(DefaultsModel):
    id: Name | None = None
    description: str = ""
    max_parallel: MaxParallel = 1


class CallModel(_Model):
    id: Name | None = None
    description: str = ""
    tags: Tags = []
    continue_on_error: StrictBool | Errors = False
    no_log: bool = False
    max_parallel: MaxParallel = 1


class GroupModel(CallModel):
    fail_fast: bool = True
    queue: Queue | None = None


class LockModel(_Model):
    on_conflict: Literal["fail", "wait", "skip"] | None = None


class FileModel(_Model):
    name: str | None = None
    description: str = ""
    secrets: list[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]] = []
    fail_fast: bool = True
    journal: bool = True


class ParamModel(_Model):
    type: Literal["string", "integer", "number", "boolean", "date", "datetime", "list"] | None = None
    help: str = ""


MODELS: dict[Kind, type[BaseModel]] = {
    Kind.FILE: FileModel,
    Kind.COMMAND: CommandModel,
    Kind.GROUP: GroupModel,
    Kind.PARALLEL: GroupModel,
    Kind.CALL: CallModel,
    Kind.RETRY: RetryModel,
    Kind.LOCK: LockModel,
    Kind.PARAM: ParamModel,
    Kind.DEFAULTS: DefaultsModel,
}
