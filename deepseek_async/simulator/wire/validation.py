"""Request validation with the service's error messages. Pure.

A request is checked in two steps, as by the live service: first the shape of each field, as a typed
deserializer reports it (422), then the meaning, in the order of the official request validator
(400). Unknown keys are ignored silently.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from deepseek_async.simulator.model.catalogue import ACCEPTED, CONTEXT_WINDOW, MAX_OUTPUT_TOKENS, OFFERED
from deepseek_async.simulator.model.prompt import effort_of
from deepseek_async.simulator.wire.fields import CHAT_FIELDS, FIM_FIELDS, WrongShapeError, check_fields
from deepseek_async.simulator.wire.schemas import SchemaError, check_parameters, check_strict_parameters

BAD_REQUEST = 400
UNPROCESSABLE = 422

MAX_STOP_STRINGS = 16
MAX_TOP_LOGPROBS = 20
MAX_TOOL_NAME = 128
MAX_USER_ID = 512
MAX_IMAGE_LINK = 8192
FIM_MAX_TOKENS = 4096

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_SAMPLING = frozenset(
    ["n", "presence_penalty", "frequency_penalty", "temperature", "top_p", "top_logprobs", "max_tokens", "seed"]
)
_EMPTY_STRING = "empty string. Expected a string with minimum length 1, but got an empty string instead."
_UNANSWERED_CALLS = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'"
)
_STRAY_TOOL = "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'"


class Problem(NamedTuple):
    """Why a request is rejected."""

    status: int
    message: str


class _RefusedError(Exception):
    """Carries the message of the first failed check out of the checking functions."""


def chat_problem(body: Any, *, replay_required: bool) -> Problem | None:
    """Return the first error of a chat request, or None. `body` is the parsed JSON."""
    try:
        check_fields(body, CHAT_FIELDS, "ChatCompletionRequest")
    except WrongShapeError as wrong:
        return Problem(UNPROCESSABLE, f"Failed to deserialize the JSON body into the target type: {wrong}")
    try:
        _check_model(body["model"])
        tools = body.get("tools") or ()
        if tools:
            _check_tool_names(tools)
        messages = body["messages"]
        _check_messages(messages)
        thinking = effort_of(body) is not None
        if replay_required and thinking:
            _check_replay(messages, has_tools=bool(tools))
        _check_prefix_place(messages)
        _check_format(body)
        usable = tools if body.get("tool_choice") != "none" else ()
        if usable:
            _check_tools(usable, body.get("tool_choice"), thinking=thinking)
        if _continues(messages):
            _check_continuation(body, has_tools=bool(tools))
        _check_stop(body.get("stop"))
        _check_stream_options(body)
        if usable:
            _check_strictness(usable, body.get("response_format"))
        _check_sampling(body)
        _check_user_id(body.get("user_id"))
    except _RefusedError as refused:
        return Problem(BAD_REQUEST, str(refused))
    return None


def context_problem(prompt_tokens: int, max_tokens: int | None) -> Problem | None:
    """Return an error if the prompt and `max_tokens` together exceed the context window, or None."""
    wanted = max_tokens or 0
    if prompt_tokens + wanted <= CONTEXT_WINDOW:
        return None
    return Problem(
        BAD_REQUEST,
        f"This model's maximum context length is {CONTEXT_WINDOW} tokens. However, you requested "
        f"{prompt_tokens + wanted} tokens ({prompt_tokens} in the messages, {wanted} in the completion). "
        "Please reduce the length of the messages or completion.",
    )


def fim_problem(body: Any) -> Problem | None:
    """Return the first error of a fill-in-the-middle request, or None."""
    try:
        check_fields(body, FIM_FIELDS, "CompletionRequest")
    except WrongShapeError as wrong:
        return Problem(UNPROCESSABLE, f"Failed to deserialize the JSON body into the target type: {wrong}")
    try:
        _check_model(body["model"])
        _check_stop(body.get("stop"))
        _check_stream_options(body)
        _check_sampling(body, max_tokens=FIM_MAX_TOKENS)
        _check_range(body.get("logprobs"), "logprobs", 0, MAX_TOP_LOGPROBS, f"[0, {MAX_TOP_LOGPROBS}]")
    except _RefusedError as refused:
        return Problem(BAD_REQUEST, str(refused))
    return None


def _check_model(model: str) -> None:
    if model not in ACCEPTED:
        raise _RefusedError(f"The supported API model names are {', '.join(OFFERED)}, but you passed {model}.")


def _check_tool_names(tools: list[dict[str, Any]]) -> None:
    for index, tool in enumerate(tools):
        name = tool["function"]["name"]
        where = f"Invalid 'tools[{index}].function.name'"
        if not name:
            raise _RefusedError(f"{where}: {_EMPTY_STRING}")
        if len(name.encode()) > MAX_TOOL_NAME:
            raise _RefusedError(
                f"{where}: string too long. Expected a string with maximum length {MAX_TOOL_NAME}, "
                f"but got a string with length {len(name.encode())} instead."
            )
        if not _TOOL_NAME.fullmatch(name):
            raise _RefusedError(
                f"{where}: string does not match pattern. "
                "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
            )


def _check_messages(messages: list[dict[str, Any]]) -> None:
    if not messages:
        raise _RefusedError("Empty input messages")
    open_calls: set[str] = set()
    answered: set[str] = set()
    for index, message in enumerate(messages):
        role = message["role"]
        if role == "tool":
            if not open_calls:
                raise _RefusedError(_STRAY_TOOL)
            call_id = message["tool_call_id"]
            if call_id in answered:
                raise _RefusedError(f"Duplicate value for 'tool_call_id' of {call_id} in message[{index}]")
            if call_id not in open_calls:
                raise _RefusedError(
                    f"{_UNANSWERED_CALLS}, The following tool_call_ids did not have response messages: {call_id}"
                )
            answered.add(call_id)
            if len(answered) == len(open_calls):
                open_calls = set()
        elif open_calls:
            break
        elif role == "assistant":
            open_calls = _checked_assistant(message, index)
            answered = set()
        if not isinstance(message.get("content"), str):
            _check_parts(message, index)
    if open_calls:
        raise _RefusedError(f"{_UNANSWERED_CALLS}. (insufficient tool messages following tool_calls message)")


def _checked_assistant(message: dict[str, Any], index: int) -> set[str]:
    """Return the ids of calls that the next messages must answer."""
    calls = message.get("tool_calls")
    if calls is None:
        if message.get("content") is None:
            raise _RefusedError("Invalid assistant message: content or tool_calls must be set")
        return set()
    if not calls:
        raise _RefusedError(
            f"Invalid 'messages[{index}].tool_calls': empty array. "
            "Expected an array with minimum length 1, but got an empty array instead."
        )
    ids: set[str] = set()
    for call in calls:
        if call["id"] in ids:
            raise _RefusedError(f"Duplicate value for 'tool_call_id' of {call['id']} in message[{index}]")
        ids.add(call["id"])
    return ids


def _check_parts(message: dict[str, Any], index: int) -> None:
    for number, part in enumerate(message.get("content") or ()):
        if part["type"] == "text":
            continue
        if message["role"] == "assistant":
            raise _RefusedError("Image in assistant message is not supported")
        if part["type"] == "file":
            if part.get("file_data") is None:
                reason = (
                    "file must have a file_id or file_data"
                    if part.get("file_id") is None
                    else "file_id is not supported. Pass the image as a base64 data url instead."
                )
                raise _RefusedError(f".messages[{index}]: {reason}")
            continue
        url = part["image_url"]["url"]
        if url.startswith("data:"):
            continue
        if not url.startswith(("http://", "https://")):
            raise _RefusedError(f".messages[{index}]: Unsupported image_url format")
        if len(url) > MAX_IMAGE_LINK:
            raise _RefusedError(
                f".messages[{index}].image_url.url[{number}]: image_url.url external link length {len(url)} "
                f"too long, max link length {MAX_IMAGE_LINK}. "
                "Consider passing file data directly with base64 data url instead."
            )


def _check_replay(messages: list[dict[str, Any]], *, has_tools: bool) -> None:
    """Check that assistant turns after the last user message include their reasoning."""
    for message in reversed(messages):
        role = message["role"]
        if role == "user":
            return
        if (
            role == "assistant"
            and message.get("reasoning_content") is None
            and (has_tools or message.get("tool_calls"))
        ):
            raise _RefusedError("The `reasoning_content` in the thinking mode must be passed back to the API.")


def _continues(messages: list[dict[str, Any]]) -> bool:
    """Whether the answer must continue the last message."""
    return bool(messages[-1]["role"] == "assistant" and messages[-1].get("prefix"))


def _check_prefix_place(messages: list[dict[str, Any]]) -> None:
    if any(message["role"] == "assistant" and message.get("prefix") for message in messages[:-1]):
        raise _RefusedError(
            "Invalid completion message: prefix set true with message which is not final message "
            "or message role is not assistant"
        )


def _check_format(body: dict[str, Any]) -> None:
    kind = (body.get("response_format") or {}).get("type")
    if kind in ("json_schema", "regex"):
        raise _RefusedError("This response_format type is unavailable now")
    if kind == "json_object" and not _mentions_json(body["messages"]):
        raise _RefusedError(
            "Prompt must contain the word 'json' in some form to use 'response_format' of type 'json_object'."
        )


def _check_continuation(body: dict[str, Any], *, has_tools: bool) -> None:
    if has_tools:
        raise _RefusedError("Function call should not be used with prefix")
    if (body.get("response_format") or {}).get("type") == "json_object":
        raise _RefusedError("response_format json_object should not be used with prefix")


def _mentions_json(messages: list[dict[str, Any]]) -> bool:
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            if "json" in content.lower():
                return True
        elif any(part["type"] == "text" and "json" in part["text"].lower() for part in content or ()):
            return True
    return False


def _check_tools(tools: list[dict[str, Any]], choice: Any, *, thinking: bool) -> None:
    for tool in tools:
        function = tool["function"]
        parameters = function.get("parameters")
        if parameters is None:
            continue
        try:
            if function.get("strict"):
                check_strict_parameters(parameters)
            else:
                check_parameters(function["name"], parameters)
        except SchemaError as problem:
            raise _RefusedError(str(problem)) from None
    names = {tool["function"]["name"] for tool in tools}
    if len(names) != len(tools):
        raise _RefusedError("Tool names must be unique.")
    if isinstance(choice, dict) and choice["function"]["name"] not in names:
        raise _RefusedError(
            f"Invalid value for 'tool_call': no function named '{choice['function']['name']}' was specified "
            "in the 'tools' parameter."
        )
    if thinking and choice not in (None, "auto"):
        raise _RefusedError("Thinking mode does not support this tool_choice")


def _check_strictness(tools: list[dict[str, Any]], response_format: Any) -> None:
    strict = [bool(tool["function"].get("strict")) for tool in tools]
    if any(strict):
        if not all(strict):
            raise _RefusedError("Cannot use strict tool with non-strict tool in the same request")
        if response_format is not None:
            raise _RefusedError("response_format should not be used with tools")


def _check_stream_options(body: dict[str, Any]) -> None:
    if body.get("stream_options") is not None and not body.get("stream"):
        raise _RefusedError("stream_options should be set along with stream = true")


def _check_sampling(body: dict[str, Any], *, max_tokens: int = MAX_OUTPUT_TOKENS) -> None:
    if body.keys().isdisjoint(_SAMPLING):
        return
    if body.get("n") not in (None, 1):
        raise _RefusedError("Invalid n value (currently only n = 1 is supported)")
    for name in ("presence_penalty", "frequency_penalty"):
        _check_range(body.get(name), name, -2, 2, "[-2, 2]")
    _check_range(body.get("temperature"), "temperature", 0, 2, "[0, 2]")
    top_p = body.get("top_p")
    if top_p is not None and not 0 < top_p <= 1:
        raise _RefusedError("Invalid top_p value, the valid range of top_p is (0, 1.0]")
    top_logprobs = body.get("top_logprobs")
    if top_logprobs is not None:
        if not body.get("logprobs"):
            raise _RefusedError(
                "Invalid top_logprobs and logprobs value, logprobs must be set to true if top_logprobs is used."
            )
        if top_logprobs > MAX_TOP_LOGPROBS:
            raise _RefusedError("Invalid top_logprobs value, the valid range of top_logprobs is [0, 20].")
    asked = body.get("max_tokens")
    if asked is not None and not 1 <= asked <= max_tokens:
        raise _RefusedError(f"Invalid max_tokens value, the valid range of max_tokens is [1, {max_tokens}]")
    if (body.get("seed") or 0) >= 2**63:
        raise _RefusedError("Invalid seed value, the valid range of seed is [0, 2^63)")


def _check_range(value: float | None, name: str, low: float, high: float, shown: str) -> None:
    if value is not None and not low <= value <= high:
        raise _RefusedError(f"Invalid {name} value, the valid range of {name} is {shown}")


def _check_stop(stop: str | list[str] | None) -> None:
    if stop is None:
        return
    if isinstance(stop, str):
        if not stop:
            raise _RefusedError(f"Invalid 'stop': {_EMPTY_STRING}")
        return
    if len(stop) > MAX_STOP_STRINGS:
        raise _RefusedError(f"Stop string array too long: {len(stop)}")
    for index, text in enumerate(stop):
        if not text:
            raise _RefusedError(f"Invalid 'stop[{index}]': {_EMPTY_STRING}")


def _check_user_id(user_id: Any) -> None:
    """Check the length in bytes; the alphabet is only recommended (DeepSeek docs, Rate limits, November 2026)."""
    if not isinstance(user_id, str):
        return
    size = len(user_id.encode("utf-8", "replace"))
    if size > MAX_USER_ID:
        raise _RefusedError(
            f"Invalid 'user_id': string too long. Expected a string with maximum length {MAX_USER_ID}, "
            f"but got a string with length {size} instead."
        )
