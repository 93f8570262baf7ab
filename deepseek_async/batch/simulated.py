"""Simulated answers: detection, marking, and which runs may reuse them. Pure."""

from __future__ import annotations

import msgspec

from deepseek_async.batch.output_line import OutputFacts
from deepseek_async.batch.result import BatchResult
from deepseek_async.errors import InputFormatError, InvalidRequestError
from deepseek_async.types.simulated_mark import is_simulated


def is_made_up(result: BatchResult) -> bool:
    """Whether a simulator returned the answer, the refusal or the billed usage."""
    if result.answer is not None:
        return is_simulated(result.answer.id or result.request_id)
    if result.error is not None and is_simulated(result.error.request_id):
        return True
    return any(is_simulated(attempt.response_id) for attempt in result.billed_attempts)


class Server(msgspec.Struct, frozen=True):
    """The server of a run."""

    address: str = ""
    simulated: bool = False
    """Whether it is known to be a simulator, because the API key is not that of an account."""

    def mark(self, result: BatchResult) -> bytes:
        """Return the facts that mark ``result`` as simulated; empty for a real one."""
        answer = result.answer
        if answer is not None and not self.simulated and not is_simulated(answer.id or result.request_id):
            return b""  # nearly every row
        # An invalid row is invalid at every server, and no server was contacted.
        unasked = not result.attempts and isinstance(result.error, InputFormatError | InvalidRequestError)
        if unasked or not (self.simulated or is_made_up(result)):
            return b""
        return OutputFacts(simulated=True, server=None if self.simulated else self.address).mark

    def takes(self, facts: OutputFacts) -> bool:
        """Whether a row with these facts counts as finished for this run.

        A simulated answer never replaces a real one: it is reused only by runs at a simulator, or at the same address.
        """
        return not facts.simulated or self.simulated or (facts.server is not None and facts.server == self.address)
