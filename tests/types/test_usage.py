"""Usage: nothing that a server counts is lost, in one answer and in the sum of many."""

from __future__ import annotations

import pickle
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.codec.answer_decoder import AnswerDecoder
from deepseek_async.codec.assembly import Assembly
from deepseek_async.codec.chat_body import decode_completion
from deepseek_async.types import (
    ChatCompletionChunk,
    CompletionTokensDetails,
    CompletionUsage,
    PromptTokensDetails,
    Response,
    ResponseUsage,
)
from deepseek_async.types.usage import added

_NUMBERS = st.integers(0, 10**12)
_DETAILS = st.none() | st.dictionaries(
    st.sampled_from(["reasoning_tokens", "audio_tokens", "accepted_prediction_tokens"]), _NUMBERS
)
_USAGES = st.fixed_dictionaries(
    {"prompt_tokens": _NUMBERS, "completion_tokens": _NUMBERS, "total_tokens": _NUMBERS},
    optional={
        "completion_tokens_details": _DETAILS,
        "searches": _NUMBERS,
        "server_tool_use": st.dictionaries(st.sampled_from(["web_search", "read_url"]), _NUMBERS),
        "service_tier": st.sampled_from(["standard", None]),
    },
)


def _sent(usage: dict[str, Any]) -> CompletionUsage:
    """As it comes in an answer."""
    completion = decode_completion(orjson.dumps({"choices": [], "usage": usage}))
    assert completion.usage is not None
    return completion.usage


def _numbers(value: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    if isinstance(value, dict):
        return {place: number for name in value for place, number in _numbers(value[name], (*path, name)).items()}
    return {path: value} if isinstance(value, int) else {}


@given(st.lists(_USAGES, min_size=1, max_size=5))
def test_every_number_of_a_sum_is_the_sum_of_that_number(usages: list[dict[str, Any]]) -> None:
    total = added(map(_sent, usages))
    apart = [_numbers(usage) for usage in usages]
    expected = {place: sum(numbers.get(place, 0) for numbers in apart) for numbers in apart for place in numbers}
    found = _numbers(total.counters())
    assert {place: number for place, number in found.items() if number or place in expected} == expected


@given(st.lists(_USAGES, min_size=3, max_size=5))
def test_it_does_not_matter_in_which_groups_usages_are_added(usages: list[dict[str, Any]]) -> None:
    sent = [_sent(usage) for usage in usages]
    assert added([added(sent[:2]), added(sent[2:])]) == added(sent)


def test_the_sum_of_nothing_is_nothing() -> None:
    assert added([]) == CompletionUsage()


def test_cached_tokens_are_added_whichever_of_their_names_was_used() -> None:
    one = CompletionUsage(prompt_tokens=10, prompt_cache_hit_tokens=4, prompt_cache_miss_tokens=6)
    other = CompletionUsage(prompt_tokens=10, prompt_tokens_details=PromptTokensDetails(cached_tokens=3))
    for usages in ([one, other], [other, one]):
        total = added(usages)
    assert (total.cached_tokens, total.prompt_cache_miss_tokens) == (7, 13)


def test_a_sum_has_what_nobody_declared_as_attributes() -> None:
    total = added([_sent({"server_tool_use": {"web_search": 2}}), _sent({"server_tool_use": {"web_search": 3}})])
    assert total.server_tool_use == {"web_search": 5}
    assert pickle.loads(pickle.dumps(total)).server_tool_use == {"web_search": 5}


def test_what_was_corrected_after_it_came_is_added_as_corrected() -> None:
    wrong = _sent({"prompt_tokens": -5, "completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": -1}})
    wrong.prompt_tokens = 5
    wrong.completion_tokens_details = CompletionTokensDetails(reasoning_tokens=0)
    total = added([wrong, CompletionUsage(prompt_tokens=1)])
    assert (total.prompt_tokens, total.completion_tokens, total.reasoning_tokens) == (6, 1, 0)


def test_usages_of_responses_are_added_too_and_are_given_back_in_their_own_terms() -> None:
    usage = {
        "input_tokens": 7,
        "output_tokens": 5,
        "total_tokens": 12,
        "output_tokens_details": {"reasoning_tokens": 2, "image_tokens": 1},
        "searches": 3,
    }
    response = AnswerDecoder(Response).decode(orjson.dumps({"status": "completed", "usage": usage}))
    used = response.tokens_used()
    assert used is not None
    total = ResponseUsage.of(added([used, used]))
    assert (total.input_tokens, total.output_tokens, total.total_tokens) == (14, 10, 24)
    assert total.counters()["output_tokens_details"] == {"reasoning_tokens": 4, "image_tokens": 2}
    assert total.searches == 6


def test_a_stream_has_the_counters_that_nobody_declared() -> None:
    assembly = Assembly()
    wire = orjson.dumps({"choices": [{"index": 0, "delta": {}}], "usage": {"prompt_tokens": 1, "searches": 2}})
    assembly.add([AnswerDecoder(ChatCompletionChunk).decode(wire)])
    usage = assembly.completion().usage
    assert usage is not None
    assert usage.searches == 2
