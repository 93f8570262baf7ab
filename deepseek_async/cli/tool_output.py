"""Output of the standalone tool commands: JSON answers and fees."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, TypeAlias

from cyclopts import Parameter

from deepseek_async.cli.terminal import harmless, say

if TYPE_CHECKING:
    from deepseek_async.types import PaidAnswer

AsJson: TypeAlias = Annotated[
    bool, Parameter(name="--json", negative=(), show_default=False, help="Print the response as JSON.")
]


def write_json(answer: PaidAnswer) -> None:
    """Print the server's response."""
    sys.stdout.write(harmless(json.dumps(answer.to_dict(), ensure_ascii=False, indent=2)) + "\n")


def say_fees(answer: PaidAnswer) -> None:
    """Print a line on stderr for each fee."""
    for fee in answer.fees:
        say(f"fee: {fee}")
