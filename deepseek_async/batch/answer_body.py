"""Response body of an output line, for every endpoint: text, reasoning, tool calls and finish reason. Pure."""

from __future__ import annotations

import msgspec
import orjson

from deepseek_async.codec import finish_reason
from deepseek_async.types.response import IncompleteDetails, ResponseOutputItem, finish_reason_of
from deepseek_async.types.usage import SentUsage


class BodyMessage(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: msgspec.Raw = msgspec.Raw(b"")


class BodyChoice(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    message: BodyMessage = msgspec.field(default_factory=BodyMessage)
    text: str | None = None
    """Text of a completion, which has no message."""


class BodyBlock(msgspec.Struct, gc=False):
    """A content block in the Anthropic format."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"{}")


class BodyPage(msgspec.Struct, gc=False):
    """A page of a recognized document."""

    text: str = ""
    finish_reason: str | None = None


class AnswerBody(msgspec.Struct, gc=False):
    """The response body of any endpoint. The fields present identify the endpoint; no two share them."""

    model: str | None = None
    created: float | None = None
    created_at: float | None = None
    choices: list[BodyChoice] = []
    usage: SentUsage | None = None
    output: list[ResponseOutputItem] = []
    status: str | None = None
    incomplete_details: IncompleteDetails | None = None
    content: list[BodyBlock] = []
    stop_reason: str | None = None
    pages: list[BodyPage] | None = None

    @property
    def text(self) -> str | None:
        """The text of the answer, or None if it contains no text."""
        if self.choices:
            first = self.choices[0]
            return first.message.content if first.text is None else first.text
        if self.output:
            return "".join(item.text for item in self.output if item.is_message)
        if self.content:
            return "".join(block.text for block in self.content if block.type == "text")
        return None if self.pages is None else "\f".join(page.text for page in self.pages)

    @property
    def reasoning(self) -> str | None:
        """The model's reasoning, or None."""
        if self.choices:
            message = self.choices[0].message
            return message.reasoning if message.reasoning_content is None else message.reasoning_content
        thoughts = [item.reasoning for item in self.output] + [block.thinking for block in self.content]
        return "".join(thoughts) or None

    @property
    def tool_calls(self) -> str | None:
        """Tool calls as JSON in the endpoint's own format, or None."""
        if self.choices:
            calls = bytes(self.choices[0].message.tool_calls)
            return calls.decode() if calls and calls != b"null" else None
        found = [item.to_request() for item in self.output if item.type == "function_call"]
        used = [
            {"type": block.type, "id": block.id, "name": block.name, "input": orjson.loads(bytes(block.input))}
            for block in self.content
            if block.type == "tool_use"
        ]
        return orjson.dumps(found + used).decode() if found or used else None

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, as a chat ``finish_reason``."""
        if self.choices:
            return finish_reason.known(self.choices[0].finish_reason)
        if self.status is not None:
            details = self.incomplete_details
            return finish_reason_of(self.status, None if details is None else details.reason, self.output)
        if self.pages is not None:
            return "length" if any(page.finish_reason == "length" for page in self.pages) else "stop"
        return finish_reason.known(self.stop_reason)
