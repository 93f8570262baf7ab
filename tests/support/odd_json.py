"""Good answers of every kind, and what becomes of them when fields that nobody needs hold something else."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from support.servers import answer, chunk

Path = tuple[str | int, ...]

SAID = {"content", "reasoning_content", "text", "delta", "arguments", "name", "tool_calls", "message", "function"}
"""Fields that hold what the model said, or lead to it."""

SAID |= {"choices", "output", "item", "part", "response", "data", "embedding"}

ENDS = {"finish_reason", "status", "type"}
"""Fields that say what a part is, and whether the answer is whole: what is unknown there is told."""

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["n/a", "1e999", "2026-11-27T00:00:00Z", [], {}, 0, "", -1, 10**400, 1795450000.5]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)

_TOKEN = {"token": "Hel", "logprob": -0.5, "bytes": [72], "top_logprobs": [{"token": "Hel", "logprob": -0.5}]}
_CALL = {"index": 0, "id": "call_a", "type": "function", "function": {"name": "read", "arguments": '{"path": "a"}'}}


def chat() -> dict[str, Any]:
    """A plain chat answer with all that it can have."""
    body = answer("Hello", service_tier="default")
    body["usage"]["completion_tokens_details"] = {"reasoning_tokens": 3}
    body["choices"][0]["logprobs"] = {"content": [copy.deepcopy(_TOKEN)], "reasoning_content": None}
    body["choices"][0]["message"] |= {
        "reasoning_content": "hm",
        "tool_calls": [copy.deepcopy(_CALL)],
        "refusal": None,
        "annotations": [],
        "audio": None,
    }
    return body


def chunks() -> list[dict[str, Any]]:
    """The same, in a stream."""
    head, tail = copy.deepcopy(_CALL), {"index": 0, "function": {"arguments": '"a"}'}}
    head["function"]["arguments"] = '{"path": '
    pieces = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({"tool_calls": [head]}),
        chunk({"tool_calls": [tail]}),
        chunk({}, "tool_calls", usage=chat()["usage"]),
    ]
    pieces[2]["choices"][0]["logprobs"] = {"content": [copy.deepcopy(_TOKEN)], "reasoning_content": None}
    return pieces


def text() -> dict[str, Any]:
    """A text completion; in a stream, one event of it."""
    logprobs = {"tokens": ["Hello"], "token_logprobs": [-0.5], "top_logprobs": [{"Hello": -0.5}], "text_offset": [0]}
    choice = {"index": 0, "text": "Hello", "logprobs": logprobs, "finish_reason": "stop"}
    return {**answer(), "object": "text_completion", "choices": [choice]}


def reply() -> dict[str, Any]:
    """A response."""
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    said = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    item = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [said]}
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "input_tokens_details": {"cached_tokens": 4}}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1795450000.0,
        "status": "completed",
        "model": "deepseek-flash",
        "output": [thought, item],
        "usage": usage,
        "incomplete_details": None,
        "error": None,
        "metadata": {},
    }


def vectors() -> dict[str, Any]:
    """Embeddings."""
    members = [{"index": at, "object": "embedding", "embedding": [at + 0.5, -1.0]} for at in (0, 1)]
    return {"object": "list", "model": "bge", "data": members, "usage": {"prompt_tokens": 4, "total_tokens": 4}}


def paths(value: Any, without: set[str], at: Path = ()) -> Iterator[Path]:
    """Every field below ``value`` but those that are called as one of ``without``."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in members:
        if isinstance(value, dict) and name not in without:
            yield (*at, name)
        yield from paths(inner, without, (*at, name))


def changed(body: Any, changes: dict[Path, Any]) -> Any:
    """A copy of ``body`` with other values where ``changes`` say so, as far as there is such a place."""
    body = copy.deepcopy(body)
    for path, value in sorted(changes.items(), key=lambda change: -len(change[0])):
        place = body
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
    return body


def changes(body: Any, without: set[str], most: int = 3) -> st.SearchStrategy[dict[Path, Any]]:
    """Up to ``most`` fields of ``body``, with what stands there instead."""
    return st.dictionaries(st.sampled_from(list(paths(body, without))), JSON, min_size=1, max_size=most)
