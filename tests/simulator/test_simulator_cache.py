"""The prompt cache: blocks of 128 tokens of an exact prefix, isolated by user and model."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator_caller import Caller, Start

from deepseek_async.simulator.model.prefix_cache import BLOCK_TOKENS, PrefixCache, block_keys
from deepseek_async.simulator.model.tokens import TOKEN_MARK, UNIT, block_ends, weigh

LONG = "The quick brown fox jumps over the lazy dog near the river bank. " * 60


async def hits(caller: Caller, content: str, **body: object) -> int:
    usage = (await caller.chat(content, **body)).json["usage"]
    assert usage["prompt_cache_hit_tokens"] + usage["prompt_cache_miss_tokens"] == usage["prompt_tokens"]
    return usage["prompt_cache_hit_tokens"]


async def test_a_repeated_prefix_hits_in_whole_blocks(caller: Caller):
    assert await hits(caller, LONG + "first") == 0
    second = await hits(caller, LONG + "second")

    assert second > 0
    assert second % BLOCK_TOKENS == 0
    assert weigh(LONG.encode()) // UNIT - second < 2 * BLOCK_TOKENS


async def test_a_changed_beginning_misses_everything(caller: Caller):
    await hits(caller, LONG)

    assert await hits(caller, "Now: " + LONG) == 0


async def test_the_next_turn_hits_the_output_of_the_one_before(start: Start):
    caller = await start(answer_tokens=400)
    question = {"role": "user", "content": "Begin"}
    answer = (await caller.chat(messages=[question])).json
    said = answer["choices"][0]["message"]
    follow_up = [question, said, {"role": "user", "content": "Go on"}]

    assert answer["usage"]["prompt_tokens"] < BLOCK_TOKENS
    assert (await caller.chat(messages=follow_up)).json["usage"]["prompt_cache_hit_tokens"] >= BLOCK_TOKENS


async def test_short_prompts_never_hit(caller: Caller):
    await hits(caller, "A short question")

    assert await hits(caller, "A short question") == 0


@pytest.mark.parametrize(
    "other", [{"user_id": "b"}, {"model": "deepseek-v4-pro"}, {"reasoning_effort": "low", "thinking": ...}]
)
async def test_users_models_and_efforts_do_not_share(caller: Caller, other: dict):
    await hits(caller, LONG, user_id="a")

    assert await hits(caller, LONG, **{"user_id": "a", **other}) == 0
    assert await hits(caller, LONG, user_id="a") > 0


async def test_sampling_parameters_do_not_matter(caller: Caller):
    await hits(caller, LONG)

    assert await hits(caller, LONG, temperature=0.1, max_tokens=50, stop=["zzz"], logprobs=True) > 0


async def test_concurrent_cold_requests_all_miss(start: Start):
    caller = await start(latency=0.05)

    assert await asyncio.gather(*(hits(caller, LONG + str(number)) for number in range(5))) == [0] * 5
    assert await hits(caller, LONG) > 0


async def test_the_cache_can_be_switched_off(start: Start):
    caller = await start(prefix_cache=False)
    await hits(caller, LONG)

    assert await hits(caller, LONG) == 0


def test_the_least_recently_used_block_goes_first():
    cache = PrefixCache(2)
    cache.remember((1, 2))
    assert cache.hit_tokens((1,)) == BLOCK_TOKENS
    cache.remember((3,))

    assert len(cache) == 2
    assert cache.hit_tokens((1, 2)) == BLOCK_TOKENS
    assert cache.hit_tokens((2,)) == 0


TEXTS = st.text(alphabet=st.sampled_from("ab Z9\n{.é中я🎉" + TOKEN_MARK), max_size=3000)


@given(shared=TEXTS, left=TEXTS, right=TEXTS)
def test_equal_prefixes_have_equal_blocks(shared: str, left: str, right: str):
    one = block_keys(("m",), (shared + left).encode())
    two = block_keys(("m",), (shared + right).encode())
    common = len(block_ends(shared.encode(), BLOCK_TOKENS))

    assert one[:common] == two[:common]
    assert len(one) == weigh((shared + left).encode()) // (BLOCK_TOKENS * UNIT)


@given(text=TEXTS)
def test_each_block_ends_at_the_first_byte_that_completes_it(text: str):
    data = text.encode()

    for number, end in enumerate(block_ends(data, BLOCK_TOKENS), 1):
        assert weigh_bytes(data[: end - 1]) < number * BLOCK_TOKENS * UNIT <= weigh_bytes(data[:end])


def weigh_bytes(data: bytes) -> int:
    return sum(weigh(bytes((byte,))) for byte in data)


@given(left=TEXTS, right=TEXTS)
def test_weights_add_up(left: str, right: str):
    assert weigh(left.encode()) + weigh(right.encode()) == weigh((left + right).encode())
