"""Answers of ``POST /responses``, plain and streamed. Names follow openai-python.

One struct stands for every kind of output item and one for every kind of event: ``type`` says which, and the
fields of other kinds keep their defaults.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Self

from deepseek_async.text.unicode import all_encodable
from deepseek_async.types.answer import WHOLE, OpenAnswer
from deepseek_async.types.json_text import write
from deepseek_async.types.part import Counters, LinkedPart, Part
from deepseek_async.types.source import Source, sources_in
from deepseek_async.types.usage import BilledAttempt, CompletionTokensDetails, CompletionUsage

_ECHOED: Final = frozenset({"instructions", "input", "tools", "metadata", "text"})
_NO_MESSAGES: Final = ("reasoning", "function_call")


class ResponseContent(Part):
    """A piece of an item: ``output_text``, ``reasoning_text`` or ``refusal``."""

    type: str = ""
    text: str = ""
    refusal: str | None = None


class ResponseOutputItem(LinkedPart):
    """A step of the answer: ``message``, ``reasoning`` or ``function_call``."""

    type: str = ""
    id: str = ""
    status: str | None = None
    role: str | None = None
    content: list[ResponseContent] | None = None
    summary: list[ResponseContent] | None = None
    """Of reasoning: what the server tells of it, where it does not send it whole."""
    call_id: str | None = None
    """Of a function call: send the result back under this id."""
    name: str | None = None
    arguments: str | None = None
    """Of a function call: JSON text written by the model."""

    @property
    def is_message(self) -> bool:
        """Whether it is a message, whatever word its server has for one."""
        return self.type in ("message", "") or (self.role == "assistant" and self.type not in _NO_MESSAGES)

    def to_request(self) -> dict[str, Any]:
        """This item as part of the next input: just as it came, because the service finds its searches by it."""
        item = self.to_dict()
        return all_encodable(item if self._origin is not None else _without_nulls(item))  # type: ignore[no-any-return]

    @property
    def text(self) -> str:
        """All text of this item."""
        return "".join(part.text for part in self.content or ())

    @property
    def reasoning(self) -> str:
        """What the model thought, or what the server tells of it; empty for other kinds of item."""
        return "".join(part.text for part in self.content or self.summary or ()) if self.type == "reasoning" else ""


def _without_nulls(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if value is not None}


class InputTokensDetails(Part):
    """Of ``input_tokens``."""

    cached_tokens: int = 0


class OutputTokensDetails(Part):
    """Of ``output_tokens``."""

    reasoning_tokens: int = 0


class ResponseUsage(Counters):
    """Tokens as the server billed them, over all attempts of a call; counters that nobody declared are attributes."""

    input_tokens: int = 0
    input_tokens_details: InputTokensDetails | None = None
    output_tokens: int = 0
    """Answer and reasoning together."""
    output_tokens_details: OutputTokensDetails | None = None
    total_tokens: int = 0

    @classmethod
    def of(cls, usage: CompletionUsage) -> Self:
        """``usage`` in the terms of responses."""
        made = cls(
            input_tokens=usage.prompt_tokens,
            input_tokens_details=InputTokensDetails(cached_tokens=usage.cached_tokens),
            output_tokens=usage.completion_tokens,
            output_tokens_details=OutputTokensDetails(reasoning_tokens=usage.reasoning_tokens),
            total_tokens=usage.total_tokens,
            corrected=usage.corrected,
            fees=usage.fees,
        )
        of_chat = CompletionUsage.__struct_fields__
        further = {name: value for name, value in usage.counters().items() if name not in of_chat}
        made._origin = (write(further), ())
        return made

    def in_chat_terms(self) -> CompletionUsage:
        """The same numbers under the names of a chat completion, as prices and limits want them."""
        cached = self.input_tokens_details.cached_tokens if self.input_tokens_details else None
        details = self.output_tokens_details
        chat = CompletionUsage(
            prompt_tokens=self.input_tokens,
            completion_tokens=self.output_tokens,
            total_tokens=self.total_tokens,
            prompt_cache_hit_tokens=cached,
            prompt_cache_miss_tokens=None if cached is None else self.input_tokens - cached,
            completion_tokens_details=None if details is None else CompletionTokensDetails(details.reasoning_tokens),
            corrected=self.corrected,
            fees=self.fees,
        )
        chat._origin = self._origin  # noqa: SLF001  what nobody declared has one name everywhere
        return chat


class IncompleteDetails(Part):
    """Why an answer is incomplete."""

    reason: str | None = None
    """max_output_tokens or content_filter."""


class ResponseError(Part):
    """Why an answer failed."""

    code: str = ""
    message: str = ""


def finish_reason_of(status: str | None, incomplete: str | None, output: Iterable[ResponseOutputItem]) -> str | None:
    """Chat's word for the ``status`` of a response, and for why it is ``incomplete``."""
    if status == "completed":
        return "tool_calls" if any(item.type == "function_call" for item in output) else "stop"
    return "length" if incomplete == "max_output_tokens" else incomplete or status


class Response(OpenAnswer):
    """A whole answer."""

    id: str = ""
    object: str = "response"
    created_at: float = 0
    """Seconds since 1970."""
    status: str | None = None
    """completed or incomplete; a failed one is raised as an error."""
    model: str = ""
    output: list[ResponseOutputItem] = []
    usage: ResponseUsage | None = None
    incomplete_details: IncompleteDetails | None = None
    error: ResponseError | None = None
    title: str | None = None
    """A title for the conversation, if one was asked for and the model gave one."""

    @property
    def sources(self) -> list[Source]:
        """The pages that the answer rests on, with what it cites of them; empty if it names none."""
        # What the server echoes of the request is no source.
        answered = {name: value for name, value in self.to_dict().items() if name not in _ECHOED}
        return sources_in(answered, self.output_text)

    @property
    def refused(self) -> bool:
        """Whether the service's check of contents ended the answer: what there is of it should not be shown."""
        return self.finish_reason == "content_filter"

    @property
    def output_text(self) -> str:
        """The answer's text: that of all messages."""
        return "".join(item.text for item in self.output if item.is_message)

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, in chat's words where it has one: stop, tool_calls, length, content_filter."""
        details = self.incomplete_details
        return finish_reason_of(self.status, None if details is None else details.reason, self.output)

    def is_whole(self) -> bool:
        return self.finish_reason in WHOLE

    def tokens_used(self) -> CompletionUsage | None:
        return None if self.usage is None else self.usage.in_chat_terms()

    def bill(self, attempts: Iterable[BilledAttempt], total: CompletionUsage) -> None:
        super().bill(attempts, total)
        self.usage = ResponseUsage.of(total)


class ResponseStreamEvent(OpenAnswer):
    """One event of a streamed answer, for example ``response.output_text.delta``."""

    type: str = ""
    sequence_number: int = 0
    output_index: int = 0
    content_index: int = 0
    item_id: str | None = None
    delta: str = ""
    """The next piece of text, of reasoning or of a call's arguments."""
    text: str | None = None
    arguments: str | None = None
    item: ResponseOutputItem | None = None
    part: ResponseContent | None = None
    response: Response | None = None
    """The whole answer as it is now, on events about the answer itself."""
    code: str | None = None
    message: str | None = None
    param: Any = None
