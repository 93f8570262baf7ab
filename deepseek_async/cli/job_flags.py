"""Job options of the command line: budget, redo, sharding, durability."""

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
    """Options of a job."""

    budget: Annotated[
        PositiveFloat | None,
        Parameter(
            group=_GROUP, metavar="USD", help="Start no more rows once this output has cost this much, over all runs."
        ),
    ] = None
    redo: Annotated[
        str | None,
        Parameter(
            group=_GROUP,
            metavar="KIND,…",
            help="Run finished rows again that ended with: length, error, invalid_json, changed (and new rows too).",
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
            help="With --redo: override a parameter of the rows, for example max_tokens=8000.",
        ),
    ] = None
    dedupe: Annotated[
        bool,
        Parameter(
            group=_GROUP,
            negative=(),
            show_default=False,
            help="Send equal rows with temperature 0 and no thinking once; all get the same answer.",
        ),
    ] = False
    shard: Annotated[
        str | None,
        Parameter(group=_GROUP, metavar="I/N", help="Run shard I of N, into its own output; see batch merge."),
    ] = None
    fail_fast: Annotated[
        NonNegativeInt,
        Parameter(
            group=_GROUP,
            metavar="ROWS",
            help="Stop if the first N rows all failed permanently with the same error; 0 disables it.",
        ),
    ] = 50
    durability: Annotated[
        Literal["os", "group", "each"],
        Parameter(
            group=_GROUP,
            help="When a row counts as done: synced in groups, synced each alone, or written to the kernel (os).",
        ),
    ] = "group"
    min_free: Annotated[
        NonNegativeInt, Parameter(group=_GROUP, metavar="MIB", help="MiB of disk space to keep free.")
    ] = 64
    allow_network: Annotated[
        bool,
        Parameter(
            group=_GROUP,
            negative=(),
            show_default=False,
            help="Allow a network file system, where lock and sync may be unreliable.",
        ),
    ] = False

    def options(self) -> dict[str, Any]:
        """Return the arguments for ``client.batch.job``. Raises ConfigurationError."""
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
