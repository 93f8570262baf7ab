"""The flags that say how a job is kept, repeated, shared and stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from cyclopts import Group, Parameter
from cyclopts.types import NonNegativeInt, PositiveFloat

from deepseek_async.cli.assignments import assignments

_GROUP: Final = Group("Job", sort_key=4)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class JobFlags:
    """What becomes of rows and answers."""

    budget: Annotated[
        PositiveFloat | None,
        Parameter(group=_GROUP, metavar="USD", help="Start no row once this output has cost so much, over all runs."),
    ] = None
    redo: Annotated[
        str | None,
        Parameter(
            group=_GROUP,
            metavar="KIND,…",
            help="Run only finished rows again that ended in these ways: length, error, invalid_json, changed (and new "
            "rows with it).",
        ),
    ] = None
    set_: Annotated[
        list[str] | None,
        Parameter(
            name="--set",
            group=_GROUP,
            negative=(),
            metavar="NAME=JSON",
            allow_leading_hyphen=False,
            help="With --redo: a parameter in place of the rows' own, for example max_tokens=8000.",
        ),
    ] = None
    dedupe: Annotated[
        bool,
        Parameter(
            group=_GROUP,
            negative=(),
            show_default=False,
            help="Send equal rows with temperature 0 and without thinking once; all get the answer.",
        ),
    ] = False
    shard: Annotated[
        str | None,
        Parameter(group=_GROUP, metavar="I/N", help="Run the I-th of N parts, into an output of its own; batch merge."),
    ] = None
    fail_fast: Annotated[
        NonNegativeInt,
        Parameter(
            group=_GROUP,
            metavar="ROWS",
            help="Stop when the first so many rows all failed for good with the same error; 0 never stops.",
        ),
    ] = 50
    durability: Annotated[
        Literal["os", "group", "each"],
        Parameter(
            group=_GROUP,
            help="When a row counts as done: synced in groups, each alone, or (os) left to the kernel.",
        ),
    ] = "group"
    min_free: Annotated[
        NonNegativeInt, Parameter(group=_GROUP, metavar="MIB", help="MiB of the disk that are to stay free.")
    ] = 64
    allow_network: Annotated[
        bool,
        Parameter(
            group=_GROUP,
            negative=(),
            show_default=False,
            help="Write to a network file system, where neither lock nor sync can be trusted.",
        ),
    ] = False

    def options(self) -> dict[str, Any]:
        """The arguments of ``client.batch.job`` that these flags stand for. Raises ConfigurationError."""
        return {
            "budget": self.budget,
            "redo": self.redo or (),
            "redo_with": assignments(self.set_ or [], "--set"),
            "dedupe": self.dedupe,
            "shard": self.shard,
            "fail_fast": self.fail_fast,
            "durability": self.durability,
            "min_free": self.min_free << 20,
            "allow_network": self.allow_network,
        }
