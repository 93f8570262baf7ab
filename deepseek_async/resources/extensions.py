"""What DeepSeek added on 2026-11-13, in the API's form: a check of contents, titles, and tools that it runs itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from deepseek_async.errors import InvalidRequestError
from deepseek_async.lint.facts import tools_of_service, without_tools
from deepseek_async.transport.watchdog import Timeouts

SafetyCheck = Literal["high", "low"] | Mapping[str, Any]
"""How contents are checked; a word stands for ``{"level": word}``."""

_LEVELS: Final = ("high", "low")

_SILENCE: Final = 300.0
"""Seconds that a search or a review may take without a byte: DeepSeek's own harness waits as long."""


def check_extensions(body: dict[str, Any]) -> None:
    """Bring ``safety_check`` and ``title`` to the API's form. Raises InvalidRequestError for what is known to fail.

    What is given as an object goes out as it is, and so does all that stands in ``extra_body``.
    """
    safety = body.get("safety_check")
    if safety is not None and not isinstance(safety, Mapping):
        if safety not in _LEVELS:
            raise InvalidRequestError(
                f"safety_check must be 'high' or 'low', not {safety!r}: DeepSeek answers 400 to any other level "
                "(DeepSeek docs, Safety, 2026-11-13); a newer one can be given as an object, {'level': …}",
            )
        body["safety_check"] = {"level": safety}
    title = body.get("title")
    if title is not None and not isinstance(title, Mapping):
        if not isinstance(title, bool):
            raise InvalidRequestError(f"title must be True, False or an object, not {title!r}")
        body["title"] = {"enabled": title}
    if body.get("tools"):
        _check_tools(body)


def _check_tools(body: Mapping[str, Any]) -> None:
    asked = tools_of_service(body)
    if asked and body.get("model") in without_tools():
        raise InvalidRequestError(
            f"{body['model']} has no {asked[0]}: DeepSeek's own tools work with deepseek-flash only (DeepSeek docs, "
            "Build a chatbot, 2026-11-13). Give the tools in extra_body to send them all the same",
        )


def patient(timeouts: Timeouts, body: Mapping[str, Any]) -> Timeouts:
    """``timeouts`` for an answer with searches or a review in it, during which nothing need come.

    What somebody has set by himself stays as it is.
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
