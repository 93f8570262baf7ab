"""Cache keys: which requests are identical. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import orjson

from deepseek_async.types.operation import CHAT, Operation

_DELIVERY: Final = frozenset({"stream", "stream_options"})
"""Delivery options, ignored in the key: the answer of a stream also serves a plain request."""


def cache_key(*, base_url: str, account: str, path: str, request: Mapping[str, Any], choice: int = 0) -> bytes:
    """Return a 32-byte key over everything that determines the answer: server, account, endpoint, whole request.

    The order of a request's fields is ignored, the order of its messages is significant. The account is included
    because one account's answers must not be served to another. ``choice`` above 0 is another answer to the same
    request.
    """
    asked = {name: value for name, value in request.items() if name not in _DELIVERY}
    named = [base_url, account, path, asked, choice] if choice else [base_url, account, path, asked]
    return sha256(orjson.dumps(named, option=orjson.OPT_SORT_KEYS)).digest()


def is_deterministic(request: Mapping[str, Any], operation: Operation = CHAT) -> bool:
    """Whether repeating the request should return the same answer.

    Temperature has no effect with thinking (DeepSeek docs, Thinking Mode), and both live models think by
    default, so a request is deterministic with ``temperature`` 0 and thinking disabled. Text completions never
    think, and embeddings are deterministic.
    """
    if operation.output == "vectors":
        return True
    if operation.output != "text" or request.get("temperature") != 0:
        return False
    thinking, reasoning = request.get("thinking"), request.get("reasoning")
    if not operation.thinks or (isinstance(thinking, Mapping) and thinking.get("type") == "disabled"):
        return True
    if isinstance(thinking, Mapping):
        return False  # in messages it overrides an effort
    output = request.get("output_config")
    effort = next((of.get("effort") for of in (reasoning, output) if isinstance(of, Mapping)), None)
    return "none" in (effort, request.get("reasoning_effort"))
