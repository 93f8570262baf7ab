"""Answers of ``POST /anthropic/v1/messages``, plain and streamed. Names follow the anthropic package.

A block whose ``type`` has a class here has typed fields. One of another type is a ContentBlock: its fields are
attributes all the same, and every block goes back as it came.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Self

import msgspec

from deepseek_async.text.unicode import all_encodable
from deepseek_async.types.answer import WHOLE, OpenAnswer
from deepseek_async.types.json_text import write
from deepseek_async.types.part import Counters, LinkedPart
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
"""How the escape of a surrogate begins, without which JSON can hold none."""


class ContentBlock(LinkedPart):
    """A piece of an answer, of whichever ``type``."""

    type: str = ""

    def to_request(self) -> dict[str, Any]:
        """This block as part of a conversation: all that the server sent.

        But for a lone surrogate, which cannot be sent and becomes U+FFFD.
        """
        said = self.to_dict()
        if self._origin is None:
            said = {name: item for name, item in said.items() if item is not None}
        elif _SURROGATE not in self._origin[0]:
            return said
        made: dict[str, Any] = all_encodable(said)
        return made


class TextBlock(ContentBlock):
    """What the model says."""

    text: str = ""
    citations: list[dict[str, Any]] | None = None
    """Where it has it from: ``url``, ``title``, ``cited_text``."""


class ThinkingBlock(ContentBlock):
    """What the model thinks first. ``signature`` goes back with it, unchanged."""

    thinking: str = ""
    signature: str = ""


class RedactedThinkingBlock(ContentBlock):
    """Thoughts that are shown to nobody, and go back as they are."""

    data: str = ""


class ToolUseBlock(ContentBlock):
    """A call of one of your tools: send the result back under this ``id``."""

    id: str = ""
    name: str = ""
    input: Any = msgspec.field(default_factory=dict)
    """An object; the text that came in the place of one if it is no JSON, as where ``max_tokens`` cut it off."""


class ServerToolUseBlock(ToolUseBlock):
    """A call that the service makes itself."""


class WebSearchToolResultBlock(ContentBlock):
    """What a search of the service brought: a list of results, or one error object."""

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
    """Tokens as the server billed them, over all attempts of a call; counters that nobody declared are attributes."""

    input_tokens: int = 0
    """The part of the prompt that was not cached: chat's ``prompt_tokens`` are these and the cached ones."""
    cache_creation_input_tokens: int | None = None
    """Always 0 at DeepSeek, where writing the cache costs nothing."""
    cache_read_input_tokens: int | None = None
    output_tokens: int = 0
    """Answer and thinking together."""

    @classmethod
    def of(cls, usage: CompletionUsage) -> Self:
        """``usage`` in the terms of messages."""
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
        """The same numbers under the names of a chat completion, as prices and limits want them."""
        chat = SentUsage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cache_read_input_tokens=self.cache_read_input_tokens or 0,
            cache_creation_input_tokens=self.cache_creation_input_tokens,
        ).read()
        chat.corrected, chat.fees = self.corrected, self.fees
        chat._origin = self._origin  # noqa: SLF001  what nobody declared has one name everywhere
        return chat


class Message(OpenAnswer):
    """A whole answer.

    ``messages.append({"role": "assistant", "content": message.content})``, and ``messages.append(message)``, send every
    block back as it came.
    """

    id: str = ""
    type: str = "message"
    role: str = "assistant"
    model: str = ""
    """The model that served the request; names of Claude come back as the model they stand for."""
    content: list[ContentBlock] = []
    stop_reason: str | None = None
    """end_turn, max_tokens, stop_sequence, tool_use or refusal; pause_turn where the service wants to be asked to go on
    with the same content; another word as the server has it."""
    stop_sequence: str | None = None
    usage: MessageUsage | None = None
    title: str | None = None
    """Of the conversation, if ``title`` asked for one and the model gave it."""

    @property
    def text(self) -> str:
        """The answer's text: that of all text blocks."""
        return "".join(block.text for block in self.content if isinstance(block, TextBlock))

    @property
    def sources(self) -> list[Source]:
        """The pages that the answer rests on, and what it quotes of them; empty without a search."""
        return sources_in(self.to_dict(), self.text)

    def to_request(self) -> dict[str, Any]:
        """This answer as a turn of the conversation: ``messages.append(message)`` sends this."""
        return {"role": self.role, "content": [block.to_request() for block in self.content]}

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, in chat's words where it has one: stop, tool_calls, length, content_filter."""
        return _IN_CHATS_WORDS.get(self.stop_reason or "", self.stop_reason)

    @property
    def refused(self) -> bool:
        """Whether the service's check of contents ended the answer: what there is of it should not be shown."""
        return self.finish_reason == "content_filter"

    def is_whole(self) -> bool:
        return self.finish_reason in WHOLE

    def tokens_used(self) -> CompletionUsage | None:
        return None if self.usage is None else self.usage.in_chat_terms()

    def bill(self, attempts: Iterable[BilledAttempt], total: CompletionUsage) -> None:
        super().bill(attempts, total)
        self.usage = MessageUsage.of(total)


class EventDelta(LinkedPart, forbid_unknown_fields=True):
    """What a ``content_block_delta`` or the ``message_delta`` adds; ``type`` says which field has it.

    Unknown fields are attributes too, but are looked for on the slow way only.
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
    """One event of a streamed answer, for example ``content_block_delta``.

    Unknown events, and unknown fields of known ones, are here as the server sent them: ``to_dict()`` has all.
    """

    type: str = ""
    index: int | None = None
    """Of the block that it is about."""
    delta: EventDelta | None = None
    content_block: ContentBlock | None = None
    message: Message | None = None
    """On ``message_start``: the answer as it is then, without content."""
    usage: MessageUsage | None = None
    """On ``message_delta``: of the whole answer."""
    error: Any = None
