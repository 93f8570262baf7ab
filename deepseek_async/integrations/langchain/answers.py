"""Answers and their chunks as LangChain's messages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall, ToolCall
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from deepseek_async.integrations.langchain.conversation import UNDECLARED
from deepseek_async.integrations.unconvertible import unconvertible
from deepseek_async.text.unicode import all_encodable, encodable
from deepseek_async.types import ChatCompletion, ChatCompletionChunk
from deepseek_async.types.chat_completion import Choice
from deepseek_async.types.chat_completion import ToolCall as RequestedCall
from deepseek_async.types.usage import CompletionUsage

PROVIDER: Final = "deepseek"
FORM: Final = "LangChain message"
"""What an answer is converted to, in errors."""


def result_of(completion: ChatCompletion, cost: float | None) -> ChatResult:
    """Convert a complete answer that cost ``cost`` US dollars; None: it cannot be said in dollars.

    Raises APIResponseValidationError with the answer as ``partial`` if LangChain does not take it.
    """
    try:
        generations = [_generation(completion, choice, cost) for choice in completion.choices]
    except Exception as error:
        raise unconvertible(completion, FORM, error) from error
    return ChatResult(generations=generations)


def _generation(completion: ChatCompletion, choice: Choice, cost: float | None) -> ChatGeneration:
    message = message_of(completion, choice, cost)
    return ChatGeneration(message=message, generation_info={"finish_reason": choice.finish_reason})


def message_of(completion: ChatCompletion, choice: Choice, cost: float | None) -> AIMessage:
    """Convert one choice."""
    asked = choice.message
    calls, unreadable = _calls(asked.tool_calls or ())
    further: dict[str, Any] = {}
    if asked.reasoning_content is not None:
        further["reasoning_content"] = encodable(asked.reasoning_content)
    _add_rarities(further, choice)
    first = choice is completion.choices[0]  # the answer is billed once, however many choices it has
    return AIMessage(
        content=encodable(asked.content or ""),
        additional_kwargs=further,
        tool_calls=calls,
        invalid_tool_calls=unreadable,
        usage_metadata=usage_of(completion.usage) if first and completion.usage is not None else None,
        response_metadata=metadata_of(completion, choice, cost if first else 0.0),
    )


def _add_rarities(further: dict[str, Any], choice: Choice) -> None:
    """Add what few answers have: a refusal, and fields that must be sent back although nobody declared them."""
    if choice.message.refusal is not None:
        further["refusal"] = encodable(choice.message.refusal)
    if undeclared := choice.message.undeclared():
        further[UNDECLARED] = all_encodable(undeclared)


def metadata_of(completion: ChatCompletion, choice: Choice, cost: float | None) -> dict[str, Any]:
    """Return what LangChain calls the response's metadata; ``cost`` is in US dollars."""
    made: dict[str, Any] = {
        "model_provider": PROVIDER,
        "model_name": completion.model,
        "finish_reason": choice.finish_reason,
        "id": completion.id,
        "cost": cost,
    }
    if completion.system_fingerprint:
        made["system_fingerprint"] = completion.system_fingerprint
    if choice.logprobs is not None:
        made["logprobs"] = all_encodable(choice.logprobs.to_dict())
    rarely = (
        ("title", choice.message.title),
        ("fallback", completion.fallback),
        ("cached", completion.cached),
        ("fees", completion.usage.fees if completion.usage is not None else None),
    )
    made.update({name: value for name, value in rarely if value})
    return made


def usage_of(usage: CompletionUsage) -> UsageMetadata:
    """Convert the billed usage."""
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        input_token_details=InputTokenDetails(cache_read=usage.cached_tokens),
        output_token_details=OutputTokenDetails(reasoning=usage.reasoning_tokens),
    )


def _calls(asked: Sequence[RequestedCall]) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    """Return the calls that a program can execute, and those whose arguments are not a JSON object."""
    calls: list[ToolCall] = []
    unreadable: list[InvalidToolCall] = []
    for call in asked:
        name, text, identity = encodable(call.function.name), call.function.arguments, encodable(call.id)
        try:
            arguments = json.loads(text, strict=False) if text.strip() else {}
        except ValueError as error:
            problem = f"the arguments are not JSON: {error}"
        except RecursionError:
            problem = "the arguments are nested too deeply"
        else:
            if isinstance(arguments, dict):
                calls.append(tool_call(name=name, args=all_encodable(arguments), id=identity))
                continue
            problem = f"the arguments must be a JSON object, got {type(arguments).__name__}"
        unreadable.append(invalid_tool_call(name=name, args=encodable(text), id=identity, error=problem))
    return calls, unreadable


def chunk_of(chunk: ChatCompletionChunk) -> ChatGenerationChunk | None:
    """Convert one chunk of a stream; None if it adds nothing."""
    if not chunk.choices or chunk.choices[0].index:
        return None  # a stream has one message
    delta = chunk.choices[0].delta
    text, reasoning = delta.content, delta.reasoning_content
    if not text and not reasoning and not delta.tool_calls:
        return None
    calls = [
        tool_call_chunk(
            name=call.function.name if call.function else None,
            args=encodable(call.function.arguments or "") if call.function else "",
            id=call.id,
            index=call.index,
        )
        for call in delta.tool_calls or ()
    ]
    message = AIMessageChunk(
        content=encodable(text) if text else "",
        additional_kwargs={"reasoning_content": encodable(reasoning)} if reasoning else {},
        tool_call_chunks=calls,
    )
    return ChatGenerationChunk(message=message)


def last_chunk_of(completion: ChatCompletion, cost: float | None) -> ChatGenerationChunk:
    """Return the end of a stream: usage, cost and what only the complete answer tells."""
    choice = completion.choices[0]
    further: dict[str, Any] = {}
    _add_rarities(further, choice)
    message = AIMessageChunk(
        content="",
        additional_kwargs=further,
        usage_metadata=usage_of(completion.usage) if completion.usage is not None else None,
        response_metadata=metadata_of(completion, choice, cost),
        chunk_position="last",
    )
    return ChatGenerationChunk(message=message, generation_info={"finish_reason": choice.finish_reason})
