"""Rendering of a chat request to the model's prompt, for token counting. Pure.

The layout is that of DeepSeek's official renderer (deepseek-recipe 0.2.0). Its fixed texts are the same in every
prompt, so only their token counts are kept here; pieces of text end at token boundaries.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

Piece = str | int
"""Text to be counted, or the token count of a special token or a fixed text."""

_SPECIAL: Final = 1
_IMAGE: Final = 1024
"""Maximum tokens of an image (DeepSeek docs, Vision guide): with images a count is an upper bound."""


class _Template(msgspec.Struct, frozen=True):
    """Differences between the templates of the two models, in tokens measured with the V4 tokenizer."""

    efforts: Mapping[str, tuple[int, str]]
    """Instruction of each effort: tokens up to its last word, and the punctuation after it."""
    tools: int
    """Instructions before the tool schemas."""
    json: int
    """Instruction of JSON mode."""
    call: tuple[str, str]
    """Prefix of the tags of calls, and the tag name for all calls of a turn."""
    empty_call: str
    """Body of a call without arguments."""


_FLASH: Final = _Template(
    efforts={"low": (24, ")"), "high": (24, ")"), "max": (24, ")")},
    tools=192,
    json=22,
    call=(" ", "calls"),
    empty_call="\n\n",
)
_PRO: Final = _Template(
    efforts={"low": (0, ""), "high": (78, "."), "max": (91, ".")},
    tools=202,
    json=20,
    call=("", "tool_calls"),
    empty_call="\n",
)
_CLOSING: Final = 17
"""Tokens of the sentence after the tool schemas, up to its full stop."""

_EFFORTS: Final = {"minimal": "low", "low": "low", "high": "high", "max": "max", "ultra": "max"}


class PromptPart(NamedTuple):
    """A piece of the prompt and the field of the request that it comes from."""

    where: str
    """For example ``messages[3] (user)``, or ``tools[0] (lookup)``."""
    piece: Piece
    mark: str = ""
    """What tells it from other pieces without a text of the same length."""


def prompt_pieces(request: Mapping[str, Any]) -> Iterator[Piece]:
    """Yield the prompt of ``request``, valid plain JSON; adjacent texts must be joined before counting."""
    return (part.piece for part in prompt_parts(request))


def prompt_parts(request: Mapping[str, Any]) -> Iterator[PromptPart]:
    """Yield the prompt of ``request``, valid plain JSON, in its order, which is that of the prefix cache."""
    flash = "pro" not in request["model"]
    template = _FLASH if flash else _PRO
    effort = _effort(request)
    messages: Sequence[Mapping[str, Any]] = request["messages"]
    yield PromptPart("", _SPECIAL)  # begin of sentence
    opening = 1 if flash and messages[0]["role"] == "system" else 0
    # The pro template moves all system messages to the start.
    told = [at for at, message in enumerate(messages) if message["role"] == "system"][: 1 if flash else None]
    told = [at for at in told if (opening or not flash) and _text(messages[at])]
    head = list(_head(request, template, effort, told))
    if flash and (head or opening):
        yield PromptPart("", _SPECIAL, "system")
    yield from head
    yield from _turns(request, messages, opening, template, thinking=effort is not None)


def _effort(request: Mapping[str, Any]) -> str | None:
    thinking, effort = request.get("thinking"), request.get("reasoning_effort")
    if thinking is not None:
        if thinking["type"] == "disabled":
            return None
    elif effort == "none" or (effort is None and request["model"] == "deepseek-chat"):
        return None
    return _EFFORTS.get(effort or "high", "high")


def _head(
    request: Mapping[str, Any], template: _Template, effort: str | None, told: Sequence[int]
) -> Iterator[PromptPart]:
    if effort is not None:
        tokens, mark = template.efforts[effort]
        if tokens:
            yield PromptPart("reasoning_effort", tokens, effort)
            yield PromptPart("reasoning_effort", f"{mark}\n\n")
    for place, at in enumerate(told):
        where = f"messages[{at}] (system)"
        if place:
            yield PromptPart(where, "\n\n")
        yield PromptPart(where, _text(request["messages"][at]))
    tools = _usable_tools(request)
    if tools:
        yield PromptPart("tools", "\n\n")
        yield PromptPart("tools", template.tools)
        for place, (at, tool) in enumerate(tools):
            function = tool["function"]
            where = f"tools[{at}] ({function['name']})"
            yield PromptPart(where, ("\n" if place else "\n\n") + _described(function))
        yield PromptPart("tools", "\n\n")
        yield PromptPart("tools", _CLOSING)
        yield PromptPart("tools", ".\n")
    if (request.get("response_format") or {}).get("type") == "json_object":
        yield PromptPart("response_format", "\n\n")
        yield PromptPart("response_format", template.json)


def _usable_tools(request: Mapping[str, Any]) -> Sequence[tuple[int, Mapping[str, Any]]]:
    """Functions only, with their places. How the service's own tools are rendered is undocumented."""
    tools = request.get("tools") or () if request.get("tool_choice") != "none" else ()
    return [(at, tool) for at, tool in enumerate(tools) if isinstance(tool.get("function"), Mapping)]


def _described(function: Mapping[str, Any]) -> str:
    return _json(
        {
            "name": function["name"],
            "description": function.get("description") or "",
            "parameters": (_in_strict_order if function.get("strict") else dict)(function.get("parameters") or {}),
        },
    )


def _in_strict_order(schema: Any) -> Any:
    """Normalize the schema of a strict tool; the keyword that closes an object comes last."""
    if isinstance(schema, list):
        return [_in_strict_order(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {
        key: {name: _in_strict_order(nested) for name, nested in item.items()}
        if key in ("properties", "$defs")
        else _in_strict_order(item)
        for key, item in schema.items()
        if key not in ("additionalProperties", "required")
    }
    if schema.get("type") == "object":
        made["additionalProperties"] = False
        made["required"] = schema.get("required", list(schema.get("properties") or ()))
    return made


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _turns(
    request: Mapping[str, Any],
    messages: Sequence[Mapping[str, Any]],
    opening: int,
    template: _Template,
    *,
    thinking: bool,
) -> Iterator[PromptPart]:
    flash = template is _FLASH
    replayed = thinking and bool(_usable_tools(request))
    told: int | None = None  # texts in the open user block, shared by tool results and questions; None without one
    for at in range(opening, len(messages)):
        message = messages[at]
        role = message["role"]
        if role == "system" and not (flash and _text(message)):
            continue
        where = f"messages[{at}] ({role})"
        yield from (PromptPart(where, _IMAGE, mark) for mark in _images(message))
        if role in ("user", "tool"):
            if told is None:
                told = 0
                yield PromptPart(where, _SPECIAL, "user")
            text = _text(message)
            if role == "tool":
                text = f"<tool_result>{text}</tool_result>"
            if text or flash:
                yield PromptPart(where, f"\n\n{text}" if told else text)
                told += 1
            continue
        told = None
        if role == "assistant":
            pieces = _assistant(message, template, thinking=thinking, replayed=replayed)
        else:
            pieces = iter((_SPECIAL, _text(message)))
        yield from (PromptPart(where, piece, role if piece == _SPECIAL else "") for piece in pieces)
    if not (messages[-1]["role"] == "assistant" and messages[-1].get("prefix")):
        yield PromptPart("", 2 * _SPECIAL)  # assistant, and the tag that opens or closes reasoning


def _assistant(message: Mapping[str, Any], template: _Template, *, thinking: bool, replayed: bool) -> Iterator[Piece]:
    yield _SPECIAL
    if replayed or (thinking and message.get("prefix")):
        yield _SPECIAL
        yield message.get("reasoning_content") or ""
    yield _SPECIAL
    yield _text(message)
    calls = [call for call in message.get("tool_calls") or () if isinstance(call.get("function"), Mapping)]
    if calls:
        space, word = template.call
        opening, closing = f"<｜DSML｜{space}", f"</｜DSML｜{space}"  # noqa: RUF001  the model's own markup
        told = "\n".join(_called(call["function"], opening, closing, template.empty_call) for call in calls)
        yield f"\n\n{opening}{word}>\n{told}\n{closing}{word}>"
    if not message.get("prefix"):
        yield _SPECIAL  # end of sentence


def _called(function: Mapping[str, Any], opening: str, closing: str, empty: str) -> str:
    try:
        arguments = json.loads(function["arguments"])
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        arguments = {"arguments": function["arguments"]}
    given = "\n".join(
        f'{opening}parameter name="{name}" string="{_truth(isinstance(value, str))}">'
        f"{value if isinstance(value, str) else _json(value)}{closing}parameter>"
        for name, value in arguments.items()
    )
    body = f"\n{given}\n" if given else empty
    return f'{opening}invoke name="{function["name"]}">{body}{closing}invoke>'


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "\n\n".join(part["text"] for part in content or () if part.get("type") == "text")


def _images(message: Mapping[str, Any]) -> Iterator[str]:
    """Yield what tells an image, or another part without a text, from others."""
    content = message.get("content")
    if isinstance(content, list):
        yield from (_json(part) for part in content if part.get("type") != "text")
