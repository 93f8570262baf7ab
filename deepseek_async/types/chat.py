"""Chat completions as they come back, plain and streamed. Names follow openai-python.

``finish_reason`` and ``role`` are plain strings, because a value that the API adds must not fail to decode.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from deepseek_async.text.unicode import all_encodable, encodable
from deepseek_async.types.answer import WHOLE, Answer, OpenAnswer
from deepseek_async.types.part import OURS, LinkedPart, Part, fields_of
from deepseek_async.types.source import Source, sources_in
from deepseek_async.types.usage import BilledAttempt, CompletionUsage


class TopLogprob(Part):
    """One of the alternatives for a token."""

    token: str = ""
    logprob: float = 0.0
    """Natural logarithm of the probability; -9999.0 means outside the top 20."""
    bytes: list[int] | None = None


class TokenLogprob(TopLogprob):
    """A token of the answer with its log probability and alternatives."""

    top_logprobs: list[TopLogprob] = []


class ChoiceLogprobs(Part):
    """Log probabilities of a choice; ``reasoning_content`` is DeepSeek's own and present while thinking."""

    content: list[TokenLogprob] | None = None
    reasoning_content: list[TokenLogprob] | None = None


class Function(Part):
    """A function that the model wants called."""

    name: str = ""
    arguments: str = ""
    """JSON text written by the model. Not guaranteed to parse; cut off if ``finish_reason`` is ``length``."""


class ToolCall(Part):
    """One call that the model asks for."""

    id: str = ""
    type: str = "function"
    function: Function = msgspec.field(default_factory=Function)
    index: int = 0

    def to_request(self) -> dict[str, Any]:
        """This call as part of a conversation."""
        asked = self.function
        function = {**asked.to_dict(), "name": encodable(asked.name), "arguments": encodable(asked.arguments)}
        return {**self.to_dict(), "id": encodable(self.id), "function": function}


class ChatCompletionMessage(LinkedPart):
    """What the assistant said."""

    role: str = "assistant"
    content: str | None = None
    reasoning_content: str | None = None
    """The model's reasoning; None when thinking was off."""
    tool_calls: list[ToolCall] | None = None
    refusal: str | None = None
    function_call: Function | None = None
    """OpenAI's older form of a tool call, which some servers still answer in."""
    title: str | None = None
    """A title for the conversation, if one was asked for and the model gave one."""

    def to_request(self) -> dict[str, Any]:
        """This message as part of a conversation: ``messages.append(done.choices[0].message)`` sends this.

        ``content`` may be null only beside tool calls (DeepSeek docs, create-chat-completion), and
        ``reasoning_content`` goes back verbatim, which thinking with tools requires; but for a lone surrogate, which
        cannot be sent and becomes U+FFFD. What nobody declared goes back as it came: the service's searches and their
        results are in it, and what is missing of them costs a miss of the cache, or the search itself. The title stays
        here, because whether a history may have one is not documented.
        """
        sent = self.to_dict() if self._origin is not None else {}
        message: dict[str, Any] = {
            "role": self.role,
            "content": None if self.content is None else encodable(self.content),
        }
        if self.content is None and not self.tool_calls:
            message["content"] = ""
        if self.reasoning_content is not None:
            message["reasoning_content"] = encodable(self.reasoning_content)
        if self.tool_calls:
            message["tool_calls"] = _calls_to_request(self.tool_calls, sent.get("tool_calls"))
        if self.refusal is not None:
            message["refusal"] = encodable(self.refusal)
        parts = sent.get("content")
        if isinstance(parts, list) and _says(parts, self.content):
            message["content"] = all_encodable(parts)
        further = {name: value for name, value in sent.items() if name not in _DECLARED}
        return {**message, **all_encodable(further)} if further else message

    def undeclared(self) -> dict[str, Any]:
        """What the server sent that no declared field holds; content that is no text alone among it."""
        sent = self.to_dict() if self._origin is not None else {}
        kept = {name: value for name, value in sent.items() if name not in _DECLARED}
        return {**kept, "content": sent["content"]} if isinstance(sent.get("content"), list) else kept


def _says(parts: list[Any], content: str | None) -> bool:
    """Whether content that came in ``parts`` with more than text in them is still what the message says."""
    texts = [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
    more = len(texts) < len(parts) or any(not part.keys() <= {"type", "text"} for part in parts)
    return more and "".join(texts) == (content or "")


def _calls_to_request(calls: list[ToolCall], sent: Any) -> list[dict[str, Any]]:
    """``calls`` as they go back, each with what nobody declared of it; one that is no function's just as it came."""
    came = [call for call in sent if isinstance(call, dict)] if isinstance(sent, list) else []
    by_id = {call["id"]: call for call in came if isinstance(call.get("id"), str) and call["id"]}
    made = []
    for position, call in enumerate(calls):
        # An id that its server did not send was given to it here.
        there = by_id.get(call.id) or (came[position] if len(came) == len(calls) else {})
        if there and call.type not in ("function", ""):
            made.append(all_encodable(there))
            continue
        asked = call.to_request()
        function = there.get("function")
        made.append({**all_encodable(there), **asked})
        if isinstance(function, dict):
            made[-1]["function"] = {**all_encodable(function), **asked["function"]}
    return made


_DECLARED: Final = frozenset(fields_of(ChatCompletionMessage))


class Choice(LinkedPart):
    """One answer. DeepSeek sends exactly one per request (``n`` must be 1)."""

    index: int = 0
    message: ChatCompletionMessage = msgspec.field(default_factory=ChatCompletionMessage)
    finish_reason: str | None = None
    """stop, length, tool_calls or content_filter."""
    logprobs: ChoiceLogprobs | None = None
    native_finish_reason: str | None = None
    """The server's own word, where ``finish_reason`` is what it means: ``end_turn`` for stop."""


class ChatCompletion(OpenAnswer):
    """A whole answer of ``POST /chat/completions``."""

    id: str = ""
    object: str = "chat.completion"
    created: int = 0
    """Seconds since 1970."""
    model: str = ""
    """The model that served the request; aliases come back as the model they stand for."""
    choices: list[Choice] = []
    usage: CompletionUsage | None = None
    system_fingerprint: str | None = None
    resumed: bool = msgspec.field(default=False, name=OURS + "resumed")
    """Whether a cut-off stream went on in a second response (``resume="prefix"``)."""

    @property
    def title(self) -> str | None:
        """The title of the first choice, if one was asked for and the model gave one."""
        return self.choices[0].message.title if self.choices else None

    @property
    def sources(self) -> list[Source]:
        """The pages that the answer rests on, with what it cites of them; empty if it names none."""
        return sources_in(self.to_dict(), "\n".join(choice.message.content or "" for choice in self.choices))

    @property
    def refused(self) -> bool:
        """Whether the service's check of contents ended the answer: what there is of it should not be shown."""
        return any(choice.finish_reason == "content_filter" for choice in self.choices)

    def tokens_used(self) -> CompletionUsage | None:
        return self.usage

    def bill(self, attempts: Iterable[BilledAttempt], total: CompletionUsage) -> None:
        super().bill(attempts, total)
        self.usage = total

    def is_whole(self) -> bool:
        return bool(self.choices) and all(choice.finish_reason in WHOLE for choice in self.choices)


# A chunk with a field that is not declared is read in another way, which takes it out: see ``codec/undeclared.py``.


class FunctionDelta(Part, forbid_unknown_fields=True):
    """A fragment of a function call."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(Part, forbid_unknown_fields=True):
    """A fragment of a tool call; fragments with the same ``index`` belong together."""

    index: int = 0
    id: str | None = None
    type: str | None = None
    function: FunctionDelta | None = None


class ChoiceDelta(Part, forbid_unknown_fields=True):
    """What one chunk adds to the message."""

    content: str | None = None
    reasoning_content: str | None = None
    role: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    refusal: str | None = None
    function_call: FunctionDelta | None = None
    reasoning: str | None = None
    """What others call ``reasoning_content`` (vLLM, OpenRouter, Groq); it is told as that, and None here."""
    title: str | None = None
    """A title for the conversation; in the last chunk."""


class ChunkChoice(Part, forbid_unknown_fields=True):
    """What one chunk adds to a choice."""

    index: int = 0
    delta: ChoiceDelta = msgspec.field(default_factory=ChoiceDelta)
    finish_reason: str | None = None
    logprobs: ChoiceLogprobs | None = None
    native_finish_reason: str | None = None


class ChatCompletionChunk(Answer, forbid_unknown_fields=True):
    """One event of a streamed answer. ``choices`` may be empty."""

    id: str = ""
    object: str = "chat.completion.chunk"
    created: int = 0
    model: str = ""
    choices: list[ChunkChoice] = []
    usage: CompletionUsage | None = None
    """Present on the last content chunk, or on a trailing chunk without choices."""
    system_fingerprint: str | None = None
    undeclared: Any = msgspec.field(default=None, name=OURS + "undeclared")
    """What the chunk has beside the fields that are declared; None for nearly all. ``to_dict()`` has it as it came."""


class OpenChunk(ChatCompletionChunk, OpenAnswer):
    """A chunk that may have fields which nobody declared."""
