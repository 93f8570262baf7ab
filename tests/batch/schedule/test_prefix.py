"""What counts as the same beginning of a prompt, in the server's order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.batch.schedule.prefix import BLOCK_TOKENS, WORTH_WAITING, covered, hit_tokens, prefix_of

LONG = "All happy families are alike; every unhappy family is unhappy in its own way. " * 60


def request(question: str = "Why?", system: str = LONG, **changes: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    return {"model": "deepseek-flash", "messages": messages, **changes}


def shared(one: dict[str, Any], other: dict[str, Any]) -> int:
    """Chunks that two requests have in common."""
    pairs = zip(prefix_of(one).keys, prefix_of(other).keys, strict=False)
    return next((number for number, (left, right) in enumerate(pairs) if left != right), len(prefix_of(one).keys))


def test_rows_that_differ_in_their_last_message_share_all_but_their_last_chunk():
    chunks = len(LONG) // 512

    assert shared(request("Why?"), request("How?")) in {chunks, chunks + 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"max_tokens": 5},
        {"temperature": 0.1, "top_p": 0.5},
        {"stop": ["END"]},
        {"logprobs": True},
        {"thinking": {"type": "enabled"}},
        {"reasoning_effort": "high"},
        {"reasoning_effort": "medium"},
        {"tools": []},
    ],
    ids=str,
)
def test_what_is_not_in_the_prompt_changes_nothing(changes: dict[str, Any]):
    assert prefix_of(request(**changes)).keys == prefix_of(request()).keys


TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {}}}]


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "deepseek-v4-pro"},
        {"user_id": "anna"},
        {"thinking": {"type": "disabled"}},
        {"reasoning_effort": "none"},
        {"reasoning_effort": "max"},
    ],
    ids=str,
)
def test_a_cache_of_its_own_or_another_head_shares_nothing(changes: dict[str, Any]):
    assert shared(request(**changes), request()) == 0


@pytest.mark.parametrize("changes", [{"tools": TOOLS}, {"response_format": {"type": "json_object"}}], ids=str)
def test_tools_and_format_come_after_the_system_text_and_before_the_turns(changes: dict[str, Any]):
    system, question = LONG[:2000], LONG
    plain, changed = request(question, system), request(question, system, **changes)

    assert shared(plain, changed) == 2000 // 512
    assert prefix_of(changed).keys == prefix_of(request(question, system, **changes)).keys


@pytest.mark.parametrize("text", ["a", "ä", "語", "😀"])
@pytest.mark.parametrize("size", [WORTH_WAITING - 40, WORTH_WAITING - 16, WORTH_WAITING - 8, WORTH_WAITING])
def test_a_prompt_is_short_only_if_all_of_it_put_together_is(text: str, size: int):
    message = {"role": "user", "content": text * (size // len(text.encode()))}
    put_together = len(f"\0user\1{message['content']}".encode())
    assert bool(prefix_of({"messages": [message]}).keys) == (put_together >= WORTH_WAITING)


def test_tool_choice_none_takes_the_tools_out_of_the_prompt():
    without = prefix_of(request(LONG)).keys

    assert prefix_of(request(LONG, tools=TOOLS, tool_choice="none")).keys == without
    assert prefix_of(request(LONG, tools=TOOLS, tool_choice="auto")).keys != without


def test_a_late_system_message_goes_to_the_head_on_pro_only():
    messages = [{"role": "user", "content": LONG}, {"role": "assistant", "content": "Yes."}]
    late = [*messages, {"role": "system", "content": "Be brief."}]
    for model, chunks in (("deepseek-flash", len(LONG) // 512), ("deepseek-v4-pro", 0)):
        one, other = ({"model": model, "messages": turns} for turns in (messages, late))
        assert shared(one, other) == chunks


def test_short_prompts_are_not_worth_a_key():
    assert prefix_of(request("Why?", "Be brief.")).keys == ()
    assert prefix_of(request("Why?", "x" * WORTH_WAITING)).keys != ()


def test_an_image_counts_by_its_identity_and_not_by_its_bytes():
    def asked(url: str) -> dict[str, Any]:
        parts = [{"type": "text", "text": LONG}, {"type": "image_url", "image_url": {"url": url}}]
        return request([*parts, {"type": "text", "text": LONG}])  # type: ignore[arg-type]

    assert prefix_of(asked("data:" + "A" * 100_000)).size < 3.1 * len(LONG)
    assert shared(asked("data:A"), asked("data:B")) < len(prefix_of(asked("data:A")).keys)
    assert prefix_of(asked("data:A")).keys == prefix_of(asked("data:A")).keys


@pytest.mark.parametrize(
    "messages",
    [
        ["no object"],
        [{"role": "user"}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": [1, {"text": 2}]}],
        [{"role": "user", "content": "\ud800" * 2000}],
        [{"role": "assistant", "content": "", "tool_calls": [{"id": "\ud800"}]}],
    ],
    ids=str,
)
def test_what_the_server_will_refuse_has_some_prefix_all_the_same(messages: list[Any]):
    assert prefix_of({"model": "m", "messages": messages}).size > 0


@given(st.binary(max_size=60_000), st.integers(0, 60_000))
def test_equal_keys_are_equal_beginnings(data: bytes, at: int):
    text = data.decode("latin-1")
    changed = text[:at] + "\u2603" + text[at + 1 :]
    one, other = request(text, ""), request(changed, "")
    known = shared(one, other)

    common = len(text[:at].encode()) + 16  # what stands before the text in the rendered prompt
    assert covered(known) <= common
    smaller = min(prefix_of(one).size, prefix_of(other).size)
    if smaller >= WORTH_WAITING:
        assert covered(known + 1) > min(common - 16, smaller)


def test_a_megabyte_is_few_keys_and_known_to_six_percent():
    prefix = prefix_of(request("x" * 1_000_000, ""))

    assert len(prefix.keys) < 140
    assert covered(len(prefix.keys)) >= 0.94 * prefix.size


@pytest.mark.parametrize(
    ("shared_bytes", "size", "tokens", "hit"),
    [
        (0, 1000, 500, 0),
        (1000, 2000, 1000, 384),  # half of a thousand, in whole blocks
        (1023, 4092, 512, 128),
        (2000, 2000, 256, 128),  # the last token is read afresh, and with it its block
        (5000, 2000, 257, 256),
        (100, 0, 100, 0),
        (100, 100, 0, 0),
    ],
)
def test_hits_come_in_whole_blocks(shared_bytes: int, size: int, tokens: int, hit: int):
    assert hit_tokens(shared_bytes, size, tokens) == hit
    assert hit % BLOCK_TOKENS == 0
