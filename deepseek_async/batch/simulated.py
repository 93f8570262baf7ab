"""Answers that a simulator made up: how they are known, how they are marked, and which run may take them. Pure."""

from __future__ import annotations

import msgspec

from deepseek_async.batch.line import Facts
from deepseek_async.batch.result import BatchResult
from deepseek_async.errors import InputFormatError, InvalidRequestError
from deepseek_async.types.simulated import is_simulated


def is_made_up(result: BatchResult) -> bool:
    """Whether a simulator gave the answer, or the refusal, or what was billed for none."""
    if result.answer is not None:
        return is_simulated(result.answer.id or result.request_id)
    if result.error is not None and is_simulated(result.error.request_id):
        return True
    return any(is_simulated(attempt.response_id) for attempt in result.billed_attempts)


class Server(msgspec.Struct, frozen=True):
    """Who answers a run."""

    address: str = ""
    simulated: bool = False
    """Whether it is a simulator beyond doubt, because the key is none of an account."""

    def mark(self, result: BatchResult) -> bytes:
        """The facts that say of ``result`` that it is made up; nothing for a real one."""
        answer = result.answer
        if answer is not None and not self.simulated and not is_simulated(answer.id or result.request_id):
            return b""  # as nearly every row
        # What is wrong with a row is wrong at every server, and nobody was asked.
        unasked = not result.attempts and isinstance(result.error, InputFormatError | InvalidRequestError)
        if unasked or not (self.simulated or is_made_up(result)):
            return b""
        return Facts(simulated=True, server=None if self.simulated else self.address).mark

    def takes(self, facts: Facts) -> bool:
        """Whether a row with these facts has ended for this run.

        A made-up answer never stands for a real one: it serves another run at a simulator, or at the same address.
        """
        return not facts.simulated or self.simulated or (facts.server is not None and facts.server == self.address)
