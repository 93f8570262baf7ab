"""Prefix cache keys of a prompt, as a chain of chunk keys: equal keys mean equal prefixes. Pure.

The official renderer assembles a prompt in this order, which is therefore the order of the cache key:
effort, system text, tools, response format, turns. The cache is separate for each model and ``user_id``, and hits
come in whole blocks of 128 tokens from the first token on (DeepSeek docs, Context Caching; the block size was
measured in August 2026 on both models).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from typing import Any, Final

import orjson

BLOCK_TOKENS: Final = 128

BYTES_PER_TOKEN: Final = 4
"""English prose has 5.3 bytes per token, Chinese 5, Russian 5.6, code 3.1, JSON 2.2 (V4 tokenizer). One figure in
the middle suffices to decide whether a prefix is worth waiting for."""

WORTH_WAITING: Final = 2 * BLOCK_TOKENS * BYTES_PER_TOKEN
"""Minimum shared bytes worth ordering for: 256 tokens, less than $0.00004 at the flash price."""

_CHUNK: Final = 512
_EVEN_CHUNKS: Final = 32
_GROWTH: Final = 16
"""Chunks are 512 bytes, about one block, up to 16 KiB, where most prefixes end, and from there a sixteenth of
the preceding length: a prompt of a megabyte is 100 keys instead of 2,000, and its shared part is known to 6 %."""

_ROLE: Final = 16
"""Upper bound of the bytes that a message's role adds to the compared text."""

_EFFORTS: Final = {"minimal": "low", "medium": "high", "xhigh": "high", "ultra": "max"}


class Prefix:
    """The prefix of one request's prompt."""

    __slots__ = ("keys", "size")

    def __init__(self, keys: tuple[int, ...], size: int) -> None:
        self.keys = keys
        """One key per whole chunk; a key covers everything before it."""
        self.size = size
        """Bytes of the whole prompt."""


NO_PREFIX: Final = Prefix((), 0)


def prefix_of(body: Mapping[str, Any]) -> Prefix:
    """Return the prefix of a request body in the API's format. Short prompts have no keys: they are not worth it."""
    if _is_short(body):
        return NO_PREFIX
    domain, text = _rendered(body)
    size = len(text)
    if size < WORTH_WAITING:
        return Prefix((), size)
    keys, key, start = [], hash(domain), 0
    for end in _ends(size):
        key = hash((key, text[start:end]))
        keys.append(key)
        start = end
    return Prefix(tuple(keys), size)


def covered(chunks: int) -> int:
    """Return the bytes in the first ``chunks`` chunks."""
    return _end(chunks)


def hit_tokens(shared: int, size: int, prompt_tokens: int) -> int:
    """Return the tokens expected from the cache if ``shared`` of a prompt's ``size`` bytes are cached.

    The share of bytes stands for the share of tokens. The last token is never cached.
    """
    if size <= 0:
        return 0
    known = min(prompt_tokens * min(shared, size) // size, prompt_tokens - 1)
    return max(0, known) // BLOCK_TOKENS * BLOCK_TOKENS


def _is_short(body: Mapping[str, Any]) -> bool:
    """Whether a prompt is too short to share, without rendering it: true of the rows of most jobs."""
    if "tools" in body or "response_format" in body:
        return False
    size = 0
    for message in body.get("messages") or ():
        content = message.get("content") if isinstance(message, dict) and len(message) == 2 else None
        if not isinstance(content, str):
            return False
        size += _ROLE + (len(content) if content.isascii() else 4 * len(content))
    return size < WORTH_WAITING


def _rendered(body: Mapping[str, Any]) -> tuple[tuple[Any, ...], bytes]:
    """Return the cache partition and the text in the server's rendering order."""
    messages = body.get("messages") or ()
    effort = _effort(body)
    parts: list[str] = []
    turns: list[str] = []
    for message in messages:
        role = message.get("role") if isinstance(message, Mapping) else None
        # The pro template moves every system message to the front, the flash template only a leading one.
        place = parts if role == "system" and (not turns or body.get("model") == "deepseek-v4-pro") else turns
        place.append(f"\0{role}\1{_message_text(message)}")
    if body.get("tools") and body.get("tool_choice") != "none":
        parts.append("\2" + _json(body["tools"]))
    if body.get("response_format"):
        parts.append("\3" + _json(body["response_format"]))
    text = "".join(parts + turns).encode("utf-8", "surrogatepass")
    return (body.get("model"), body.get("user_id"), effort), text


def _effort(body: Mapping[str, Any]) -> str:
    thinking = body.get("thinking")
    effort = body.get("reasoning_effort")
    if isinstance(thinking, Mapping) and thinking.get("type") is not None:
        if thinking["type"] == "disabled":
            return "off"
        return "high" if effort in {None, "none"} else _EFFORTS.get(str(effort), str(effort))
    if effort == "none":
        return "off"
    return "high" if effort is None else _EFFORTS.get(str(effort), str(effort))


def _message_text(message: Any) -> str:
    if not isinstance(message, Mapping):
        return repr(message)
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(_part_text(part) for part in content)
    elif not isinstance(content, str):
        content = ""
    if len(message) == 2:
        return content
    rest = {name: value for name, value in message.items() if name not in {"role", "content", "name"}}
    return content + _json(rest) if rest else content


def _part_text(part: Any) -> str:
    if isinstance(part, Mapping) and isinstance(part.get("text"), str):
        return str(part["text"])
    # An image is at most 1,024 tokens, whatever its size in bytes.
    return blake2b(_json(part).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return repr(value)


@cache
def _end(chunks: int) -> int:
    if chunks <= _EVEN_CHUNKS:
        return chunks * _CHUNK
    before = _end(chunks - 1)
    return before + before // _GROWTH


def _ends(size: int) -> list[int]:
    ends = list(range(_CHUNK, min(size, _EVEN_CHUNKS * _CHUNK) + 1, _CHUNK))
    while len(ends) >= _EVEN_CHUNKS and (end := _end(len(ends) + 1)) <= size:
        ends.append(end)
    return ends
