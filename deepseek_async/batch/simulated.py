"""Answers that a simulator made up: how they are known, how they are marked, and which run may take them. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from deepseek_async.batch.line import Facts
from deepseek_async.batch.result import BatchResult

MARK: Final = "51a1a7ed51a1a7ed"
"""How every id begins that a simulator of this library gives, of an answer and of a trace (``simulator/responses``)."""
_DASHED: Final = f"{MARK[:8]}-{MARK[8:12]}-{MARK[12:16]}-"


def is_made_up(result: BatchResult) -> bool:
    """Whether a simulator gave the answer, or the refusal."""
    completion = result.completion
    if completion is not None:
        return completion.id.startswith(_DASHED)
    trace = result.error.request_id if result.error is not None else None
    return trace is not None and trace.startswith(MARK)


class Server(msgspec.Struct, frozen=True):
    """Who answers a run."""

    address: str = ""
    simulated: bool = False
    """Whether it is a simulator beyond doubt, because the key is none of an account."""

    def mark(self, result: BatchResult) -> bytes:
        """The facts that say of ``result`` that it is made up; nothing for a real one."""
        if self.simulated:
            return Facts(simulated=True).mark
        return Facts(simulated=True, server=self.address).mark if is_made_up(result) else b""

    def takes(self, facts: Facts) -> bool:
        """Whether a row with these facts has ended for this run.

        A made-up answer never stands for a real one: it serves another run at a simulator, or at the same address.
        """
        return not facts.simulated or self.simulated or (facts.server is not None and facts.server == self.address)
