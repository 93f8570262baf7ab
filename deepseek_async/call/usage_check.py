"""Plausibility checks for reported usage, and estimates where none is reported. Pure.

An impossible figure is corrected towards the higher price and explained in ``usage.corrected``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any, Final

import msgspec

from deepseek_async.call.request import Request
from deepseek_async.call.searches import with_searches
from deepseek_async.codec.tokens import estimate_prompt_tokens, weigh_text
from deepseek_async.types import (
    Answer,
    CompletionTokensDetails,
    CompletionUsage,
    ContentBlock,
    Message,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
)
from deepseek_async.types.server_tools import step_of
from deepseek_async.types.usage import in_chat_terms

MOST_COMPLETION: Final = 393_216
"""Tokens of the longest possible answer (DeepSeek docs, create-chat-completion, ``max_tokens``)."""

_MOST_PROMPT: Final = 32 * 1_048_576
"""Upper bound in tokens for a prompt the server extends (searches, documents): about 30 times the longest context."""

_ADDED: Final = 32_768
"""Tokens that an intermediary, e.g. a company's proxy, may add to a prompt."""

_PER_BYTE: Final = 2
"""A token has at least one byte, and a template repeats the schemas of tools."""

_PER_IMAGE: Final = 1_024
"""Upper bound in tokens for one image, however short its URL (DeepSeek docs, Vision guide)."""

_MOST_OF_A_TOKEN: Final = 64
"""Upper bound for the average characters per token, reached by text that is all rulers and spaces."""

_FREE: Final = 4_096
"""Bytes of an answer exempt from that bound: names and markup."""

NO_USAGE: Final = "the server reported no usage"
"""``corrected`` of a usage estimated for a complete answer."""

_ROUNDED_UP: Final = 1.25
"""Safety factor for estimates, which are within about 10% on a page of text: never too low for the budget."""

_CHARACTERS_PER_TOKEN: Final = 3
"""Upper bound for an answer: random words of any language have shorter tokens than prose."""

_TEMPLATE: Final = 96
_SHORT_TEMPLATE: Final = 32
"""Tokens that a template adds to a prompt: 25 for flash, up to 92 for pro (measured with DeepSeek's renderer)."""

_TOOLS_TEMPLATE: Final = 256
"""Additional template tokens for tools: 236, measured likewise."""

_MARKERS: Final = 8
"""Tokens around an answer: its start and end markers and those of its reasoning."""


class UsageBounds(msgspec.Struct, frozen=True, gc=False):
    """Bounds derived from the request alone, independent of what the server reports."""

    wire: bytes
    parameters: Mapping[str, Any]

    @property
    def most_prompt(self) -> int:
        """Upper bound for prompt tokens."""
        if _is_added_to(self.wire):
            return _MOST_PROMPT
        return _PER_BYTE * len(self.wire) + _ADDED + _PER_IMAGE * self.wire.count(b"image")

    @property
    def most_completion(self) -> int:
        """Upper bound for completion tokens."""
        cap = self.parameters.get("max_tokens", self.parameters.get("max_output_tokens"))
        if isinstance(cap, bool) or not isinstance(cap, int) or cap < 1:
            return MOST_COMPLETION
        # Some servers do not count reasoning, or the end-of-answer token.
        return min(MOST_COMPLETION, 2 * cap + 1_024)


def is_plain(usage: CompletionUsage, request_bytes: int, answer_bytes: int) -> bool:
    """Whether ``usage`` is plausible without a closer look. Runs for every call, so it is kept cheap."""
    prompt = usage.prompt_tokens
    completion = usage.completion_tokens
    if (
        not 0 < prompt <= _PER_BYTE * request_bytes + _ADDED
        or not 0 < completion <= 8_192
        or usage.total_tokens != prompt + completion
        or answer_bytes > _FREE + _MOST_OF_A_TOKEN * completion
    ):
        return False
    hit, details, made = usage.prompt_cache_hit_tokens, usage.prompt_tokens_details, usage.completion_tokens_details
    if hit is not None and not 0 <= hit <= prompt == hit + (usage.prompt_cache_miss_tokens or 0):
        return False
    if details is not None and details.cached_tokens != hit:
        return False
    return made is None or 0 <= (made.reasoning_tokens or 0) <= completion


def believed(usage: CompletionUsage | None, sent: UsageBounds, said: str) -> CompletionUsage:
    """Return ``usage`` with impossible figures corrected; the same object if there are none.

    ``said`` is answer, reasoning and tool calls concatenated.
    """
    if usage is None:
        prompt, completion = _prompt_estimate(sent), _estimate(said)
        return CompletionUsage(prompt, completion, prompt + completion, corrected=NO_USAGE)
    wrong: list[str] = []
    prompt = _prompt(usage, sent, wrong)
    completion = _completion(usage, sent, said, wrong)
    hit = _hit(usage, prompt, wrong)
    reasoning = min(max(0, usage.reasoning_tokens), completion)
    if reasoning != usage.reasoning_tokens:
        wrong.append(f"reasoning_tokens {usage.reasoning_tokens:,}")
    if usage.total_tokens != prompt + completion and not wrong:
        # Some servers omit it, or count tokens that no other figure includes: nothing is billed by it.
        return usage if usage.total_tokens == 0 or usage.total_tokens > prompt + completion else _totalled(usage)
    if not wrong:
        return usage
    return msgspec.structs.replace(
        usage,
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_cache_hit_tokens=hit,
        prompt_cache_miss_tokens=prompt - hit,
        prompt_tokens_details=None,
        completion_tokens_details=CompletionTokensDetails(reasoning) if usage.completion_tokens_details else None,
        corrected="the server reported " + ", ".join(wrong),
    )


def metered(answer: Answer, request: Request, *, estimate: bool = True) -> CompletionUsage | None:
    """Return what ``answer`` to ``request`` was billed for, with impossible figures corrected.

    A missing usage is estimated for text answers if ``estimate``; None for operations not billed in tokens.
    """
    usage = answer.tokens_used()
    wire = request.wire
    came = answer._wire  # noqa: SLF001  read without a copy; empty for an answer assembled from a stream
    if usage is None:
        if request.operation.has_fee and request.fees is not None:
            return CompletionUsage(fees=dict(request.fees), corrected=NO_USAGE)
        if not estimate or request.operation.output != "text":
            return None
    elif came and is_plain(usage, len(wire), len(came)):
        return usage if request.fees is None else with_searches(usage, answer, request.fees)
    elif request.operation.has_fee:
        return usage
    else:
        read = in_chat_terms(usage)
        if read is not usage:
            usage = read
            answer.bill((), read)
    # Embeddings and images contain no text to count, and are too large to decode twice.
    said = _said_by(answer) if request.operation.output == "text" else ""
    usage = believed(usage, UsageBounds(wire, request.parameters), said)
    return usage if request.fees is None else with_searches(usage, answer, request.fees)


def _said_by(answer: Answer) -> str:
    """Return all text the model generated: answer, reasoning and tool calls."""
    said = answer.to_dict()
    if isinstance(answer, Message):
        return "".join(_texts([_written(block) for block in answer.content]))
    return "".join((*_texts(said.get("choices")), *_texts(said.get("output"))))


def _written(block: ContentBlock) -> Any:
    """Return what the model generated in a block: neither tool results nor signatures."""
    match block:
        case TextBlock():
            return block.text
        case ThinkingBlock():
            return block.thinking
        case ToolUseBlock():
            return block.input
    return None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        if _is_found(value):
            return
        for name, item in value.items():
            if name not in _NAMES:
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _is_found(block: dict[str, Any]) -> bool:
    """Whether the service, not the model, added ``block``: searches, results and citations."""
    kind = block.get("type")
    return isinstance(kind, str) and ("result" in kind or "citation" in kind or step_of(block) is not None)


_NAMES: Final = frozenset({"id", "call_id", "type", "role", "object", "status", "finish_reason", "logprobs", "index"})


def _prompt(usage: CompletionUsage, sent: UsageBounds, wrong: list[str]) -> int:
    said, most = usage.prompt_tokens, sent.most_prompt
    if said <= 0:
        wrong.append(f"prompt_tokens {said:,}")
        return _prompt_estimate(sent)
    hit, miss = usage.prompt_cache_hit_tokens, usage.prompt_cache_miss_tokens
    if hit is not None and miss is not None and hit >= 0 and miss >= 0 and said < hit + miss <= most:
        wrong.append(f"prompt_tokens {said:,} with {hit:,} cached and {miss:,} uncached")
        return hit + miss
    if said > most:
        wrong.append(f"prompt_tokens {said:,}, but at most {most:,} were sent")
        return most
    return said


def _completion(usage: CompletionUsage, sent: UsageBounds, text: str, wrong: list[str]) -> int:
    said, most, characters = usage.completion_tokens, sent.most_completion, len(text)
    if said < 0 or (said == 0 and characters) or characters > _FREE + _MOST_OF_A_TOKEN * said:
        wrong.append(f"completion_tokens {said:,} for {characters:,} characters")
        return min(most, _estimate(text))
    if said > most:
        wrong.append(f"completion_tokens {said:,}, but at most {most:,} are possible")
        return most
    return said


def _hit(usage: CompletionUsage, prompt: int, wrong: list[str]) -> int:
    """Return prompt tokens at the cached price: never more than hit and miss figures both allow."""
    said, miss = usage.cached_tokens, usage.prompt_cache_miss_tokens
    most = prompt if miss is None or not 0 <= miss <= prompt else prompt - miss
    hit = min(max(0, said), most)
    if hit != said:
        wrong.append(f"{said:,} cached of {usage.prompt_tokens:,}")
    elif miss is not None and not 0 <= miss <= prompt:
        wrong.append(f"{miss:,} uncached of {usage.prompt_tokens:,}")
    return hit


def _prompt_estimate(sent: UsageBounds) -> int:
    tools = _TOOLS_TEMPLATE if b'"tools":' in sent.wire else 0
    template = _SHORT_TEMPLATE if "flash" in str(sent.parameters.get("model")) else _TEMPLATE
    return ceil(_ROUNDED_UP * estimate_prompt_tokens(sent.wire)) + template + tools


def _estimate(text: str) -> int:
    weight = _ROUNDED_UP * weigh_text(text.encode("utf-8", "replace"))
    return min(MOST_COMPLETION, _MARKERS + ceil(max(weight, len(text) / _CHARACTERS_PER_TOKEN)))


def _totalled(usage: CompletionUsage) -> CompletionUsage:
    return msgspec.structs.replace(usage, total_tokens=usage.prompt_tokens + usage.completion_tokens)


def _is_added_to(wire: bytes) -> bool:
    """Whether the server extends the prompt beyond the request: files, URLs, searches, earlier answers."""
    return any(mark in wire for mark in _ADDING)


_ADDING: Final = (b'_id"', b'"http', b"deepseek_", b"web_search", b"_search", b"read_url")
