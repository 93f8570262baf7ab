"""One thing that is wrong with a request, and the words for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, Literal

import msgspec

from deepseek_async.lint.facts import since

LintMode = Literal["off", "warn", "fix", "error"]
"""What to do about a finding: nothing; warn once per kind and send; repair what has one repair and warn of the
rest; raise InvalidRequestError for what the API would refuse and warn of the rest."""

Severity = Literal["error", "warning", "note"]

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
    known: bool = True
    """Whether the service is known to refuse or ignore it. False: it is unknown here, and goes out as it is."""

    @property
    def severity(self) -> Severity:
        """error: would be refused. warning: would not do what it says. note: is unknown to this version."""
        return "error" if self.refused else "warning" if self.known else "note"

    @property
    def since(self) -> date | None:
        """The day since which the service is known to behave so; None if nobody has dated it."""
        return since(self.code)

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"
