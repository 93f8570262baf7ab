"""Prompt rendering of a validated request, as countable bytes. Pure.

The parts are in the official order, because it determines shared prefixes: effort, system
text, tools, response format, turns, the marker that opens the answer. The fixed texts of the
official template are replaced by token marks, one per token, so that counts are correct.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from deepseek_async.simulator.model.catalogue import FLASH, PRO, THINKING_OFF_BY_DEFAULT, Model
from deepseek_async.simulator.model.tokens import TOKEN_MARK as MARK

if TYPE_CHECKING:
    from deepseek_async.simulator.model.answer import GeneratedAnswer

_EFFORTS = {
    "minimal": "low",
    "low": "low",
    "medium": "high",
    "high": "high",
    "xhigh": "high",
    "ultra": "max",
    "max": "max",
}

# Tokens of the fixed texts, measured with the official renderer and the V4 tokenizer. The level is part
# of the text: a change of effort changes the start of the prompt and so misses the whole cache.
# The other control bytes have no weight and distinguish texts of equal length.
_EFFORT_HEADS = {
    (FLASH.id, "low"): "\x04" + MARK * 25,
    (FLASH.id, "high"): "\x05" + MARK * 25,
    (FLASH.id, "max"): "\x06" + MARK * 25,
    (PRO.id, "low"): "",
    (PRO.id, "high"): "\x05" + MARK * 79,
    (PRO.id, "max"): "\x06" + MARK * 92,
}
_TOOLS_HEAD = {FLASH.id: "\x07" + MARK * 236, PRO.id: "\x07" + MARK * 229}
_JSON_HEAD = {FLASH.id: "\x08" + MARK * 26, PRO.id: "\x08" + MARK * 22}

# Markers that open an assistant turn, and that open or close its reasoning.
THINKING_OPEN = MARK + "\x02" + MARK
THINKING_CLOSED = MARK + "\x03" + MARK


def effort_of(body: dict[str, Any]) -> str | None:
    """Return the effort of a request; None with thinking disabled. `thinking` overrides `reasoning_effort`."""
    thinking = body.get("thinking")
    effort = body.get("reasoning_effort")
    if thinking is not None:
        if thinking["type"] == "disabled":
            return None
    elif effort == "none" or (effort is None and body["model"] in THINKING_OFF_BY_DEFAULT):
        return None
    return _EFFORTS.get(effort or "high", "high")


def text_of(content: Any) -> str:
    """Return the text of a message's content: a string, a list of parts or null."""
    if isinstance(content, str):
        return content
    if not content:
        return ""
    # An image takes 184 tokens up to 512 px on its long edge (public measurements of the vision models).
    return "".join(part["text"] if part["type"] == "text" else MARK * 184 for part in content)


def last_user_text(messages: list[dict[str, Any]]) -> str:
    for message in reversed(messages):
        if message["role"] == "user":
            return text_of(message["content"])
    return ""


def render(body: dict[str, Any], model: Model, effort: str | None) -> bytes:
    """Render the whole prompt. Its weight is the prompt token count, and its prefix determines cache hits."""
    messages: list[dict[str, Any]] = body["messages"]
    parts: list[str] = [MARK]
    head: list[str] = []
    flash = model is FLASH
    if effort is not None:
        head.append(_EFFORT_HEADS[model.id, effort])
    opening = 0
    if flash:
        if messages[0]["role"] == "system":
            head.append(text_of(messages[0]["content"]))
            opening = 1
    else:
        # The pro template moves all system messages to the start of the prompt.
        head.append("\n\n".join(text_of(m["content"]) for m in messages if m["role"] == "system"))
    tools = body.get("tools") if body.get("tool_choice") != "none" else None
    if tools:
        head.append(_TOOLS_HEAD[model.id])
        head.extend(orjson.dumps(tool["function"]).decode() for tool in tools)
    if (body.get("response_format") or {}).get("type") == "json_object":
        head.append(_JSON_HEAD[model.id])
    if flash and (effort is not None or opening or any(head)):
        parts.append(MARK)
    parts.extend(head)
    keeps_reasoning = bool(body.get("tools"))
    last_role = None
    for index in range(opening, len(messages)):
        message = messages[index]
        role = message["role"]
        if role == "assistant":
            _append_assistant(parts, message, keeps_reasoning=keeps_reasoning and effort is not None)
        elif role == "tool":
            # Results of one turn share a user block and are wrapped in a short tag (six tokens).
            parts.append(MARK * (7 if last_role != "tool" else 6))
            parts.append(text_of(message["content"]))
        elif role != "system" or flash:
            parts.append(MARK)
            parts.append(text_of(message["content"]))
        last_role = role
    if not messages[-1].get("prefix"):
        parts.append(THINKING_OPEN if effort is not None else THINKING_CLOSED)
    return "".join(parts).encode()


def _append_assistant(parts: list[str], message: dict[str, Any], *, keeps_reasoning: bool) -> None:
    continued = message.get("prefix")
    reasoning = message.get("reasoning_content")
    # Without tools the reasoning of earlier turns is neither rendered nor billed.
    if reasoning and (keeps_reasoning or continued):
        parts.append(THINKING_OPEN)
        parts.append(reasoning)
        parts.append(MARK)
    else:
        parts.append(THINKING_CLOSED)
    parts.append(text_of(message.get("content")))
    for call in message.get("tool_calls") or ():
        function = call["function"]
        parts.append(_call_text(function["name"], function["arguments"]))
    if not continued:
        parts.append(MARK)


def _call_text(name: str, arguments: str) -> str:
    """Render the markup around a call, which takes about two dozen tokens."""
    return f"{MARK * 24}{name}{arguments}"


def render_output(answer: GeneratedAnswer) -> bytes:
    """Render the output as the next turn's history contains it."""
    parts: list[str] = []
    if answer.reasoning is not None:
        parts += [*answer.reasoning, MARK]
    parts += answer.content
    parts += [_call_text(call.name, call.arguments) for call in answer.calls]
    return "".join(parts).encode()


def render_fim(body: dict[str, Any]) -> bytes:
    """Render a fill-in-the-middle prompt: three markers around prefix and suffix."""
    return f"{MARK}{body['prompt']}{MARK}{body.get('suffix') or ''}{MARK}".encode()
