"""What the commands of the stand-alone tools have in common: the answer as JSON, and what it cost."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, TypeAlias

from cyclopts import Parameter

from deepseek_async.cli.terminal import harmless, say

if TYPE_CHECKING:
    from deepseek_async.types import PaidAnswer

AsJson: TypeAlias = Annotated[
    bool, Parameter(name="--json", negative=(), show_default=False, help="The server's answer as JSON.")
]


def write_json(answer: PaidAnswer) -> None:
    """The answer as the server sent it."""
    sys.stdout.write(harmless(json.dumps(answer.to_dict(), ensure_ascii=False, indent=2)) + "\n")


def say_fees(answer: PaidAnswer) -> None:
    """A line on stderr for each fee."""
    for fee in answer.fees:
        say(f"paid: {fee}")
