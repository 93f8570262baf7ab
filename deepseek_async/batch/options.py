"""How a job is run, apart from what is asked: what is checked once, before it begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

import msgspec

from deepseek_async.batch.fail_fast import FIRST_ROWS
from deepseek_async.batch.identity import Shard
from deepseek_async.batch.journal import LOW_WATER, Durability
from deepseek_async.batch.redo import Redo
from deepseek_async.errors import ConfigurationError


class JobOptions(msgspec.Struct, frozen=True, kw_only=True):
    """See ``Batch.job`` for the meaning of each."""

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
        """From what a caller writes. Raises ConfigurationError."""
        if durability not in list(Durability):
            raise ConfigurationError(f"durability must be os, group or each, not {durability!r}")
        if min_free < 0:
            raise ConfigurationError(f"min_free must be 0 or more bytes, not {min_free}")
        if budget is not None and not budget > 0:
            raise ConfigurationError(f"budget must be more than 0 dollars, not {budget}")
        if fail_fast < 0:
            raise ConfigurationError(f"fail_fast must be a number of rows, or 0 for never, not {fail_fast}")
        if dedupe and ordered:
            raise ConfigurationError("dedupe writes equal rows late, so ordered cannot be had with it")
        if dedupe and redo:
            raise ConfigurationError("redo asks for new answers, and dedupe for the same ones: choose one")
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
