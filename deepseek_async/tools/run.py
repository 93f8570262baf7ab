"""Tool loop: the conversation between a model and its tools."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from itertools import count
from typing import Any, Final

import msgspec

from deepseek_async.errors import DeepSeekError, InvalidRequestError, ToolRunError
from deepseek_async.lint.conversation import LOST_REASONING
from deepseek_async.process.worker_threads import WorkerThreads
from deepseek_async.tools.calls import call_all
from deepseek_async.tools.function import FunctionTool
from deepseek_async.types import BilledAttempt, ChatCompletion, CompletionUsage, ToolCall
from deepseek_async.types.answer import bills_of
from deepseek_async.types.usage import added

DEFAULT_TURNS: Final = 10

DEFAULT_CALLS: Final = 64
"""Calls per turn. A model that repeats itself emits hundreds, until max_tokens stops it."""

DEFAULT_TIMEOUT: Final = 600.0
"""Seconds per call, so that a function that never returns does not block the run."""

_OURS: Final = ("function", "")
"""Types of function calls."""

Message = Mapping[str, Any]
Ask = Callable[[list[Message], bool], Awaitable[ChatCompletion]]
"""Sends a conversation to the model; the flag is True for the first turn."""


class ToolRun(msgspec.Struct, frozen=True, gc=False):
    """Result of a tool loop."""

    completion: ChatCompletion
    """The last answer, without tool calls."""
    messages: list[Message]
    """The whole conversation, the last answer included: append a user message to continue it."""
    turns: int
    """Number of the model's answers."""
    usage: CompletionUsage
    """Token usage of all turns."""
    billed_attempts: tuple[BilledAttempt, ...] = ()
    """Every billed request of all turns."""

    @property
    def content(self) -> str:
        """Text of the last answer."""
        return self.completion.choices[0].message.content or ""


async def run_tools(
    ask: Ask,
    messages: Sequence[Message],
    tools: Sequence[FunctionTool],
    *,
    max_turns: int,
    thinking: bool,
    threads: WorkerThreads,
    timeout: float | None = None,
    max_calls: int | None = None,
) -> ToolRun:
    """Alternate between the model and its tool calls until it answers without one.

    Raises ToolRunError if a call was truncated by ``max_tokens``, after ``max_turns`` answers with calls, and if a
    function raised KeyboardInterrupt; and the errors of ``ask``. Every error contains the conversation so far.
    """
    conversation: list[Message] = list(messages)
    usages: list[CompletionUsage] = []
    bills: list[BilledAttempt] = []
    known = {tool.name: tool for tool in tools}
    completion: ChatCompletion | None = None
    for turn in range(1, max_turns + 1):
        try:
            completion = await ask(conversation, turn == 1)
        except DeepSeekError as error:
            raise _carrying(error, conversation, usages, bills, completion) from error.__cause__
        bills += bills_of(completion)
        if completion.usage is not None:
            usages.append(completion.usage)
        choice = completion.choices[0]
        # The service executes its own tools, whatever list their calls are in.
        ours = [call for call in choice.message.tool_calls or () if call.type in _OURS or call.function.name in known]
        calls = _told_apart(ours, turn)
        if calls and choice.finish_reason not in ("tool_calls", "stop"):
            # A truncated call must not be executed.
            raise ToolRunError(
                f"tool call truncated: the answer ended ({choice.finish_reason}) inside {calls[-1].function.name}(), "
                "which was not executed. Raise max_tokens",
                reason="truncated",
                partial=completion,
                messages=conversation,
                usage=added(usages),
                billed_attempts=tuple(bills),
            )
        conversation.append(_replayed(choice.message.to_request(), thinking=thinking))
        if not calls:
            return ToolRun(completion, conversation, turn, added(usages), tuple(bills))
        # In the order of the calls, not of completion: the prefix cache depends on it.
        ended = await call_all(calls, known, threads, timeout=timeout, most=max_calls)
        conversation += [
            {"role": "tool", "tool_call_id": call.id, "content": called.text}
            for call, called in zip(calls, ended, strict=True)
        ]
        for called in ended:
            if called.interrupt is not None:
                raise ToolRunError(
                    "tool run stopped: a function raised KeyboardInterrupt",
                    reason="interrupted",
                    partial=completion,
                    messages=conversation,
                    usage=added(usages),
                    billed_attempts=tuple(bills),
                ) from called.interrupt
    raise ToolRunError(
        f"tool run stopped: the model still calls tools after {max_turns} answers; raise max_turns",
        reason="turns",
        partial=completion,
        messages=conversation,
        usage=added(usages),
        billed_attempts=tuple(bills),
    )


def _told_apart(calls: list[ToolCall], turn: int) -> list[ToolCall]:
    """Give each call a unique id, to match results: some servers send none, or the same for all (Gemini)."""
    seen: set[str] = set()
    for position, call in enumerate(calls):
        if not call.id or call.id in seen:
            call.id = next(name for at in count(position) if (name := f"call_{turn}_{at}") not in seen)
        seen.add(call.id)
    return calls


def _carrying(
    error: DeepSeekError,
    conversation: list[Message],
    usages: Sequence[CompletionUsage],
    bills: Sequence[BilledAttempt],
    last: ChatCompletion | None,
) -> DeepSeekError:
    """Return a copy of the error with the run so far; a copy, because concurrent equal calls may share one error."""
    carrying = copy(error)
    carrying.messages = conversation
    carrying.usage = added((*usages, *(bill.usage for bill in error.billed_attempts)))
    carrying.billed_attempts = (*bills, *error.billed_attempts)
    carrying.partial = error.partial or last
    return carrying.with_traceback(error.__traceback__)


def as_tools(functions: Sequence[Callable[..., Any] | FunctionTool]) -> list[FunctionTool]:
    """Convert functions to tools. Raises InvalidRequestError for an empty list, or duplicate names."""
    tools = [tool if isinstance(tool, FunctionTool) else FunctionTool(tool) for tool in functions]
    names = [tool.name for tool in tools]
    if not tools or len(set(names)) != len(names):
        raise InvalidRequestError(f"tools must be functions with unique names, got {names}")
    return tools


def _replayed(message: dict[str, Any], *, thinking: bool) -> dict[str, Any]:
    """Return the model's message to send back, with verbatim reasoning, which the API requires (``thinking``)."""
    if thinking and message.get("reasoning_content") is None:
        message["reasoning_content"] = LOST_REASONING
    return message
