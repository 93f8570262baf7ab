"""Jobs in the order of their prefixes and at off-peak hours, against the simulator's prefix cache."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from bulk import QUICK, Bulk, Start
from support.clock import Clock

from deepseek_async.batch import Batch
from deepseek_async.call import lifecycle
from deepseek_async.errors import ConfigurationError

WORDS = ("quick", "brown", "fox", "jumps", "over", "lazy", "dog", "while", "seven", "wizards", "quietly", "box")


def grouped(groups: int, size: int, words: int = 600) -> list[dict[str, Any]]:
    """Shuffled rows; those of a group begin with the same text of about four fifths as many tokens as words."""
    chance = random.Random(5)
    rows = []
    for group in range(groups):
        text = " ".join(chance.choice(WORDS) for _ in range(words))
        for number in range(size):
            messages = [{"role": "system", "content": text}, {"role": "user", "content": f"Question {number}?"}]
            rows.append({"custom_id": f"{group}/{number}", "messages": messages})
    chance.shuffle(rows)
    return rows


def batch_at(bulk: Bulk, clock: Clock, monkeypatch: pytest.MonkeyPatch, concurrency: int = 4) -> Batch:
    # When a request was sent is the clock's business too: it decides about the price.
    monkeypatch.setattr(lifecycle, "time", SimpleNamespace(time=clock.time))
    return Batch(bulk.client.chat.completions, concurrency, bulk.client.retry, clock=clock)


async def test_rows_that_begin_alike_find_their_beginning_in_the_cache(start: Start):
    bulk = await start(latency=0.002)
    bulk.ask(grouped(5, 20))

    report = await bulk.run(concurrency=50)

    followers = 5 * 19
    assert report.ok == 100
    assert report.predicted_cached_tokens >= followers * 384
    assert report.progress.cached_tokens >= 0.99 * report.predicted_cached_tokens
    assert report.warnings == []
    cold = [line for line in bulk.lines() if not line["response"]["body"]["usage"]["prompt_cache_hit_tokens"]]
    assert sorted(line["custom_id"].partition("/")[0] for line in cold) == list("01234")


async def test_in_the_order_of_the_input_those_that_start_together_all_miss(start: Start):
    bulk = await start(latency=0.5, client={"max_concurrency": 50})
    bulk.ask(grouped(5, 10))

    report = await bulk.run(concurrency=50, order="input")

    assert (report.progress.cached_tokens, report.predicted_cached_tokens, report.saved) == (0, 0, 0.0)
    assert "predicted_cached_tokens" not in bulk.lines()[0]["deepseek_async"]


async def test_the_saving_is_what_the_cached_tokens_would_have_cost_more(start: Start):
    bulk = await start()
    bulk.ask(grouped(1, 10))

    report = await bulk.run(concurrency=10)

    # Off-peak or peak, flash: 0.15 - 0.003 dollars a million, or twice that.
    per_token = 0.147e-6
    assert report.saved / (report.progress.cached_tokens * per_token) == pytest.approx(1) or (
        report.saved / (report.progress.cached_tokens * per_token) == pytest.approx(2)
    )
    promised = [line["deepseek_async"].get("predicted_cached_tokens", 0) for line in bulk.lines()]
    assert sum(promised) == report.predicted_cached_tokens


async def test_a_server_without_a_cache_is_noticed_and_no_longer_waited_for(start: Start):
    bulk = await start(prefix_cache=False)
    bulk.ask(grouped(1, 60))

    report = await bulk.run(concurrency=8)

    assert report.ok == 60
    assert report.progress.cached_tokens == 0
    assert [warning for warning in report.warnings if "prefix cache" in warning] != []


@pytest.mark.filterwarnings("ignore:temperature")
async def test_a_leader_that_is_refused_hands_over(start: Start):
    bulk = await start()
    rows = grouped(1, 12)
    rows[0]["temperature"] = 9
    bulk.ask(rows)

    report = await bulk.run(concurrency=12)

    assert (report.ok, report.failed) == (11, 1)
    assert report.progress.cached_tokens >= 10 * 384


async def test_a_stopped_job_leaves_the_rows_that_waited_for_the_next_run(start: Start):
    bulk = await start(latency=0.05)
    bulk.ask(grouped(1, 30))
    job = bulk.client.batch.job(bulk.source, bulk.output, concurrency=30, **QUICK)
    running = asyncio.create_task(job.run())
    await bulk.simulator.until(lambda now: now.in_flight == 1)
    job.stop()

    report = await running
    assert (report.ok, report.progress.done, bulk.requests) == (1, 1, 1)
    assert (await bulk.run()).ok == 29


async def test_a_job_sleeps_through_peak_hours_and_every_request_is_billed_off_peak(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
):
    bulk = await start()
    bulk.ask([{"prompt": f"Question {number}"} for number in range(20)])
    clock = Clock("2026-11-24T02:00")
    batch = batch_at(bulk, clock, monkeypatch)

    report = await batch.run(bulk.source, bulk.output, window="off-peak", **QUICK)

    assert (report.ok, clock.slept) == (20, 7200)
    usage = report.progress
    assert report.cost == pytest.approx((usage.prompt_tokens * 0.15 + usage.completion_tokens * 0.60) / 1e6)
    starts = {line["deepseek_async"]["started"] for line in bulk.lines()}
    assert starts == {datetime(2026, 11, 24, 4, tzinfo=UTC).timestamp()}


async def test_without_a_window_the_same_job_costs_double(start: Start, monkeypatch: pytest.MonkeyPatch):
    bulk = await start()
    bulk.ask([{"prompt": f"Question {number}"} for number in range(20)])
    clock = Clock("2026-11-24T02:00")

    report = await batch_at(bulk, clock, monkeypatch).run(bulk.source, bulk.output, **QUICK)

    usage = report.progress
    assert clock.slept == 0
    assert report.cost == pytest.approx(2 * (usage.prompt_tokens * 0.15 + usage.completion_tokens * 0.60) / 1e6)


async def test_a_deadline_inside_the_peak_hours_is_kept(start: Start, monkeypatch: pytest.MonkeyPatch):
    bulk = await start()
    bulk.ask([{"prompt": f"Question {number}"} for number in range(20)])
    clock = Clock("2026-11-24T02:00")
    deadline = datetime(2026, 11, 24, 3, tzinfo=UTC)

    report = await batch_at(bulk, clock, monkeypatch).run(
        bulk.source,
        bulk.output,
        window="off-peak",
        deadline=deadline,
        **QUICK,
    )

    assert (report.ok, clock.slept) == (20, 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"window": "off-peak", "deadline": datetime(2026, 11, 24, 1, tzinfo=UTC)}, "must be in the future"),
        ({"window": "off-peak", "deadline": 0.0}, "must be in the future"),
        ({"deadline": datetime(2027, 11, 24, 1, tzinfo=UTC)}, "window='off-peak'"),
        ({"window": "night"}, "window must be"),
        ({"order": "random"}, "order must be"),
        ({"order": "prefix", "ordered": True}, "ordered=True"),
    ],
    ids=str,
)
async def test_a_schedule_that_cannot_be_kept_is_refused_before_anything_is_sent(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    said: str,
):
    bulk = await start()
    bulk.ask([{"prompt": "Question"}])
    batch = batch_at(bulk, Clock("2026-11-24T02:00"), monkeypatch)

    with pytest.raises(ConfigurationError, match=said):
        await batch.run(bulk.source, bulk.output, **options)
    assert bulk.requests == 0
    assert not bulk.output.exists()


async def test_a_job_that_waits_for_the_night_says_so_and_can_be_stopped(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
):
    bulk = await start()
    bulk.ask([{"prompt": "Question"}])
    clock = Clock("2026-11-24T02:00")
    clock.frozen = True
    job = batch_at(bulk, clock, monkeypatch).job(bulk.source, bulk.output, window="off-peak")
    running = asyncio.create_task(job.run())
    await clock.sleeping.wait()

    assert job.progress().resumes_at == datetime(2026, 11, 24, 4, tzinfo=UTC).timestamp()
    job.stop("enough")
    report = await running
    assert (report.stopped, bulk.requests) == ("enough", 0)


async def test_given_holidays_have_no_peak_hours(start: Start, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEEPSEEK_ASYNC_HOLIDAYS", "2026-11-24, 2026-11-25")
    bulk = await start()

    assert not bulk.client.batch._prices.is_peak(datetime(2026, 11, 24, 2, tzinfo=UTC).timestamp())
    assert bulk.client.batch._prices.is_peak(datetime(2026, 11, 26, 2, tzinfo=UTC).timestamp())


async def test_holidays_that_are_no_dates_are_refused(start: Start, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEEPSEEK_ASYNC_HOLIDAYS", "Christmas")

    with pytest.raises(ConfigurationError, match="DEEPSEEK_ASYNC_HOLIDAYS"):
        await start()
