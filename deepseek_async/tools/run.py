"""The conversation between a model and its tools, to its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from itertools import count
from typing import Any, Final

import msgspec

from deepseek_async.errors import DeepSeekError, InvalidRequestError, ToolRunError
from deepseek_async.lint.conversation import LOST_REASONING
from deepseek_async.tools.calls import call_all
from deepseek_async.tools.function import FunctionTool
from deepseek_async.tools.threads import ToolThreads
from deepseek_async.types import BilledAttempt, ChatCompletion, CompletionUsage, ToolCall
from deepseek_async.types.answer import bills_of
from deepseek_async.types.usage import added

DEFAULT_TURNS: Final = 10

DEFAULT_CALLS: Final = 64
"""Calls of one turn. A model that repeats itself asks for hundreds, until max_tokens ends it."""

DEFAULT_TIMEOUT: Final = 600.0
"""Seconds of one call: nobody waits for a function that never ends."""

_OURS: Final = ("function", "")
"""Types of calls of functions."""

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
    billed_attempts: tuple[BilledAttempt, ...] = ()
    """Every request that was billed, of all turns."""

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
    threads: ToolThreads,
    timeout: float | None = None,
    max_calls: int | None = None,
) -> ToolRun:
    """Ask, do what the model asks for, tell it, and so on until it answers without a call.

    Raises ToolRunError when a call was cut off by ``max_tokens``, after ``max_turns`` answers with calls, and when a
    function raised KeyboardInterrupt; and what ``ask`` raises. Every error carries the conversation so far.
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
        # What the service runs itself is not ours to run, whatever list it stands in.
        ours = [call for call in choice.message.tool_calls or () if call.type in _OURS or call.function.name in known]
        calls = _told_apart(ours, turn)
        if calls and choice.finish_reason not in ("tool_calls", "stop"):
            # Half an instruction is not carried out.
            raise ToolRunError(
                f"the answer ended ({choice.finish_reason}) inside a call of {calls[-1].function.name}(); "
                "nothing of it was executed. Give a larger max_tokens",
                reason="truncated",
                partial=completion,
                messages=conversation,
                usage=added(usages),
                billed_attempts=tuple(bills),
            )
        conversation.append(_replayed(choice.message.to_request(), thinking=thinking))
        if not calls:
            return ToolRun(completion, conversation, turn, added(usages), tuple(bills))
        # In the order of the calls, whatever the order in which they end: the prefix cache wants it.
        ended = await call_all(calls, known, threads, timeout=timeout, most=max_calls)
        conversation += [
            {"role": "tool", "tool_call_id": call.id, "content": called.text}
            for call, called in zip(calls, ended, strict=True)
        ]
        for called in ended:
            if called.interrupt is not None:
                raise ToolRunError(
                    "a function raised KeyboardInterrupt, so the run ends",
                    reason="interrupted",
                    partial=completion,
                    messages=conversation,
                    usage=added(usages),
                    billed_attempts=tuple(bills),
                ) from called.interrupt
    raise ToolRunError(
        f"the model still wanted tools after {max_turns} answers (max_turns)",
        reason="turns",
        partial=completion,
        messages=conversation,
        usage=added(usages),
        billed_attempts=tuple(bills),
    )


def _told_apart(calls: list[ToolCall], turn: int) -> list[ToolCall]:
    """``calls`` with an id each: results are told by it, and some servers send none, or one for all (Gemini)."""
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
    """The error with what the run has done until now. A copy, because equal calls may share one error."""
    carrying = copy(error)
    carrying.messages = conversation
    carrying.usage = added((*usages, *(bill.usage for bill in error.billed_attempts)))
    carrying.billed_attempts = (*bills, *error.billed_attempts)
    carrying.partial = error.partial or last
    return carrying.with_traceback(error.__traceback__)


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
