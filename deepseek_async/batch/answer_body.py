"""An answer in a line of an output, whichever endpoint gave it: what it says, and why it ended. Pure."""

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
    """Of a continued text, which is no message."""


class BodyBlock(msgspec.Struct, gc=False):
    """A piece of an answer in Anthropic's format."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"{}")


class BodyPage(msgspec.Struct, gc=False):
    """Of a document that was read."""

    text: str = ""
    finish_reason: str | None = None


class AnswerBody(msgspec.Struct, gc=False):
    """What an endpoint answered. Which one it was its fields tell: no two have the same."""

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
        """What it says; None for an answer that says nothing in words."""
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
        """What the model thought before."""
        if self.choices:
            message = self.choices[0].message
            return message.reasoning if message.reasoning_content is None else message.reasoning_content
        thoughts = [item.reasoning for item in self.output] + [block.thinking for block in self.content]
        return "".join(thoughts) or None

    @property
    def tool_calls(self) -> str | None:
        """Calls of functions as JSON, as the endpoint has them; None for none."""
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
        """Why it ended, in chat's words."""
        if self.choices:
            return finish_reason.known(self.choices[0].finish_reason)
        if self.status is not None:
            details = self.incomplete_details
            return finish_reason_of(self.status, None if details is None else details.reason, self.output)
        if self.pages is not None:
            return "length" if any(page.finish_reason == "length" for page in self.pages) else "stop"
        return finish_reason.known(self.stop_reason)
