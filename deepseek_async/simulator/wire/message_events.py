"""Messages format encoder: one JSON body, or events that end with `message_stop`. Pure.

Order and content of events follow the official chunk generator (deepseek-recipe 0.2).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from deepseek_async.simulator.wire import web_tool_results as web_shapes

if TYPE_CHECKING:
    from deepseek_async.simulator.model.answer import GeneratedAnswer
    from deepseek_async.simulator.wire.streaming import Envelope, UsagePlace

_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}

# Unknown to every client: a block with its own delta, an event, a counter, fields.
UNKNOWN_BLOCK: dict[str, Any] = {
    "type": "weather_report",
    "celsius": 7,
    "places": [{"name": "Oslo", "seen": None}],
    "sky": "gr",
}
UNKNOWN_DELTA = {"type": "weather_delta", "sky": "ey"}
UNKNOWN_EVENT = {"type": "weather_warning", "level": 2, "areas": ["coast"]}
UNKNOWN_COUNTERS = {"weather_requests": 1, "weather": {"looks": 2}}
UNKNOWN_FIELD = {"forecast": {"tomorrow": "rain"}}


@dataclass(frozen=True, slots=True)
class MessageFormat:
    """The Messages format, plain and streamed."""

    stop_sequence: str | None = None  # the stop sequence that ended the answer
    unknown: bool = False  # whether to add unknown elements

    def body(self, envelope: Envelope, answer: GeneratedAnswer, usage: dict[str, Any] | None) -> bytes:
        """Encode a plain message."""
        made = self._begun(envelope, usage)
        made |= {"content": list(self._content(envelope, answer)), **self._ending(answer)}
        if self.unknown:
            made |= UNKNOWN_FIELD
        return orjson.dumps(made)

    def events(
        self,
        envelope: Envelope,
        answer: GeneratedAnswer,
        usage: dict[str, Any],
        *,
        include_usage: bool,  # noqa: ARG002 - always included
        usage_place: UsagePlace = "last",
    ) -> list[bytes]:
        """Encode every event of a streamed message."""
        told = None if usage_place == "missing" else usage
        begun = self._begun(envelope, None if told is None else {**told, "completion_tokens": 0}, counting=False)
        events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}]
        for index, block in enumerate(self._content(envelope, answer)):
            events += self._block_events(index, block, answer)
        delta = {**self._ending(answer), **(UNKNOWN_FIELD if self.unknown else {})}
        counted = {} if told is None else {"usage": self._usage(told)}
        events += [{"type": "message_delta", "delta": delta, **counted}, {"type": "message_stop"}]
        return [b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event)) for event in events]

    def _begun(self, envelope: Envelope, usage: dict[str, Any] | None, *, counting: bool = True) -> dict[str, Any]:
        made: dict[str, Any] = {"id": envelope.id, "type": "message", "role": "assistant", "model": envelope.model}
        made |= {"content": [], "stop_reason": None, "stop_sequence": None}
        if usage is not None:
            made["usage"] = self._usage(usage, counting=counting)
        return made

    def _ending(self, answer: GeneratedAnswer) -> dict[str, Any]:
        reason = _REASONS.get(answer.finish_reason, answer.finish_reason)
        title = {} if answer.title is None else {"title": answer.title}
        if reason == "end_turn" and self.stop_sequence is not None:
            return {"stop_reason": "stop_sequence", "stop_sequence": self.stop_sequence, **title}
        return {"stop_reason": reason, "stop_sequence": None, **title}

    def _content(self, envelope: Envelope, answer: GeneratedAnswer) -> Iterator[dict[str, Any]]:
        if answer.reasoning is not None:
            signature = b64encode(envelope.id.encode()).decode()
            yield {"type": "thinking", "thinking": "".join(answer.reasoning), "signature": signature}
        if self.unknown:
            yield {**UNKNOWN_BLOCK, "sky": UNKNOWN_BLOCK["sky"] + UNKNOWN_DELTA["sky"]}
        # With the shape "links", searches appear only as links in the text.
        told = answer.web is not None and answer.web.shape != "links"
        if answer.web is not None and told:
            for step in answer.web.steps:
                yield from web_shapes.blocks_of(step)
        if answer.content:
            cited = {"citations": web_shapes.quotations(answer.web)} if answer.web is not None and told else {}
            yield {"type": "text", "text": "".join(answer.content), **cited}
        for call in answer.calls:
            yield {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call.arguments)}

    def _block_events(self, index: int, block: dict[str, Any], answer: GeneratedAnswer) -> Iterator[dict[str, Any]]:
        deltas: list[dict[str, Any]]
        match block["type"]:
            case "thinking":
                begun = {**block, "thinking": "", "signature": ""}
                deltas = [{"type": "thinking_delta", "thinking": piece} for piece in answer.reasoning or ()]
                deltas.append({"type": "signature_delta", "signature": block["signature"]})
            case "text":
                begun = {**block, "text": "", **({"citations": []} if "citations" in block else {})}
                deltas = [{"type": "text_delta", "text": piece} for piece in answer.content]
                deltas += [{"type": "citations_delta", "citation": one} for one in block.get("citations", ())]
            case "server_tool_use":
                begun = {**block, "input": {}}
                deltas = [{"type": "input_json_delta", "partial_json": orjson.dumps(block["input"]).decode()}]
            case "web_search_tool_result":
                begun, deltas = block, []
            case "tool_use":
                begun = {**block, "input": {}}
                call = next(call for call in answer.calls if call.id == block["id"])
                deltas = [{"type": "input_json_delta", "partial_json": fragment} for fragment in call.fragments]
            case _:
                begun, deltas = UNKNOWN_BLOCK, [UNKNOWN_DELTA]
                yield UNKNOWN_EVENT
        yield {"type": "content_block_start", "index": index, "content_block": begun}
        if index == 0:
            yield {"type": "ping"}
        yield from ({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
        yield {"type": "content_block_stop", "index": index}

    def _usage(self, usage: dict[str, Any], *, counting: bool = True) -> dict[str, Any]:
        """Return the usage in this format, where cached prompt tokens are separate."""
        hit = usage["prompt_cache_hit_tokens"]
        return {
            "input_tokens": usage["prompt_tokens"] - hit,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": hit,
            "output_tokens": usage["completion_tokens"],
            "service_tier": "standard",
            **({"server_tool_use": usage["server_tool_use"]} if counting and "server_tool_use" in usage else {}),
            **(UNKNOWN_COUNTERS if self.unknown and counting else {}),
        }


def _input(arguments: str) -> Any:
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return {}  # truncated
