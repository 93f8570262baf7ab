"""Extensions that DeepSeek added on 2026-11-13, in the API's format: moderation, titles, server-side tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from deepseek_async.errors import InvalidRequestError
from deepseek_async.lint.api_facts import tools_of_service, without_tools
from deepseek_async.transport.timeouts import Timeouts

SafetyCheck = Literal["high", "low"] | Mapping[str, Any]
"""Moderation level; a string stands for ``{"level": string}``."""

EXTENSIONS: Final = frozenset({"safety_check", "title", "tools"})
"""Parameters that ``check_extensions`` looks at."""
_LEVELS: Final = ("high", "low")

_SILENCE: Final = 300.0
"""Seconds that a search or review may take without a byte; the same as in DeepSeek's own harness."""


def check_extensions(body: dict[str, Any]) -> None:
    """Convert ``safety_check`` and ``title`` to the API's format. Raises InvalidRequestError for values known to fail.

    Objects, and everything in ``extra_body``, are sent unchanged.
    """
    safety = body.get("safety_check")
    if safety is not None and not isinstance(safety, Mapping):
        if safety not in _LEVELS:
            raise InvalidRequestError(
                f"safety_check must be 'high' or 'low', got {safety!r}: DeepSeek answers 400 to any other level "
                "(DeepSeek docs, Safety, 2026-11-13); pass a newer one as an object, {'level': …}",
            )
        body["safety_check"] = {"level": safety}
    title = body.get("title")
    if title is not None and not isinstance(title, Mapping):
        if not isinstance(title, bool):
            raise InvalidRequestError(f"title must be True, False or an object, got {title!r}")
        body["title"] = {"enabled": title}
    if body.get("tools"):
        _check_tools(body)


def _check_tools(body: Mapping[str, Any]) -> None:
    asked = tools_of_service(body)
    if asked and body.get("model") in without_tools():
        raise InvalidRequestError(
            f"{body['model']} does not support {asked[0]}: DeepSeek's own tools work with deepseek-flash only "
            "(DeepSeek docs, Build a chatbot, 2026-11-13). Pass the tools in extra_body to send them anyway",
        )


def patient(timeouts: Timeouts, body: Mapping[str, Any]) -> Timeouts:
    """Return ``timeouts`` extended for an answer with searches or a review, which may be silent meanwhile.

    Values set explicitly are kept.
    """
    if body.get("safety_check") is None and not tools_of_service(body):
        return timeouts
    usual = Timeouts()
    longer = {
        name: min(_SILENCE, timeouts.attempt)
        for name in ("idle", "stall")
        if getattr(timeouts, name) == getattr(usual, name)
    }
    return msgspec.structs.replace(timeouts, **longer)
