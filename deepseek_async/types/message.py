"""Messages (``POST /anthropic/v1/messages``), plain and streamed. Names follow the anthropic package.

Blocks of a known ``type`` have typed fields. Others are plain ContentBlocks whose fields are attributes too;
every block is sent back as received.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Self, Unpack

import msgspec

from deepseek_async.text.html import answer_html
from deepseek_async.text.unicode import all_encodable
from deepseek_async.types.answer import WHOLE, OpenAnswer
from deepseek_async.types.answer_part import Counters, LinkedPart
from deepseek_async.types.built_body import BuiltAnswer, calls_of, finish_of, id_and_model, usage_of
from deepseek_async.types.json_text import read, write
from deepseek_async.types.source import Source, sources_in
from deepseek_async.types.usage import BilledAttempt, CompletionUsage, SentUsage

_IN_CHATS_WORDS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}

_SURROGATE: Final = b"\\ud"
"""Prefix of a surrogate's escape; JSON without it contains none."""


class ContentBlock(LinkedPart):
    """A content block of any ``type``."""

    type: str = ""

    def to_request(self) -> dict[str, Any]:
        """Return this block as part of a conversation, with every field of the server.

        A lone surrogate, which cannot be encoded, becomes U+FFFD.
        """
        said = self.to_dict()
        if self._origin is None:
            said = {name: item for name, item in said.items() if item is not None}
        elif _SURROGATE not in self._origin[0]:
            return said
        made: dict[str, Any] = all_encodable(said)
        return made


class TextBlock(ContentBlock):
    """Generated text."""

    text: str = ""
    citations: list[dict[str, Any]] | None = None
    """Sources: ``url``, ``title``, ``cited_text``."""


class ThinkingBlock(ContentBlock):
    """Reasoning. Send ``signature`` back with it, unchanged."""

    thinking: str = ""
    signature: str = ""


class RedactedThinkingBlock(ContentBlock):
    """Encrypted reasoning; send it back unchanged."""

    data: str = ""


class ToolUseBlock(ContentBlock):
    """A call of one of the caller's tools: send the result back with this ``id``."""

    id: str = ""
    name: str = ""
    input: Any = msgspec.field(default_factory=dict)
    """The arguments as an object; the raw text if it is invalid JSON, e.g. truncated by ``max_tokens``."""


class ServerToolUseBlock(ToolUseBlock):
    """A tool call executed by the service."""


class WebSearchToolResultBlock(ContentBlock):
    """Result of a search by the service: a list of results, or one error object."""

    tool_use_id: str = ""
    content: Any = None


BLOCKS: Final[dict[str, type[ContentBlock]]] = {
    "text": TextBlock,
    "thinking": ThinkingBlock,
    "redacted_thinking": RedactedThinkingBlock,
    "tool_use": ToolUseBlock,
    "server_tool_use": ServerToolUseBlock,
    "web_search_tool_result": WebSearchToolResultBlock,
}


class MessageUsage(Counters):
    """Billed tokens, over all attempts of a call; undeclared counters are attributes."""

    input_tokens: int = 0
    """Uncached prompt tokens; chat's ``prompt_tokens`` includes the cached ones."""
    cache_creation_input_tokens: int | None = None
    """Always 0 at DeepSeek, which does not charge for cache writes."""
    cache_read_input_tokens: int | None = None
    output_tokens: int = 0
    """Tokens of answer and thinking."""

    @classmethod
    def of(cls, usage: CompletionUsage) -> Self:
        """Internal: convert ``usage`` to the names of messages."""
        of_chat = CompletionUsage.__struct_fields__
        further = {name: value for name, value in usage.counters().items() if name not in of_chat}
        cached, created = usage.cached_tokens, further.get("cache_creation_input_tokens") or 0
        made = cls(
            input_tokens=max(0, usage.prompt_tokens - cached - created),
            cache_creation_input_tokens=created,
            cache_read_input_tokens=cached,
            output_tokens=usage.completion_tokens,
            corrected=usage.corrected,
            fees=usage.fees,
        )
        made._origin = (write(further), ())
        return made

    def in_chat_terms(self) -> CompletionUsage:
        """Internal: convert to the names of chat completions, as used by prices and limits."""
        chat = SentUsage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cache_read_input_tokens=self.cache_read_input_tokens or 0,
            cache_creation_input_tokens=self.cache_creation_input_tokens,
        ).read()
        chat.corrected, chat.fees = self.corrected, self.fees
        chat._origin = self._origin  # noqa: SLF001  undeclared counters keep their names
        return chat


class Message(OpenAnswer):
    """A complete answer.

    ``messages.append({"role": "assistant", "content": message.content})`` and ``messages.append(message)`` send every
    block back as received.
    """

    id: str = ""
    type: str = "message"
    role: str = "assistant"
    model: str = ""
    """Model that served the request; for a Claude name, the model behind it."""
    content: list[ContentBlock] = []
    stop_reason: str | None = None
    """``end_turn``, ``max_tokens``, ``stop_sequence``, ``tool_use`` or ``refusal``; ``pause_turn`` if the request
    should be continued with the same content; other values as sent."""
    stop_sequence: str | None = None
    usage: MessageUsage | None = None
    title: str | None = None
    """Title of the conversation, if requested with ``title`` and generated."""

    @classmethod
    def build(cls, content: str | None = None, **said: Unpack[BuiltAnswer]) -> Self:
        """Build an answer for a test, from chat's words: see ``ChatCompletion.build``."""
        reasoning, calls = said.get("reasoning"), calls_of(said.get("tool_calls", ()))
        blocks: list[ContentBlock] = [] if reasoning is None else [ThinkingBlock(type="thinking", thinking=reasoning)]
        blocks += [] if content is None else [TextBlock(type="text", text=content)]
        for call in calls:
            arguments = read(call["function"]["arguments"].encode())
            blocks.append(ToolUseBlock(type="tool_use", id=call["id"], name=call["function"]["name"], input=arguments))
        usage = MessageUsage.of(CompletionUsage.counting(usage_of(content, said)))
        reason = finish_of(said)
        stop = next((ours for ours, chats in _IN_CHATS_WORDS.items() if chats == reason), reason)
        name, model = id_and_model(said)
        return cls(id=name, model=model, content=blocks, stop_reason=stop, usage=usage)

    @property
    def text(self) -> str:
        """Text of all text blocks."""
        return "".join(block.text for block in self.content if isinstance(block, TextBlock))

    @property
    def sources(self) -> list[Source]:
        """Pages the answer is based on, with the quoted passages; empty without a search."""
        return sources_in(self.to_dict(), self.text)

    def to_request(self) -> dict[str, Any]:
        """Return this answer as a turn of the conversation, as ``messages.append(message)`` sends it."""
        return {"role": self.role, "content": [block.to_request() for block in self.content]}

    @property
    def finish_reason(self) -> str | None:
        """Finish reason as in chat, where there is an equivalent: ``stop``, ``tool_calls``, ``length``,
        ``content_filter``."""
        return _IN_CHATS_WORDS.get(self.stop_reason or "", self.stop_reason)

    @property
    def refused(self) -> bool:
        """Whether the service's moderation ended the answer; its content should not be shown."""
        return self.finish_reason == "content_filter"

    def _repr_html_(self) -> str:
        """Return what a notebook shows, with everything escaped."""
        used = self.tokens_used()
        return answer_html(
            self.text,
            self.model,
            self.stop_reason,
            reasoning="".join(block.thinking for block in self.content if isinstance(block, ThinkingBlock)),
            calls=[
                f"{block.name}({write(block.input).decode()})"
                for block in self.content
                if isinstance(block, ToolUseBlock)
            ],
            tokens=None if used is None else used.total_tokens,
        )

    def is_whole(self) -> bool:
        return self.finish_reason in WHOLE

    def tokens_used(self) -> CompletionUsage | None:
        return None if self.usage is None else self.usage.in_chat_terms()

    def bill(self, attempts: Iterable[BilledAttempt], total: CompletionUsage) -> None:
        super().bill(attempts, total)
        self.usage = MessageUsage.of(total)


class EventDelta(LinkedPart, forbid_unknown_fields=True):
    """Content that a ``content_block_delta`` or ``message_delta`` adds; ``type`` names the field.

    Unknown fields are attributes too, but only on a slow path.
    """

    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    """More of a tool's input; fragments end anywhere, also inside a string."""
    citation: dict[str, Any] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    title: str | None = None


class MessageStreamEvent(OpenAnswer, forbid_unknown_fields=True):
    """One event of a streamed answer, e.g. ``content_block_delta``.

    Unknown events, and unknown fields of known ones, are kept as sent: ``to_dict()`` returns everything.
    """

    type: str = ""
    index: int | None = None
    """Index of the block."""
    delta: EventDelta | None = None
    content_block: ContentBlock | None = None
    message: Message | None = None
    """On ``message_start``: the message so far, without content."""
    usage: MessageUsage | None = None
    """On ``message_delta``: usage of the complete answer."""
    error: Any = None
