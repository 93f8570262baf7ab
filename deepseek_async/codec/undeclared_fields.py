"""Undeclared fields of a streamed answer: extracted per chunk, merged into the complete answer. Pure.

The API grows. Fields unknown to this version reach the assembled message under the same name, so that callers can read
them and send them back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from deepseek_async.codec.text_forms import holds_more, without_blocks
from deepseek_async.types import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    ChoiceDelta,
    ChunkChoice,
    FunctionDelta,
    ToolCallDelta,
)
from deepseek_async.types.answer_part import OURS, fields_of
from deepseek_async.types.json_text import write

Fields = dict[str, Any]

_CHUNK: Final = frozenset(fields_of(ChatCompletionChunk))
_CHOICE: Final = frozenset(fields_of(ChunkChoice))
_DELTA: Final = frozenset(fields_of(ChoiceDelta))
_CALL: Final = frozenset(fields_of(ToolCallDelta))
_FUNCTION: Final = frozenset(fields_of(FunctionDelta))

_NAMES: Final = frozenset({"id", "name", "object", "role", "status", "type"})
"""Strings that come whole and are not concatenated when repeated."""

_DEEPEST: Final = 64
"""Nesting depth below which a repeated value replaces the earlier one; a hostile object could exceed the stack."""


class CallFields(msgspec.Struct, gc=False):
    """Undeclared fields of a tool call fragment."""

    index: int
    id: str | None
    fields: Fields
    function: Fields


class ChoiceFields(msgspec.Struct, gc=False):
    """Undeclared fields of one choice of a chunk."""

    index: int
    fields: Fields
    delta: Fields
    blocks: list[Any]
    """Content in parts other than plain text, as sent."""
    calls: list[CallFields]

    @property
    def says(self) -> bool:
        """Whether it may contain model output."""
        return bool(self.delta or self.blocks or self.calls)


class ChunkFields(msgspec.Struct, gc=False):
    """Undeclared fields of one chunk."""

    fields: Fields
    choices: list[ChoiceFields]

    @property
    def has_blocks(self) -> bool:
        """Whether there is content other than plain text."""
        return any(choice.blocks for choice in self.choices)

    @property
    def says(self) -> bool:
        """Whether it may contain model output."""
        return any(choice.says for choice in self.choices)


def take_out(chunk: Fields) -> ChunkFields:
    """Remove all undeclared fields from ``chunk`` and return them."""
    fields = _others(chunk, _CHUNK)
    choices = chunk.get("choices")
    found = []
    if isinstance(choices, list):
        for position, choice in enumerate(choices):
            if isinstance(choice, dict) and (taken := _of_choice(choice, position)) is not None:
                found.append(taken)
    return ChunkFields(fields, found)


def _others(sent: Fields, declared: frozenset[str]) -> Fields:
    if sent.keys() <= declared:
        return {}
    others = {name: sent.pop(name) for name in sent.keys() - declared}
    return {name: others[name] for name in others if not name.startswith(OURS)}


def _of_choice(choice: Fields, position: int) -> ChoiceFields | None:
    index = choice.get("index")
    fields = _others(choice, _CHOICE)
    delta = choice.get("delta")
    inner: Fields = {}
    blocks: list[Any] = []
    calls: list[CallFields] = []
    if isinstance(delta, dict):
        inner = _others(delta, _DELTA)
        content = delta.get("content")
        if isinstance(content, list) and holds_more(content):
            blocks, delta["content"] = content, without_blocks(content)
        if isinstance(delta.get("tool_calls"), list):
            calls = [found for call in delta["tool_calls"] if isinstance(call, dict) and (found := _of_call(call))]
    if not (fields or inner or blocks or calls):
        return None
    return ChoiceFields(index if type(index) is int else position, fields, inner, blocks, calls)


def _of_call(call: Fields) -> CallFields | None:
    fields = _others(call, _CALL)
    function = call.get("function")
    inner = _others(function, _FUNCTION) if isinstance(function, dict) else {}
    if not (fields or inner):
        return None
    index, name = call.get("index"), call.get("id")
    return CallFields(index if type(index) is int else 0, name if isinstance(name, str) else None, fields, inner)


def add(so_far: Fields, pieces: Mapping[str, Any]) -> None:
    """Append ``pieces`` of a delta to ``so_far``: strings and lists grow, objects are merged by field."""
    for name, piece in pieces.items():
        so_far[name] = _joined(so_far[name], piece, name, 0) if name in so_far else piece


def _joined(so_far: Any, piece: Any, name: str, level: int) -> Any:
    if piece is None:
        return so_far
    if isinstance(so_far, str) and isinstance(piece, str):
        return piece if name in _NAMES else so_far + piece
    if level < _DEEPEST:
        if isinstance(so_far, dict) and isinstance(piece, dict):
            grown = dict(so_far)
            for inner, value in piece.items():
                grown[inner] = _joined(grown[inner], value, inner, level + 1) if inner in grown else value
            return grown
        if isinstance(so_far, list) and isinstance(piece, list):
            return _longer(so_far, piece, level)
    return piece


def _longer(so_far: list[Any], pieces: list[Any], level: int) -> list[Any]:
    """Merge lists: members with the same ``index`` are one, all others are appended."""
    grown = list(so_far)
    for piece in pieces:
        at = next((at for at, member in enumerate(grown) if _same_place(member, piece)), None)
        if at is None:
            grown.append(piece)
        else:
            grown[at] = _joined(grown[at], piece, "", level + 1)
    return grown


def _same_place(member: Any, piece: Any) -> bool:
    return (
        isinstance(member, dict)
        and isinstance(piece, dict)
        and type(piece.get("index")) is int
        and member.get("index") == piece["index"]
    )


def renew(so_far: Fields, said: Mapping[str, Any]) -> None:
    """Replace top-level fields by later values; lists grow."""
    for name, value in said.items():
        before = so_far.get(name)
        if value is None:
            so_far.setdefault(name, None)
        elif isinstance(before, list) and isinstance(value, list) and value[: len(before)] != before:
            so_far[name] = before + value  # pieces; a list that starts with the earlier one repeats it
        else:
            so_far[name] = value


def rewritten(completion: ChatCompletion, further: Fields) -> ChatCompletion:
    """Return ``completion`` as if received in one piece, with the undeclared fields in ``further``.

    ``further`` has the format of the answer, ``{"choices": [{"message": {…}}]}``, with choices and calls in order.
    """
    body = completion.to_dict()
    for choice in body["choices"]:
        choice["message"].pop("parsed", None)  # an object of the user's class, which the server has not sent
    usage = completion.usage
    if usage is not None:
        body["usage"] = usage.counters()
    _lay_in(body, further)
    wire = write(body)
    completion._wire = wire  # noqa: SLF001  like the decoder of complete answers
    if usage is not None:
        usage._origin = (wire, ("usage",))  # noqa: SLF001
    for position, choice in enumerate(completion.choices):
        choice._origin = (wire, ("choices", position))  # noqa: SLF001
        choice.message._origin = (wire, ("choices", position, "message"))  # noqa: SLF001
    return completion


def _lay_in(body: Any, further: Any) -> None:
    for name, value in further.items():
        inner = body.get(name)
        if isinstance(inner, dict) and isinstance(value, dict):
            _lay_in(inner, value)
        elif name in ("choices", "tool_calls") and isinstance(inner, list):
            for member, fields in zip(inner, value, strict=False):
                _lay_in(member, fields)
        else:
            body[name] = value


_MESSAGE: Final = frozenset(fields_of(ChatCompletionMessage))
_WHOLE: Final = frozenset(fields_of(ChatCompletion))


def further_of(completion: ChatCompletion) -> Fields:
    """Return the undeclared fields of ``completion``, as accepted by ``rewritten``; its content is already text."""
    told = completion.to_dict()
    choices = []
    for choice in told.get("choices") or ():
        message = choice.get("message") or {}
        calls = [_of_whole_call(call) for call in message.get("tool_calls") or ()]
        said = {name: value for name, value in message.items() if name not in _MESSAGE}
        kept = {name: value for name, value in choice.items() if name not in {*_CHOICE, "message"}}
        choices.append({**kept, "message": {**said, **({"tool_calls": calls} if any(calls) else {})}})
    return {**{name: value for name, value in told.items() if name not in _WHOLE}, "choices": choices}


def _of_whole_call(call: Fields) -> Fields:
    function = call.get("function") or {}
    inner = {name: value for name, value in function.items() if name not in _FUNCTION}
    return {
        **{name: value for name, value in call.items() if name not in _CALL},
        **({"function": inner} if inner else {}),
    }
