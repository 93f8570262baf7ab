"""A line's url says where its row goes; journal, resume, money and all else are those of chat."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from bulk import AfterCalls, Bulk, Start
from mixed_urls import BODIES, OF_TEXT, SAYS, URLS, asked, mixed, url_of

from deepseek_async import AsyncDeepSeek, Budget, Endpoint, InputChangedError, InputFormatError
from deepseek_async.batch import BatchReport, BatchResult, ExitCode
from deepseek_async.batch.review.export import export
from deepseek_async.batch.review.job_summary import account_of
from deepseek_async.batch.review.output_reader import OutputReader
from deepseek_async.batch.review.plan import plan
from deepseek_async.batch.review.row_selection import LatestRun, RowsOfInput
from deepseek_async.batch.row import Defaults, RowReader
from deepseek_async.codec.request import encode_request
from deepseek_async.codec.tokens import TokenEstimator
from deepseek_async.content import ContentFilter
from deepseek_async.events import CallEnded
from deepseek_async.pricing.prices import price_table
from deepseek_async.simulator import Fault

SECRET = "sk-" + "a1B2" * 8
PATHS = {
    "/v1/chat/completions": "/chat/completions",
    "/v1/completions": "/beta/completions",
    "/v1/responses": "/responses",
    "/v1/messages": "/anthropic/v1/messages",
    "/v1/embeddings": "/embeddings",
}
ALIASES = [
    ("/v1/chat/completions", "/chat/completions"),
    ("/v1/chat/completions", "/beta/chat/completions"),
    ("/v1/completions", "/completions"),
    ("/v1/completions", "/beta/completions"),
    ("/v1/responses", "/responses"),
    ("/v1/messages", "/messages"),
    ("/v1/messages", "/anthropic/v1/messages"),
    ("/v1/messages", "/anthropic/messages"),
    ("/v1/embeddings", "/embeddings"),
]


async def run(bulk: Bulk, **options: Any) -> BatchReport:
    return await bulk.client.batch.run(bulk.source, bulk.output, **options)


def read(path: Path) -> OutputReader:
    output = OutputReader(path)
    output.read()
    return output


async def test_a_mixed_file_runs_in_one_job_and_each_answer_is_its_endpoints_own_to_its_own_row(bulk: Bulk):
    bulk.ask(mixed(40))

    report = await run(bulk)

    assert (report.ok, report.failed, report.exit_code) == (40, 0, ExitCode.OK)
    assert Counter(record.path for record in bulk.simulator.requests) == dict.fromkeys(PATHS.values(), 8)
    named = bulk.named()
    assert named.keys() == {row["custom_id"] for row in mixed(40)}
    for name, line in named.items():
        body = line["response"]["body"]
        assert SAYS[url_of(name)](body) != ""
        if url_of(name) == "/v1/embeddings":
            assert len(body["data"][0]["embedding"]) > 100
        else:
            assert line["response"]["status_code"] == 200
            assert body["usage"]


async def test_the_cost_of_a_mixed_file_is_what_the_service_billed(bulk: Bulk):
    bulk.ask(mixed(40, OF_TEXT))

    report = await run(bulk)

    ledger = bulk.simulator.ledger
    assert report.cost == pytest.approx(ledger.dollars, rel=1e-9)
    assert report.progress.prompt_tokens == ledger.prompt_tokens
    assert report.progress.cached_tokens == ledger.cache_hit_tokens
    assert report.progress.completion_tokens == ledger.completion_tokens
    assert sum(line["deepseek_async"]["cost"] for line in bulk.lines()) == pytest.approx(ledger.dollars)


async def test_a_message_that_was_cached_in_part_is_counted_whole_and_charged_in_parts(bulk: Bulk):
    long = "The same long beginning of every prompt, word after word. " * 200
    turns = [{"role": "user", "content": long}]
    bulk.ask([asked("/v1/messages", number, messages=turns) for number in range(3)])

    report = await run(bulk, concurrency=1)

    ledger = bulk.simulator.ledger
    assert report.progress.cached_tokens == ledger.cache_hit_tokens > 0
    assert report.progress.prompt_tokens == ledger.prompt_tokens
    assert report.cost == pytest.approx(ledger.dollars, rel=1e-9)


@pytest.mark.parametrize(("url", "alias"), ALIASES)
async def test_every_spelling_of_a_url_is_the_same_row(bulk: Bulk, url: str, alias: str):
    bulk.ask([asked(url, 1)])
    await run(bulk)
    bulk.ask([{**asked(url, 1), "url": alias}])

    report = await run(bulk)

    assert (report.resumed, report.ok, bulk.requests) == (1, 0, 1)


async def test_the_url_is_a_part_of_what_a_row_is_known_by(bulk: Bulk):
    row = asked("/v1/chat/completions", 1)
    bulk.ask([row])
    await run(bulk)
    bulk.ask([{**row, "url": "/v1/messages"}])

    with pytest.raises(InputChangedError, match="changed since it was answered"):
        await run(bulk)
    assert (await run(bulk, redo="changed")).ok == 1
    assert [record.path for record in bulk.simulator.requests] == ["/chat/completions", "/anthropic/v1/messages"]


async def test_without_an_id_the_same_body_at_another_url_is_another_row(bulk: Bulk):
    row = {**asked("/v1/chat/completions", 1), "custom_id": None}
    bulk.ask([row])
    await run(bulk)
    bulk.ask([row, {**row, "url": "/v1/messages"}])

    report = await run(bulk)

    assert (report.resumed, report.ok, bulk.requests) == (1, 1, 2)


async def test_equal_bodies_at_two_urls_are_two_rows_also_where_equal_rows_are_sent_once(bulk: Bulk):
    same = {"temperature": 0}
    rows = [asked(url, 1, **same) for url in ("/v1/chat/completions", "/v1/messages")]
    bulk.ask([*rows, *({**row, "custom_id": row["custom_id"] + " again"} for row in rows)])

    report = await run(bulk, dedupe=True)

    assert (report.ok, report.progress.copied, bulk.requests) == (4, 2, 2)


@pytest.mark.parametrize("url", OF_TEXT)
async def test_a_failed_row_is_tried_again_and_an_answered_one_is_never_asked_twice(bulk: Bulk, url: str):
    bulk.ask([asked(url, number) for number in range(6)])
    bulk.simulator.script(Fault("server_error"), Fault("overloaded"))

    first = await run(bulk, concurrency=2)
    sent = bulk.requests
    second = await run(bulk)

    assert (first.ok, first.failed, sent) == (6, 0, 8)
    assert (second.resumed, bulk.requests) == (6, sent)


async def test_a_url_that_no_batch_sends_is_a_bad_row_that_says_where_and_what_is_allowed(bulk: Bulk):
    bulk.ask([asked("/v1/messages", 0), {**asked("/v1/chat/completions", 1), "url": "/v1/images/generations"}])

    report = await run(bulk)

    assert (report.ok, report.failed, report.exit_code, bulk.requests) == (1, 1, ExitCode.ROWS_FAILED, 1)
    error = report.first_failures[0].error
    assert isinstance(error, InputFormatError)
    said = error.message
    assert said.startswith(f"{bulk.source}, line 2: url must be /v1/")
    assert all(url in said for url in URLS)


@pytest.mark.parametrize("url", URLS[1:])
async def test_a_line_whose_body_was_forgotten_is_a_bad_row_and_never_sent_to_chat(bulk: Bulk, url: str):
    messages = [{"role": "user", "content": "Hello"}]
    bulk.ask([{"custom_id": "flat", "method": "POST", "url": url, "messages": messages}])

    report = await run(bulk)

    assert (report.failed, bulk.requests, report.exit_code) == (1, 0, ExitCode.ROWS_FAILED)
    assert f"line 1: url is {url!r}, but there is no body" in bulk.named()["flat"]["error"]["message"]


@pytest.mark.parametrize("url", ["https://example.com/", "/messages", "/v1/chat/completions", "/v1/", 5, None])
async def test_a_column_url_that_names_no_other_endpoint_is_the_users(bulk: Bulk, url: Any):
    bulk.ask([{"custom_id": "page", "url": url, "prompt": "Hello"}])

    report = await run(bulk)

    assert (report.ok, bulk.named()["page"]["deepseek_async"]["columns"]) == (1, {"url": url})


async def test_vectors_at_deepseeks_own_address_are_bad_rows_and_nothing_is_sent(tmp_path: Path):
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps(asked("/v1/embeddings", 1)) + "\n")
    async with AsyncDeepSeek(api_key="sk-test-1234", base_url="https://api.deepseek.com") as client:
        report = await client.batch.run(source, output)

    (failed,) = report.first_failures
    assert (report.failed, failed.attempts, failed.cost) == (1, 0, None)
    assert isinstance(failed.error, InputFormatError)
    assert failed.error.message.startswith(
        f"{source}, line 1: this server has no embeddings, and DeepSeek offers none."
    )
    assert 'endpoints={"embeddings": ' in failed.error.message


async def test_vectors_come_from_the_server_that_was_named_for_them(bulk: Bulk, start: Start):
    other = await start()
    bulk.ask(mixed(10))
    client = AsyncDeepSeek(
        api_key="sk-test-1234",
        base_url=bulk.simulator.base_url,
        endpoints={"embeddings": Endpoint(other.simulator.base_url, "sk-other-1234")},
    )
    async with client:
        report = await client.batch.run(bulk.source, bulk.output)

    assert (report.ok, bulk.requests, other.requests) == (10, 8, 2)


async def test_what_a_job_sets_for_all_rows_is_said_in_each_endpoints_words(bulk: Bulk):
    bulk.ask(
        [
            {**asked(url, 1), "body": {"prompt" if "comp" in url and "chat" not in url else key: text}}
            for url, key, text in (
                ("/v1/chat/completions", "messages", [{"role": "user", "content": "Hi"}]),
                ("/v1/completions", "prompt", "Hi"),
                ("/v1/responses", "input", "Hi"),
                ("/v1/messages", "messages", [{"role": "user", "content": "Hi"}]),
            )
        ]
    )

    report = await run(bulk, thinking="disabled", max_tokens=9, temperature=0.5)

    assert report.ok == 4
    sent = {record.path: record.body for record in bulk.simulator.requests}
    assert all(body["temperature"] == 0.5 and body["model"] == "deepseek-flash" for body in sent.values())
    assert sent["/beta/completions"]["max_tokens"] == sent["/anthropic/v1/messages"]["max_tokens"] == 9
    assert sent["/responses"]["max_output_tokens"] == 9
    assert sent["/responses"]["reasoning"] == {"effort": "none"}
    assert sent["/anthropic/v1/messages"]["thinking"] == {"type": "disabled"}
    assert "thinking" not in sent["/beta/completions"]


@pytest.mark.parametrize("url", ["/v1/completions", "/v1/responses", "/v1/messages"])
async def test_what_an_endpoint_lacks_is_not_dropped_in_silence(bulk: Bulk, url: str):
    bulk.ask([asked(url, 1)])

    report = await run(bulk, logprobs=True)

    assert (report.failed, bulk.requests) == (1, 0)
    assert f"line 1: logprobs is set for all rows, but {url} does not support it" in str(report.first_failures[0].error)


@pytest.mark.parametrize("url", URLS)
async def test_a_map_sends_lines_where_their_url_says_and_gives_the_answer_and_its_text(bulk: Bulk, url: str):
    (result,) = [result async for result in bulk.client.batch.map([asked(url, 1)])]

    assert result.ok
    assert result.answer is not None
    assert result.content == SAYS[url](result.answer.to_dict())
    assert (result.completion is not None) == (url == "/v1/chat/completions")
    assert result.usage is not None
    assert result.usage.prompt_tokens > 0
    assert bulk.simulator.requests[0].path == PATHS[url]


def test_a_map_names_the_request_that_has_a_wrong_url():
    row = RowReader(Defaults()).read({**asked("/v1/messages", 1), "url": "/v1/speech"})

    assert isinstance(row.error, InputFormatError)
    assert row.error.message.startswith("request 1: url must be /v1/chat/completions,")


@pytest.mark.parametrize("url", OF_TEXT)
async def test_answers_that_are_cut_off_are_found_and_run_again_whatever_the_endpoint(bulk: Bulk, url: str):
    name = "max_output_tokens" if url == "/v1/responses" else "max_tokens"
    bulk.ask([asked(url, 0, **{name: 1}), asked(url, 1, **{name: 4000})])
    await run(bulk)

    again = await run(bulk, redo="length", redo_with={"max_tokens": 4000})

    assert (again.ok, again.left) == (1, 0)
    assert bulk.simulator.requests[-1].body[name] == 4000
    assert account_of(LatestRun(read(bulk.output)), price_table()).cut_off == 0


async def test_status_report_and_export_read_every_endpoints_answers(bulk: Bulk):
    bulk.ask(mixed(10))
    report = await run(bulk)
    output = read(bulk.output)

    account = account_of(LatestRun(output), price_table())
    with (bulk.folder / "out.csv").open("wb") as target:
        export(RowsOfInput(output, bulk.source, Defaults()), target, "csv")

    assert (account.ok, account.failed) == (10, 0)
    assert account.cost == pytest.approx(report.cost)
    assert account.tokens.total == report.progress.prompt_tokens + report.progress.completion_tokens
    with (bulk.folder / "out.csv").open(encoding="utf-8", newline="") as exported:
        rows = list(csv.DictReader(exported))
    named = bulk.named()
    assert [row["custom_id"] for row in rows] == [row["custom_id"] for row in mixed(10)]
    for row in rows:
        body = named[row["custom_id"]]["response"]["body"]
        assert row["content"] == (SAYS[url_of(row["custom_id"])](body) or "")
        assert row["model"] == body["model"]
        assert int(row["prompt_tokens"]) > 0
        assert row["finish_reason"] in {"stop", "length", ""}


async def test_a_filter_a_cache_and_listeners_stand_around_rows_of_every_endpoint(start: Start):
    told: list[CallEnded] = []

    def listen(event: object) -> None:
        if isinstance(event, CallEnded):
            told.append(event)

    bulk = await start(client={"cache": True, "content_filter": ContentFilter(secrets="block"), "listeners": [listen]})
    same = {"temperature": 0}
    bulk.ask([asked(url, 1, **(same if url in OF_TEXT else {})) for url in URLS])
    first = await run(bulk)
    sent = bulk.requests
    bulk.output.unlink()
    second = await run(bulk)
    bulk.output.unlink()
    key = {"/v1/completions": "prompt", "/v1/responses": "input", "/v1/embeddings": "input"}
    bulk.ask(
        [
            asked(
                url,
                2,
                **{key.get(url, "messages"): SECRET if url in key else [{"role": "user", "content": SECRET}]},
            )
            for url in URLS
        ]
    )
    third = await run(bulk)

    assert (first.ok, second.ok, second.cost, bulk.requests) == (5, 5, 0.0, sent)
    assert third.failures == {"ContentBlockedError": 5}
    assert len(told) == 15


async def test_a_budget_holds_the_rows_of_every_endpoint(start: Start, tmp_path: Path):
    bulk = await start(client={"budget": Budget(1e-9, path=tmp_path / "budget.sqlite")})
    for url in OF_TEXT:
        bulk.ask([asked(url, 1)])
        report = await run(bulk)
        assert report.exit_code is ExitCode.STOPPED
        assert (report.ok, bulk.requests) == (0, 0)


async def test_the_budget_of_a_job_counts_every_endpoint(bulk: Bulk):
    bulk.ask(mixed(200, OF_TEXT))
    report = await run(bulk, budget=1e-4, concurrency=4)

    assert report.exit_code is ExitCode.STOPPED
    assert 0 < report.ok < 200
    assert report.cost == pytest.approx(bulk.simulator.ledger.dollars)


async def test_a_job_that_is_stopped_drains_rows_of_every_endpoint_and_goes_on(start: Start):
    stopping = AfterCalls(20)
    bulk = await start(client={"listeners": [stopping]})
    bulk.ask(mixed(100))
    job = bulk.client.batch.job(bulk.source, bulk.output, concurrency=10, durability="each")
    stopping.act = job.stop
    first = await job.run()

    second = await run(bulk)

    assert first.exit_code is ExitCode.STOPPED
    assert first.ok + second.ok == 100
    assert second.resumed == first.ok
    assert bulk.requests == 100
    assert bulk.named().keys() == {row["custom_id"] for row in mixed(100)}


def test_a_plan_counts_the_tokens_of_every_endpoints_prompts():
    reader = RowReader(Defaults())
    rows = [reader.read(row) for row in mixed(10, OF_TEXT)]
    estimator = TokenEstimator(None)

    planned = plan(rows, lambda body: estimator.count(encode_request(body), "deepseek-flash"), answer_tokens=300)

    assert (planned.rows, planned.unusable) == (10, 0)
    assert planned.prompt_tokens > 10
    assert planned.answer_tokens == 10 * 16


async def test_a_simulators_answers_are_marked_whatever_the_endpoint(bulk: Bulk):
    bulk.ask(mixed(5))
    await run(bulk)

    assert all(line["deepseek_async"]["simulated"] for line in bulk.lines())


def test_a_result_of_no_row_says_nothing():
    result = BatchResult(index=0)

    assert (result.content, result.reasoning, result.completion, result.usage, result.parsed) == (None,) * 5


def test_every_url_has_a_body_here():
    assert list(BODIES) == [*OF_TEXT, "/v1/embeddings"]
