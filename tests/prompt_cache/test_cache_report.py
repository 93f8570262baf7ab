"""Why prompts missed the service's prefix cache: the simulator's cache decides, the report explains."""

from __future__ import annotations

import asyncio
import gc
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clients import Connect

from deepseek_async import AsyncDeepSeek, CacheCause, CacheReport, ConfigurationError, PromptCacheWatch
from deepseek_async.batch.review.output_reader import OutputReader
from deepseek_async.batch.review.prompt_cache import cache_report
from deepseek_async.batch.review.row_selection import LatestRun, RowsOfInput
from deepseek_async.batch.run_record import defaults_of
from deepseek_async.cli.app import app
from deepseek_async.pricing.prices import price_table
from deepseek_async.prompt_cache.fingerprint import STRETCH, fingerprint_of
from deepseek_async.prompt_cache.history import AnsweredPrompt, PromptHistory
from deepseek_async.simulator import Simulator, SimulatorSettings

LONG = "".join(f"Rule {number}: be kind to everybody whom you meet. " for number in range(120))
TOOLS = [
    {"type": "function", "function": {"name": name, "description": LONG[:1500], "parameters": {"type": "object"}}}
    for name in ("lookup", "search", "order")
]


async def ask(client: AsyncDeepSeek, *texts: str, **more: Any) -> Any:
    roles = ["system", *(["user", "assistant"] * len(texts))]
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
    return await client.chat.completions.create(
        **{"model": "deepseek-flash", "messages": messages, "thinking": False, "max_tokens": 16, **more}
    )


@pytest.fixture(params=[False, True], ids=["digests", "texts"])
async def watch(request: pytest.FixtureRequest) -> PromptCacheWatch:
    return PromptCacheWatch(keep_texts=request.param)


@pytest.fixture
async def simulator() -> Any:
    async with Simulator(SimulatorSettings(seed=7)) as running:
        yield running


@pytest.fixture
def client(simulator: Simulator, connect: Connect, watch: PromptCacheWatch) -> AsyncDeepSeek:
    return connect(simulator.base_url, listeners=[watch])


def only(report: CacheReport) -> CacheCause:
    (cause,) = report.causes
    return cause


async def test_what_is_expected_is_what_the_ledger_has(client: AsyncDeepSeek, simulator: Simulator):
    for number in range(6):
        await ask(client, LONG, f"Question {number}")
    report = client.cache_report()

    assert report.total.prompts == 6
    assert report.total.prompt_tokens == simulator.ledger.prompt_tokens
    assert report.total.hit_tokens == simulator.ledger.cache_hit_tokens > 0
    assert report.total.expected_tokens == pytest.approx(report.total.hit_tokens, abs=5 * 128)
    assert (report.causes, report.total.lost_tokens, report.fresh_prompts) == ((), 0, 1)


async def test_a_time_at_the_head_is_found_with_its_character_and_its_cost(client: AsyncDeepSeek, simulator: Simulator):
    for minute in range(5):
        await ask(client, f"You are kind. It is 12:{minute:02} now. {LONG}", "Question")
    report = client.cache_report()
    cause = only(report)

    assert (cause.reason, cause.where, cause.prompts) == ("changed", "messages[0] (system)", 4)
    # A digit of the minute differs.
    digit = len("You are kind. It is 12:0")
    assert cause.character == digit if cause.exact else cause.character <= digit < cause.character + STRETCH
    missed = simulator.ledger.prompt_tokens - simulator.ledger.cache_hit_tokens
    assert 0.7 * missed * 4 / 5 < cause.lost_tokens < missed * 4 / 5
    price = price_table().rate("deepseek-flash", 1.8e9)
    assert price is not None
    per_token = (price.cache_miss - price.cache_hit) / 1e6
    assert cause.lost_dollars in (
        pytest.approx(cause.lost_tokens * per_token),
        pytest.approx(cause.lost_tokens * 2 * per_token),
    )
    assert cause.texts is None or ("12:03 now" in cause.texts[0] and "12:04 now" in cause.texts[1])
    assert "messages[0] (system)" in str(report)
    assert json.loads(report.to_json())["causes"][0] == json.loads(json.dumps(asdict(cause)))


async def test_tools_in_another_order_are_found(client: AsyncDeepSeek):
    await ask(client, "Be kind.", "Question", tools=TOOLS)
    await ask(client, "Be kind.", "Question", tools=[TOOLS[0], TOOLS[2], TOOLS[1]])
    cause = only(client.cache_report())
    assert (cause.reason, cause.where) == ("changed", "tools[1] (order)")


@pytest.mark.parametrize(
    ("before", "after", "where"),
    [
        ({"thinking": True}, {"thinking": False}, "reasoning_effort"),
        ({"thinking": False}, {"thinking": True}, "reasoning_effort"),
        (
            {"reasoning_effort": "high", "thinking": True},
            {"reasoning_effort": "max", "thinking": True},
            "reasoning_effort",
        ),
        ({"tools": TOOLS}, {"tools": TOOLS[1:]}, "tools[0] (lookup)"),
        ({"tools": TOOLS[1:]}, {"tools": TOOLS}, "tools[0] (lookup)"),
    ],
    ids=["thinking off", "thinking on", "more effort", "a tool less", "a tool more"],
)
async def test_what_is_put_before_or_left_out_is_found(
    client: AsyncDeepSeek, before: dict[str, Any], after: dict[str, Any], where: str
):
    await ask(client, "Be kind.", LONG, **before)
    await ask(client, "Be kind.", LONG, **after)
    cause = only(client.cache_report())
    assert (cause.reason, cause.where) == ("changed", where)
    assert cause.lost_tokens > 1024


async def test_a_message_put_before_all_others_is_found(client: AsyncDeepSeek):
    asked = [{"role": "system", "content": LONG}, {"role": "user", "content": "Hi"}]
    for messages in (asked, [{"role": "system", "content": "It is noon."}, *asked]):
        await client.chat.completions.create(model="deepseek-flash", messages=messages, thinking=False, max_tokens=16)
    cause = only(client.cache_report())
    assert (cause.reason, cause.where) == ("changed", "messages[0] (system)")


async def test_an_edit_within_a_conversation_is_found(client: AsyncDeepSeek):
    await ask(client, "Be kind.", LONG, "Yes.", LONG[::-1], "No.", "Go on")
    await ask(client, "Be kind.", f"Edited. {LONG}", "Yes.", LONG[::-1], "No.", "Go on")
    cause = only(client.cache_report())
    assert (cause.reason, cause.where, cause.character) == ("changed", "messages[1] (user)", 0)


async def test_new_text_at_the_end_is_no_fault(client: AsyncDeepSeek):
    first = await ask(client, LONG, LONG[::-1])
    await ask(client, LONG, LONG[::-1], first.choices[0].message.content, "".join(reversed(LONG.split("."))))
    report = client.cache_report()
    assert report.causes == ()
    assert report.total.expected_tokens > 0


async def test_another_user_and_another_model_have_caches_of_their_own(client: AsyncDeepSeek):
    await ask(client, LONG, "Question", user_id="a")
    await ask(client, LONG, "Question", user_id="b")
    await ask(client, LONG, "Question", user_id="b", model="deepseek-v4-pro")
    report = client.cache_report()
    assert {cause.reason for cause in report.causes} == {"user_id", "model"}
    assert set(report.users) == {"a", "b"}
    assert set(report.models) == {"deepseek-flash", "deepseek-v4-pro"}
    assert report.users["b"].prompts == 2


async def test_what_is_sent_together_misses_together(connect: Connect, watch: PromptCacheWatch):
    async with Simulator(SimulatorSettings(seed=7, latency=0.05)) as simulator:
        client = connect(simulator.base_url, listeners=[watch])
        await asyncio.gather(*(ask(client, LONG, f"Question {number}") for number in range(3)))
        cause = only(client.cache_report())
    assert (cause.reason, cause.prompts) == ("concurrent", 2)


async def test_a_cache_that_does_not_serve_is_the_server_s(connect: Connect, watch: PromptCacheWatch):
    async with Simulator(SimulatorSettings(seed=7, prefix_cache=False)) as simulator:
        client = connect(simulator.base_url, listeners=[watch])
        for _ in range(3):
            await ask(client, LONG, "Question")
        cause = only(client.cache_report())
    assert (cause.reason, cause.prompts) == ("server", 2)
    assert "best effort" in str(cause)


async def test_without_a_watch_nothing_is_compared(simulator: Simulator, connect: Connect):
    client = connect(simulator.base_url)
    with pytest.raises(ConfigurationError, match="PromptCacheWatch"):
        client.cache_report()
    assert client._runtime.caller().middleware is None
    for wrong in ({"prompts": 0}, {"memory_bytes": "many"}):
        with pytest.raises(ConfigurationError, match="must be an integer"):
            PromptCacheWatch(**wrong)


def asked(request: dict[str, Any], at: float, tokens: int = 2_000) -> AnsweredPrompt:
    rate = price_table().rate("deepseek-flash", 1.8e9)
    assert rate is not None
    return AnsweredPrompt(request, "deepseek-flash", at, at + 1, tokens, 0, rate)


def prompt(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "deepseek-flash", "messages": [{"role": "user", "content": text}], **more}


@pytest.mark.parametrize("keep_texts", [False, True])
def test_memory_is_bounded_and_digests_hold_no_text(keep_texts: bool):
    history = PromptHistory(prompts=50, memory_bytes=200_000, keep_texts=keep_texts)
    for number in range(300):
        history.add(asked(prompt(f"secretive {number} {LONG}", user_id=f"user{number}"), float(number)))
    assert 1 <= len(history) <= 50
    assert history._bytes <= 200_000
    assert len(history._places) < 50 * 30
    assert set(history._elsewhere) == {key for _, key in history._places}
    gc.collect()
    seen = [part.text for old in history._latest.values() for part in old.print.parts]
    assert any(seen) is keep_texts


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200), st.booleans())
def test_the_difference_is_at_the_first_character_that_differs(head: str, one: str, other: str, texts: bool):
    new, old = fingerprint_of(prompt(head + one)), fingerprint_of(prompt(head + other))
    if not texts:
        old.forget_texts()
    found = new.difference(old)
    common = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    if one == other:
        assert found.where == ""
        return
    first = len(head) + common
    assert found.where == "messages[0] (user)"
    assert found.character == first if texts else found.character <= first < found.character + STRETCH + 1


def test_prompts_that_cannot_be_rendered_are_counted():
    history = PromptHistory(prompts=5, memory_bytes=10_000, keep_texts=False)
    for wrong in (
        {},
        {"model": 5},
        {"model": "x", "messages": []},
        {"model": "x", "messages": [{"role": "user", "content": [7]}]},
    ):
        history.add(asked(wrong, 1.0))
    assert history.report().unread == 4


async def test_a_job_is_explained_by_its_input_and_output(
    simulator: Simulator, connect: Connect, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows = [
        {
            "custom_id": f"r{number}",
            "messages": [{"role": "system", "content": f"Day {number}. {LONG}"}, {"role": "user", "content": "Go"}],
        }
        for number in range(4)
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    client = connect(simulator.base_url, max_concurrency=1)
    await client.batch.run(source, output, model="deepseek-flash", thinking=False, max_tokens=8)

    read = OutputReader(output)
    read.read()
    assert cache_report(LatestRun(read), price_table()) is None
    report = cache_report(RowsOfInput(read, source, defaults_of(read.run or b"")), price_table())
    assert report is not None
    cause = only(report)
    assert (cause.reason, cause.where, cause.prompts, cause.exact) == ("changed", "messages[0] (system)", 3, True)
    assert report.total.prompt_tokens == simulator.ledger.prompt_tokens

    for more in (["--json"], []):
        with pytest.raises(SystemExit) as ended:
            app(["batch", "report", str(output), "--input", str(source), *more])
        assert ended.value.code in (0, None)
    said = capsys.readouterr()
    assert [line[:3] for line in said.err.splitlines()][-2:] == ["pre", "  $"]
    printed = json.loads(said.out)
    assert printed["prompt_cache"]["causes"][0]["where"] == "messages[0] (system)"
    assert printed["done"] == 4
    assert "Prefix cache" in output.with_suffix(".html").read_text()
    assert "messages[0] (system)" in output.with_suffix(".html").read_text()
