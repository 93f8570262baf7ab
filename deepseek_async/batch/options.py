"""Job options other than the requests, validated once before the job starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

import msgspec

from deepseek_async.batch.fail_fast import FIRST_ROWS
from deepseek_async.batch.journal import LOW_WATER, Durability
from deepseek_async.batch.redo import Redo
from deepseek_async.batch.row import Defaults
from deepseek_async.batch.row_identity import Shard
from deepseek_async.errors import ConfigurationError
from deepseek_async.structured import StructuredOutput


class JobOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a job; see ``Batch.job``."""

    durability: Durability = Durability.GROUP
    min_free: int = LOW_WATER
    allow_network: bool = False
    redo: Redo = Redo()
    dedupe: bool = False
    budget: float | None = None
    shard: Shard | None = None
    fail_fast: int = FIRST_ROWS

    @classmethod
    def checked(
        cls,
        *,
        durability: str = "group",
        min_free: int = LOW_WATER,
        allow_network: bool = False,
        redo: str | Iterable[str] = (),
        redo_with: Mapping[str, Any] = {},
        new_too: bool = False,
        dedupe: bool = False,
        budget: float | None = None,
        shard: str | None = None,
        fail_fast: int = FIRST_ROWS,
        ordered: bool = False,
    ) -> Self:
        """Validate the caller's arguments. Raises ConfigurationError."""
        if durability not in list(Durability):
            raise ConfigurationError(f"durability must be os, group or each, got {durability!r}")
        if min_free < 0:
            raise ConfigurationError(f"min_free must be at least 0 bytes, got {min_free}")
        if budget is not None and not budget > 0:
            raise ConfigurationError(f"budget must be greater than 0 US dollars, got {budget}")
        if fail_fast < 0:
            raise ConfigurationError(f"fail_fast must be a number of rows, or 0 to disable it, got {fail_fast}")
        if dedupe and ordered:
            raise ConfigurationError("ordered and dedupe cannot be combined: dedupe delays the lines of equal rows")
        if dedupe and redo:
            raise ConfigurationError(
                "redo and dedupe cannot be combined: redo requests new answers, dedupe reuses them"
            )
        return cls(
            durability=Durability(durability),
            min_free=min_free,
            allow_network=allow_network,
            redo=Redo.of(redo, redo_with, new_too=new_too),
            dedupe=dedupe,
            budget=budget,
            shard=None if shard is None else Shard.parse(shard),
            fail_fast=fail_fast,
        )


def defaults_of(output: StructuredOutput[Any] | None, parameters: Mapping[str, Any], **facts: Any) -> Defaults:
    """Build the defaults of all rows; a class as ``response_format`` becomes their structured output."""
    if output is None:
        return Defaults(parameters=parameters, **facts)
    others = {name: value for name, value in parameters.items() if name != "response_format"}
    return Defaults(parameters=others, form=output.form, **facts)
