"""The conversation between a model and its tools, to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from deepseek_async.errors import InvalidRequestError, ToolRunError
from deepseek_async.lint.conversation import LOST_REASONING
from deepseek_async.tools.function import FunctionTool
from deepseek_async.types import ChatCompletion, CompletionUsage, ToolCall
from deepseek_async.types.usage import added

DEFAULT_TURNS: Final = 10

Message = Mapping[str, Any]
Ask = Callable[[list[Message], bool], Awaitable[ChatCompletion]]
"""Asks the model about a conversation; the flag says whether this is the first time."""


class ToolRun(msgspec.Struct, frozen=True, gc=False):
    """How a conversation with tools went."""

    completion: ChatCompletion
    """The last answer, the one without tool calls."""
    messages: list[Message]
    """The whole conversation, the last answer included: pass it on, with a new user message, to continue."""
    turns: int
    """Answers of the model."""
    usage: CompletionUsage
    """Tokens of all turns together."""

    @property
    def content(self) -> str:
        """The text of the last answer."""
        return self.completion.choices[0].message.content or ""


async def run_tools(
    ask: Ask,
    messages: Sequence[Message],
    tools: Sequence[FunctionTool],
    *,
    max_turns: int,
    thinking: bool,
) -> ToolRun:
    """Ask, do what the model asks for, tell it, and so on until it answers without a call.

    Raises ToolRunError when a call was cut off by ``max_tokens``, and after ``max_turns`` answers with calls.
    """
    conversation: list[Message] = list(messages)
    usage = CompletionUsage()
    known = {tool.name: tool for tool in tools}
    completion: ChatCompletion | None = None
    for turn in range(1, max_turns + 1):
        completion = await ask(conversation, turn == 1)
        if completion.usage is not None:
            usage = added((usage, completion.usage))
        choice = completion.choices[0]
        calls = choice.message.tool_calls or []
        if calls and choice.finish_reason not in ("tool_calls", "stop"):
            # Half an instruction is not carried out.
            raise ToolRunError(
                f"the answer ended ({choice.finish_reason}) inside a call of {calls[-1].function.name}(); "
                "nothing of it was executed. Give a larger max_tokens",
                reason="truncated",
                partial=completion,
                messages=conversation,
            )
        conversation.append(_replayed(choice.message.to_request(), thinking=thinking))
        if not calls:
            return ToolRun(completion, conversation, turn, usage)
        # In the order of the calls, whatever the order in which they end: the prefix cache wants it.
        conversation += await _results(calls, known)
    raise ToolRunError(
        f"the model still wanted tools after {max_turns} answers (max_turns)",
        reason="turns",
        partial=completion,
        messages=conversation,
    )


def as_tools(functions: Sequence[Callable[..., Any] | FunctionTool]) -> list[FunctionTool]:
    """Functions as tools. Raises InvalidRequestError for none at all, or for two of one name."""
    tools = [tool if isinstance(tool, FunctionTool) else FunctionTool(tool) for tool in functions]
    names = [tool.name for tool in tools]
    if not tools or len(set(names)) != len(names):
        raise InvalidRequestError(f"tools must be functions with different names, not {names}")
    return tools


def _replayed(message: dict[str, Any], *, thinking: bool) -> dict[str, Any]:
    """The model's own message, with its reasoning word for word; the API refuses it without (``thinking``)."""
    if thinking and message.get("reasoning_content") is None:
        message["reasoning_content"] = LOST_REASONING
    return message


async def _results(calls: Sequence[ToolCall], known: Mapping[str, FunctionTool]) -> list[Message]:
    """The answers to all calls of one turn, which run side by side."""
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(_result(call, known.get(call.function.name), list(known))) for call in calls]
    return [
        {"role": "tool", "tool_call_id": call.id, "content": task.result()}
        for call, task in zip(calls, running, strict=True)
    ]


async def _result(call: ToolCall, tool: FunctionTool | None, names: list[str]) -> str:
    """What the model is told: the result, or what went wrong, so that it can do better."""
    if tool is None:
        return _failed(f"there is no function {call.function.name!r}; there are: {', '.join(names)}")
    try:
        return await tool.answer(call.function.arguments)
    except Exception as error:  # noqa: BLE001  a tool may raise anything, and the model is the one to be told
        return _failed(f"{type(error).__name__}: {error}")


def _failed(what: str) -> str:
    return msgspec.json.encode({"error": what}).decode()
