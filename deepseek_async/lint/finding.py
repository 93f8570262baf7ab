"""One thing that is wrong with a request, and the words for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

LintMode = Literal["off", "warn", "fix", "error"]
"""What to do about a finding: nothing; warn once per kind and send; repair what has one repair and warn of the
rest; raise InvalidRequestError for what the API would refuse and warn of the rest."""

Request = dict[str, Any]
"""A chat request as plain JSON values."""


class RequestLintWarning(UserWarning):
    """A request that DeepSeek would refuse, or would not do what it says."""


class IgnoredParameterWarning(RequestLintWarning):
    """DeepSeek takes this parameter without an error and does nothing with it."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request."""

    code: str
    """Its kind, for example ``tool_choice_while_thinking``; stable, to branch on."""
    field: str
    """Where: ``messages[2].content``."""
    message: str
    """What is wrong and what to do."""
    refused: bool = True
    """Whether the API answers 400 to it. False: the API takes it and ignores it, or it is only likely to fail."""
    repair: Callable[[Request], None] | None = None
    """Changes the request in place so that the finding is gone; None when there is no one repair."""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"
