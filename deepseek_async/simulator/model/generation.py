"""Deterministic answer generation: same seed and prompt, same reasoning, words and tool calls. Pure.

The answer is a list of pieces; one piece is one token, and in a stream one event.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from deepseek_async.simulator.model.answer import CALL_OPENING_TOKENS, GeneratedAnswer, GeneratedCall
from deepseek_async.simulator.model.prompt import last_user_text
from deepseek_async.simulator.model.schema_values import value_for

if TYPE_CHECKING:
    from deepseek_async.simulator.model.seeded_random import Draw

_SCHEMA = re.compile(r"\bschema\b[^{]{0,40}\{", re.IGNORECASE)

ECHOED_CHARACTERS = 60
DEFAULT_MAX_TOKENS = {None: 8192, "low": 65536, "high": 65536, "max": 131072}
FIM_DEFAULT_MAX_TOKENS = 4096

# Several scripts and an emoji, so that multi-byte characters are split across writes.
_FILLER = tuple(
    re.findall(
        r"\s*\w+|[^\w\s]|\s",
        "The shortest way to a reliable answer is to measure first and to explain afterwards. "
        "深度 求索 的 回答 在 这里 继续，每 一 句 都 可以 被 验证。 "  # noqa: RUF001 - Chinese punctuation
        "A queue that never grows is either empty or lying, and a café in Zürich knows both states 🎉. "
        "Careful readers compare the second figure with the first one, note the unit, and only then decide. "
        "Простая мысль остаётся простой. Nothing here depends on the clock; everything depends on the seed. "
        "短い 答え も 役に 立つ。 The remaining words fill the space that a longer answer would take 🚀.",
    )
)
_THOUGHTS = tuple(
    re.findall(
        r"\s*\w+|[^\w\s]",
        " First restate the question, then look for the part that can go wrong. 先 想 清楚 再 回答。 "
        "The constraints are few; check them in order, discard what cannot be true, keep the rest, "
        "and write the conclusion in one plain sentence before answering.",
    )
)
_WORD = re.compile(r"\s*\S{1,12}|\s+")
_JSON_PIECE = re.compile(r"\s*[^\s,:]{1,8}|[\s,:]+")


def answer_chat(
    body: dict[str, Any],
    effort: str | None,
    chance: Draw,
    *,
    answer_tokens: int,
    reasoning_tokens: int,
    spread: float,
) -> GeneratedAnswer:
    """Generate the answer to a validated chat request."""
    messages = body["messages"]
    question = last_user_text(messages)
    length = max(1, chance.around(answer_tokens, spread))
    reasoning: list[str] | None = None
    if effort is not None:
        reasoning = _repeated(_THOUGHTS, 0, chance.around(reasoning_tokens, spread))
    budget = body.get("max_tokens") or DEFAULT_MAX_TOKENS[effort]
    content: list[str] = []
    calls: list[GeneratedCall] = []
    chosen = _chosen_tools(body, question)
    if chosen:
        calls = [_call(tool, number, chance, question) for number, tool in enumerate(chosen)]
        finish_reason = "tool_calls"
    else:
        content = _words(question, length, chance, continued=bool(messages[-1].get("prefix")))
        if (body.get("response_format") or {}).get("type") == "json_object":
            content = _as_json(content, body.get("text.format.schema") or _schema_in(messages), chance, question)
        content = _until_stop(content, body.get("stop"))
        finish_reason = "stop"
    answer = GeneratedAnswer(
        None if reasoning is None else tuple(reasoning), tuple(content), tuple(calls), finish_reason
    )
    return answer if answer.completion_tokens <= budget else _shortened(answer, budget)


def answer_text(body: dict[str, Any], chance: Draw, *, answer_tokens: int, spread: float) -> GeneratedAnswer:
    """Generate the text after the prompt: the middle before a suffix, else an answer. `echo` prepends the prompt."""
    length = max(1, chance.around(answer_tokens, spread))
    words = _words(body["prompt"], length, chance, continued=bool(body.get("suffix") or body.get("echo")))
    if body.get("echo"):
        words = [*_WORD.findall(body["prompt"]), *words]
    answer = GeneratedAnswer(None, tuple(_until_stop(words, body.get("stop"))), (), "stop")
    budget = body.get("max_tokens") or FIM_DEFAULT_MAX_TOKENS
    return answer if answer.completion_tokens <= budget else _shortened(answer, budget)


def pieces_of(text: str) -> tuple[str, ...]:
    """Split a text into streamed pieces."""
    return tuple(_WORD.findall(text))


def _shortened(answer: GeneratedAnswer, budget: int) -> GeneratedAnswer:
    """Truncate to `max_tokens`, which covers reasoning and answer together, so the answer may become empty."""
    reasoning = answer.reasoning if answer.reasoning is None else answer.reasoning[:budget]
    budget -= len(reasoning or ())
    content = answer.content[:budget]
    budget -= len(content)
    calls: list[GeneratedCall] = []
    for call in answer.calls:
        budget -= CALL_OPENING_TOKENS
        if budget <= 0:
            break
        calls.append(GeneratedCall(call.id, call.name, call.fragments[:budget]))
        budget -= len(calls[-1].fragments)
    return GeneratedAnswer(reasoning, content, tuple(calls), "length")


def _repeated(source: tuple[str, ...], start: int, count: int) -> list[str]:
    end = start + count
    if end > len(source):
        source *= end // len(source) + 1
    return list(source[start:end])


def _words(question: str, length: int, chance: Draw, *, continued: bool) -> list[str]:
    """Echo the question, so that a caller can match answers to requests."""
    if continued:
        return _repeated(_FILLER, chance.below(len(_FILLER)), length)
    opening = [*_WORD.findall(f"Answer to: {question[:ECHOED_CHARACTERS]}")]
    if length > len(opening):
        opening.append(".")
        opening += _repeated(_FILLER, chance.below(len(_FILLER)), max(0, length - len(opening)))
    return opening


def _as_json(words: list[str], schema: dict[str, Any] | None, chance: Draw, question: str) -> list[str]:
    """Return JSON by the schema of the request, which only `/responses` allows, or by one in its prompt."""
    made = {"answer": "".join(words), "words": len(words), "final": True}
    if schema is not None:
        made = value_for(schema, chance, question)
    return _JSON_PIECE.findall(json.dumps(made, ensure_ascii=False))


def _schema_in(messages: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the JSON Schema of an object that a message contains after the word "schema", which models follow."""
    for message in messages:
        text = message.get("content")
        if not isinstance(text, str):
            continue
        found: dict[str, Any]
        for word in _SCHEMA.finditer(text):
            try:
                found, _ = json.JSONDecoder().raw_decode(text, word.end() - 1)
            except (ValueError, RecursionError):
                continue
            if "$ref" in found or found.get("type") == "object":
                return found
    return None


def _until_stop(pieces: list[str], stop: str | list[str] | None) -> list[str]:
    """Truncate before the stop sequence."""
    if not stop:
        return pieces
    text = "".join(pieces)
    found = [at for mark in ([stop] if isinstance(stop, str) else stop) if (at := text.find(mark)) >= 0]
    if not found:
        return pieces
    left = min(found)
    kept: list[str] = []
    for piece in pieces:
        if left <= 0:
            break
        kept.append(piece[:left])
        left -= len(piece)
    return kept


def _chosen_tools(body: dict[str, Any], question: str) -> list[dict[str, Any]]:
    """Return the tools to call. After tool results the model answers in text."""
    tools = body.get("tools")
    choice = body.get("tool_choice")
    if not tools or choice == "none":
        return []
    functions = [tool["function"] for tool in tools]
    if isinstance(choice, dict):
        return [function for function in functions if function["name"] == choice["function"]["name"]]
    named = [function for function in functions if function["name"] in question]
    if choice == "required":
        return named or functions[:1]
    if body["messages"][-1]["role"] == "tool":
        return []
    return named or (functions[:1] if "tool" in question else [])


def _call(function: dict[str, Any], number: int, chance: Draw, question: str) -> GeneratedCall:
    arguments = json.dumps(arguments_for(function, chance, question), ensure_ascii=False)
    return call_of(function["name"], arguments, number, chance)


def arguments_for(function: dict[str, Any], chance: Draw, question: str) -> Any:
    """Generate arguments that match the schema of a tool's function."""
    return value_for({"type": "object", **(function.get("parameters") or {})}, chance, question)


def call_of(name: str, arguments: str, number: int, chance: Draw, identifier: str | None = None) -> GeneratedCall:
    """Build a call whose arguments are split at random into fragments."""
    fragments: list[str] = []
    start = 0
    while start < len(arguments):
        size = 1 + chance.below(6)
        fragments.append(arguments[start : start + size])
        start += size
    token = f"{chance.below(1 << 60):015x}"
    return GeneratedCall(identifier or f"call_{number:02d}_{token}", name, tuple(fragments))
