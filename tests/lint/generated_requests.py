"""Chat requests by the thousand, right and wrong, and the official verdict on them."""

from __future__ import annotations

import json
import string
from typing import Any

import deepseek_recipe as recipe
from hypothesis import strategies as st

from deepseek_async.lint.linter import findings

BEYOND_THE_PACKAGE = frozenset({"json_schema", "regex_format", "user_id", "context_overflow"})
"""What the live service refuses and the official package lets pass: it knows formats that the chat endpoint does
not serve, does not look at user_id, and counts tokens in another place."""

_OPTIONS = recipe.ConversionOptions(
    reasoning_content_behavior=recipe.ReasoningContentBehavior.Reject,
).with_model_versions_by_name(
    {"deepseek-flash": recipe.ModelVersion.DeepseekV41Flash, "deepseek-v4-pro": recipe.ModelVersion.DeepseekV4Pro},
)


def official_verdict(body: dict[str, Any]) -> str | None:
    """Why the official package refuses a request; None when it does not."""
    try:
        recipe.ChatCompletionRequest(json.dumps(body)).convert(_OPTIONS)
    except recipe.ConversionError as error:
        message: str = json.loads(error.body)["error"]["message"]
        return message
    except ValueError as error:
        return str(error)
    return None


def our_verdict(body: dict[str, Any]) -> str | None:
    """Why the lint would refuse a request in its mode ``error``; None when it would not."""
    found = [finding for finding in findings(body) if finding.refused and finding.code not in BEYOND_THE_PACKAGE]
    return str(found[0]) if found else None


_SPOILED = st.shared(st.sampled_from([False, False, False, True]), key="spoiled")
"""Whether this request may be wrong in a single field; others are wrong only in how their fields go together."""


def _rarely(wrong: st.SearchStrategy[Any], right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """``right``, and in a spoiled request one time in eight ``wrong``: not every request is wrong in five places."""

    def choose(chosen: tuple[bool, int]) -> st.SearchStrategy[Any]:
        spoiled, number = chosen
        return wrong if spoiled and number == 5 else right

    return st.tuples(_SPOILED, st.integers(0, 7)).flatmap(choose)


_JUNK: st.SearchStrategy[Any] = st.sampled_from([5, -1, 1.5, True, "x", "", [], {}, [1], {"a": 1}])
_WORDS = st.sampled_from(["question", "answer in json", "深度", "", "tool"])
_IDS = st.sampled_from(["a", "b", "c"])
_NAME = _rarely(
    st.sampled_from(["", "a b", "é", "x" * 129, "a.b"]),
    st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=12),
)

_PARTS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"type": st.just("text"), "text": _rarely(_JUNK, _WORDS)}),
        st.fixed_dictionaries(
            {
                "type": st.just("image_url"),
                "image_url": st.fixed_dictionaries(
                    {
                        "url": _rarely(
                            st.sampled_from(["zz", "ftp://x/y", "https://x/" + "a" * 8192]),
                            st.sampled_from(["https://x/y.png", "data:image/png;base64,aaaa"]),
                        ),
                    },
                    optional={"detail": _rarely(_JUNK, st.sampled_from(["low", "high", "auto", "original"]))},
                ),
            },
        ),
        st.fixed_dictionaries({"type": st.just("file")}, optional={"file_data": st.just("data:image/png;base64,aa")}),
        st.fixed_dictionaries({"type": _rarely(st.just("z"), st.just("text")), "text": _WORDS}),
    ),
    max_size=3,
)
_CONTENT = _rarely(st.one_of(_JUNK, st.none()), st.one_of(_WORDS, _WORDS, _WORDS, _PARTS))


def _calls(ids: list[str]) -> list[dict[str, Any]]:
    return [{"id": i, "type": "function", "function": {"name": "f", "arguments": "{}"}} for i in ids]


@st.composite
def _exchange(draw: st.DrawFn) -> list[dict[str, Any]]:
    """An assistant turn that calls tools, and the tools' answers: mostly all of them, mostly once."""
    ids = draw(_rarely(st.lists(_IDS, min_size=2, max_size=3), st.lists(_IDS, min_size=1, max_size=3, unique=True)))
    answered = draw(_rarely(st.lists(_IDS, max_size=3), st.permutations(ids)))
    turn: dict[str, Any] = {"role": "assistant", "content": draw(st.sampled_from([None, "", "said"]))}
    turn["tool_calls"] = draw(_rarely(st.one_of(_JUNK, st.just([])), st.just(_calls(ids))))
    if draw(_rarely(st.just(False), st.just(True))):
        turn["reasoning_content"] = draw(_rarely(_JUNK, st.just("because")))
    return [turn, *({"role": "tool", "tool_call_id": i, "content": draw(_CONTENT)} for i in answered)]


_SAID = st.fixed_dictionaries(
    {"role": st.just("assistant")},
    optional={
        "content": _rarely(st.none(), _CONTENT),
        "reasoning_content": _rarely(_JUNK, st.just("because")),
        "name": _rarely(_JUNK, st.just("bob")),
        "prefix": _rarely(_JUNK, st.sampled_from([False, False, False, True])),
    },
).map(lambda turn: [turn])
_ASKED = st.fixed_dictionaries(
    {"role": st.just("user"), "content": _CONTENT}, optional={"name": _rarely(_JUNK, st.just("bob"))}
).map(lambda turn: [turn])
_TOLD = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "system", "latest_reminder"]), "content": _CONTENT}
).map(lambda turn: [turn])
_ODD = st.sampled_from(
    [[], [1], [{}], [{"role": "developer", "content": "a"}], [{"role": "user"}], [{"content": "a"}], [{"role": "tool"}]]
)
_MESSAGES = _rarely(
    st.one_of(_JUNK, st.just([])),
    st.tuples(
        _rarely(_ODD, st.one_of(_TOLD, st.just([]))),
        _ASKED,
        st.lists(_rarely(_ODD, st.one_of(_SAID, _exchange(), _ASKED, _TOLD)), max_size=4),
    ).map(lambda parts: [*parts[0], *parts[1], *(turn for turns in parts[2] for turn in turns)]),
)

_SCHEMA_LEAF = _rarely(
    st.sampled_from([5, {}, {"type": "z"}, {"enum": ["a"]}, {"type": "array"}, {"anyOf": [{"$ref": "#/$defs/x"}]}]),
    st.sampled_from(
        [{"type": "string"}, {"type": "integer"}, {"type": "array", "items": {"type": "number"}},
         {"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string", "enum": ["a", "b"]}],
    ),
)  # fmt: skip


@st.composite
def _schema(draw: st.DrawFn) -> Any:
    properties = draw(st.dictionaries(st.sampled_from(["a", "b", "c"]), _SCHEMA_LEAF, max_size=3))
    made: dict[str, Any] = {"type": draw(_rarely(st.sampled_from(["string", 5, ["object"]]), st.just("object")))}
    made["properties"] = draw(_rarely(_JUNK, st.just(properties)))
    made["required"] = draw(_rarely(st.one_of(_JUNK, st.just(["z"])), st.just(list(properties))))
    made["additionalProperties"] = draw(_rarely(st.sampled_from([True, {"type": "string"}]), st.just(False)))
    return {key: value for key, value in made.items() if draw(_rarely(st.just(False), st.just(True)))}


@st.composite
def _tools(draw: st.DrawFn) -> Any:
    strict = draw(st.booleans())
    tools = []
    for name in draw(_rarely(st.lists(_NAME, max_size=3), st.lists(_NAME, min_size=1, max_size=3, unique=True))):
        function: dict[str, Any] = {"name": name}
        if draw(_rarely(st.just(False), st.just(True))):
            function["parameters"] = draw(_rarely(_JUNK, _schema()))
        if strict:
            function["strict"] = draw(_rarely(st.sampled_from([False, "x"]), st.just(True)))
        if draw(st.booleans()):
            function["description"] = draw(_rarely(_JUNK, st.just("does it")))
        tools.append({"type": draw(_rarely(st.just("x"), st.just("function"))), "function": function})
    return tools


def _number(low: float, high: float) -> st.SearchStrategy[Any]:
    return _rarely(
        st.one_of(_JUNK, st.sampled_from([low - 1, high + 0.5, -1e300])),
        st.one_of(st.floats(low, high, allow_subnormal=False), st.sampled_from([low, high, None])),
    )


_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "thinking": _rarely(
        st.one_of(_JUNK, st.just({"type": "x"})),
        st.sampled_from([{"type": "disabled"}, {"type": "enabled"}, {"type": "adaptive"}, None]),
    ),
    "reasoning_effort": _rarely(
        _JUNK, st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra", None])
    ),
    "max_tokens": _rarely(st.sampled_from([0, -1, 393_217, 2**32, 1.5, "5", True]), st.integers(1, 393_216)),
    "temperature": _number(0, 2),
    "top_p": _rarely(st.sampled_from([0, 1.01, -1, "x"]), st.floats(0.01, 1)),
    "frequency_penalty": _number(-2, 2),
    "presence_penalty": _number(-2, 2),
    "n": _rarely(st.sampled_from([0, 2, -1, 256, "1"]), st.sampled_from([1, None])),
    "stop": _rarely(
        st.sampled_from(["", ["a", ""], ["a"] * 17, 5, [5]]), st.sampled_from(["a", ["a", "b"], [], ["a"] * 16, None])
    ),
    "stream": _rarely(_JUNK, st.sampled_from([True, False, None])),
    "stream_options": _rarely(_JUNK, st.sampled_from([None, None, {}, {"include_usage": True}])),
    "logprobs": _rarely(_JUNK, st.sampled_from([True, True, False, None])),
    "top_logprobs": _rarely(st.sampled_from([21, -1, 256, "a"]), st.integers(0, 20)),
    "seed": _rarely(st.sampled_from([2**63, -1, "x"]), st.integers(0, 2**63 - 1)),
    "response_format": _rarely(
        _JUNK, st.sampled_from([None, {"type": "text"}, {"type": "text"}, {"type": "json_object"}])
    ),
    "tools": _rarely(_JUNK, _tools()),
    "tool_choice": _rarely(
        _JUNK,
        st.sampled_from(
            [None, "none", "auto", "auto", "required", {"type": "function", "function": {"name": "f"}}],
        ),
    ),
    "parallel_tool_calls": _rarely(_JUNK, st.booleans()),
    "user": st.just("someone"),
    "metadata": _JUNK,
}


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A chat request with a few parameters, of which about half are in order."""
    body: dict[str, Any] = {
        "model": draw(_rarely(st.sampled_from([5, None]), st.sampled_from(["deepseek-flash", "deepseek-v4-pro"]))),
        "messages": draw(_MESSAGES),
    }
    for name in draw(st.lists(st.sampled_from(sorted(_FIELDS)), max_size=4, unique=True)):
        body[name] = draw(_FIELDS[name])
    for name in draw(_rarely(st.sampled_from([["model"], ["messages"]]), st.just([]))):
        del body[name]
    return body
