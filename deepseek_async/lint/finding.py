"""A finding of the linter."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, Literal

import msgspec

from deepseek_async.lint.api_facts import since

LintMode = Literal["off", "warn", "fix", "error"]
"""How findings are handled: ``off``: ignored; ``warn``: one warning per kind, then sent; ``fix``: repaired if the
repair is unambiguous, else warned of; ``error``: InvalidRequestError if the API would reject the request, else warned
of."""

Severity = Literal["error", "warning", "note"]

Request = dict[str, Any]
"""A chat request as plain JSON values."""


class RequestLintWarning(UserWarning):
    """A request that DeepSeek would reject, or not execute as written."""


class IgnoredParameterWarning(RequestLintWarning):
    """A parameter that DeepSeek accepts and ignores."""


class Finding(msgspec.Struct, frozen=True):
    """One problem of a request."""

    code: str
    """Stable code of its kind, e.g. ``tool_choice_while_thinking``."""
    field: str
    """Path of the field, e.g. ``messages[2].content``."""
    message: str
    """The problem and its solution."""
    refused: bool = True
    """Whether the API answers 400. False: the field is ignored, or a failure is only likely."""
    repair: Callable[[Request], None] | None = None
    """Repairs the request in place; None if no repair is unambiguous."""
    known: bool = True
    """Whether the service's behaviour is known. False: unknown to this version, sent unchanged."""

    @property
    def severity(self) -> Severity:
        """``error``: rejected. ``warning``: not executed as written. ``note``: unknown to this version."""
        return "error" if self.refused else "warning" if self.known else "note"

    @property
    def since(self) -> date | None:
        """Date since which the service is known to behave this way; None if undated."""
        return since(self.code)

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"
