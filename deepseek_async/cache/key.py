"""What makes two requests the same request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import orjson

from deepseek_async.types.operation import CHAT, Operation

_DELIVERY: Final = frozenset({"stream", "stream_options"})
"""How an answer is delivered is no part of what was asked: a streamed answer serves a plain request too."""


def cache_key(*, base_url: str, account: str, path: str, request: Mapping[str, Any]) -> bytes:
    """32 bytes for everything that decides about the answer: server, account, endpoint, model, whole request.

    The order of a request's fields makes no difference, the order of its messages does. ``account`` is in it
    because one account's answers must not be served to another.
    """
    asked = {name: value for name, value in request.items() if name not in _DELIVERY}
    return sha256(orjson.dumps([base_url, account, path, asked], option=orjson.OPT_SORT_KEYS)).digest()


def is_deterministic(request: Mapping[str, Any], operation: Operation = CHAT) -> bool:
    """Whether the same request should get the same answer again.

    Temperature has no effect while thinking (DeepSeek docs, Thinking Mode), and both live models think unless
    told not to, so a request is deterministic with ``temperature`` 0 and thinking switched off. Text completions
    never think, and a vector is no matter of chance.
    """
    if operation.output == "vectors":
        return True
    if operation.output != "text" or request.get("temperature") != 0:
        return False
    thinking, reasoning = request.get("thinking"), request.get("reasoning")
    if not operation.thinks or (isinstance(thinking, Mapping) and thinking.get("type") == "disabled"):
        return True
    if isinstance(thinking, Mapping):
        return False  # of messages it wins over an effort
    output = request.get("output_config")
    effort = next((of.get("effort") for of in (reasoning, output) if isinstance(of, Mapping)), None)
    return "none" in (effort, request.get("reasoning_effort"))
