"""OpenAI's Batch API at a gateway, asked by openai-python."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from decimal import Decimal
from typing import Any

import openai
import pytest
from gateways import CHAT, MODEL, QUESTION, Gated, StartGateway, batch_line, jsonl
from openai.types import Batch

from deepseek_async.gateway import AsyncGateway
from deepseek_async.gateway.batches import runner
from deepseek_async.gateway.batches.input_check import CheckedInput, check_input
from deepseek_async.simulator.faults import Fault, FaultKind


def rows(count: int) -> bytes:
    return jsonl([batch_line(number) for number in range(count)])


async def uploaded(client: openai.AsyncOpenAI, content: bytes) -> str:
    return (await client.files.create(file=("prompts.jsonl", content), purpose="batch")).id


async def started(client: openai.AsyncOpenAI, content: bytes, **options: Any) -> Batch:
    given = {"endpoint": CHAT, "completion_window": "24h", **options}
    return await client.batches.create(input_file_id=await uploaded(client, content), **given)


async def ended(client: openai.AsyncOpenAI, batch: Batch) -> Batch:
    while batch.status not in {"completed", "failed", "expired", "cancelled"}:
        await asyncio.sleep(0.02)  # a poll over HTTP, as users do it
        batch = await client.batches.retrieve(batch.id)
    return batch


async def lines_of(client: openai.AsyncOpenAI, file_id: str | None) -> list[dict[str, Any]]:
    if file_id is None:
        return []
    return [json.loads(line) for line in (await client.files.content(file_id)).text.splitlines()]


async def test_every_row_is_answered_once_in_openais_form(gated: Gated):
    async with gated.openai() as client:
        batch = await ended(
            client, await started(client, jsonl([batch_line(n) for n in range(20)]), metadata={"a": "b"})
        )
        answers = await lines_of(client, batch.output_file_id)

    assert (batch.status, batch.error_file_id, batch.metadata) == ("completed", None, {"a": "b"})
    assert batch.request_counts is not None
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (20, 20, 0)
    assert sorted(line["custom_id"] for line in answers) == sorted(f"row-{n}" for n in range(20))
    assert all(set(line) == {"id", "custom_id", "response", "error"} and line["error"] is None for line in answers)
    assert all(line["response"]["body"]["choices"][0]["message"]["content"] for line in answers)
    assert batch.usage is not None
    ledger = gated.simulator.ledger
    assert batch.usage.input_tokens == sum(entry.prompt_tokens for entry in ledger)


async def test_rows_that_are_refused_are_in_the_error_file_with_the_servers_answer(gated: Gated):
    gated.simulator.script(Fault(FaultKind.BAD_REQUEST))
    async with gated.openai() as client:
        batch = await ended(client, await started(client, jsonl([batch_line(n) for n in range(3)])))
        answers = await lines_of(client, batch.output_file_id)
        errors = await lines_of(client, batch.error_file_id)

    assert batch.request_counts is not None
    assert (batch.status, batch.request_counts.completed, batch.request_counts.failed) == ("completed", 2, 1)
    assert len(answers) == 2
    assert [line["response"]["status_code"] for line in errors] == [400]
    assert errors[0]["response"]["body"]["error"]["message"]
    assert errors[0]["error"] is None
    assert {line["custom_id"] for line in answers + errors} == {"row-0", "row-1", "row-2"}


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


NOT_JSON = ("invalid_json_line", None)


@pytest.mark.parametrize(
    ("bad", "code", "param"),
    [
        (b"{", "invalid_json_line", None),
        (b"[1]", "invalid_json_line", None),
        ({**batch_line(1), "custom_id": None}, "missing_required_parameter", "custom_id"),
        ({**batch_line(1), "body": None}, "missing_required_parameter", "body"),
        (batch_line(0), "duplicate_custom_id", "custom_id"),
        (batch_line(1, method="GET"), "invalid_method", "method"),
        (batch_line(1, url="/v1/embeddings"), "url_mismatch", "url"),
        (batch_line(1, body=[]), "invalid_request", "body"),
        (batch_line(1, custom_id=7), "invalid_custom_id", "custom_id"),
        (batch_line(1, custom_id="a\nb"), "invalid_custom_id", "custom_id"),
        (batch_line(1, custom_id="\ud800"), "invalid_json_line", None),
        (batch_line(1, body={"model": MODEL, "messages": QUESTION, "x": nested(300)}), "invalid_json_line", None),
        (batch_line(1, body={"model": MODEL, "messages": QUESTION, "temperature": float("nan")}), *NOT_JSON),
        (batch_line(1, body={"model": MODEL, "messages": QUESTION, "stream": True}), "invalid_request", "body.stream"),
    ],
)
async def test_a_bad_line_fails_the_batch_before_anything_is_paid(gated: Gated, bad: Any, code: str, param: str | None):
    async with gated.openai() as client:
        batch = await ended(client, await started(client, jsonl([batch_line(0), bad])))

    assert batch.status == "failed"
    assert batch.errors is not None
    assert batch.errors.data is not None
    assert [(error.code, error.line, error.param) for error in batch.errors.data] == [(code, 2, param)]
    assert gated.simulator.statistics().requests == 0


async def test_a_line_above_the_limit_fails_the_batch(gated: Gated, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "MAX_ROW_BYTES", 1_000)
    async with gated.openai() as client:
        batch = await ended(client, await started(client, rows(1) + b'{"custom_id": "' + b"x" * 100_000))

    assert batch.errors is not None
    assert [(each.line, each.message) for each in batch.errors.data or ()] == [
        (2, "This line has 100,015 bytes; at most 1,000 are allowed.")
    ]


async def test_an_empty_file_fails_the_batch(gated: Gated):
    for content in (b"", b"\n \n", b"\xef\xbb\xbf"):
        async with gated.openai() as client:
            batch = await ended(client, await started(client, content))

        assert batch.errors is not None
        assert [error.code for error in batch.errors.data or ()] == ["empty_file"]


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"completion_window": "1 week"}, "completion_window"),
        ({"completion_window": "0h"}, "completion_window"),
        ({"completion_window": "31d"}, "completion_window"),
        ({"endpoint": "/v1/images/generations"}, "endpoint"),
        ({"metadata": {"a": "b" * 513}}, "metadata"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
    ],
)
async def test_a_batch_that_cannot_be_is_refused(gated: Gated, changed: dict[str, Any], param: str):
    async with gated.openai() as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await started(client, jsonl([batch_line(0)]), **changed)

    assert caught.value.param == param


async def test_a_file_that_is_not_there_or_no_batch_input_is_refused(gated: Gated):
    async with gated.openai() as client:
        for file_id in ("file-000000000000000000000000", "../keys.json", ""):
            with pytest.raises(openai.BadRequestError):
                await client.batches.create(input_file_id=file_id, endpoint=CHAT, completion_window="24h")


ODD = {
    "leading space": b"  \t%b",
    "carriage return": b"%b\r",
    "line separator \u2028": b"%b",
    "right to left \u202e": b"%b",
    "\U0001f600": b"%b",
    " ": b"%b",
    "x" * 5_000: b"%b",
}
"""Lines that are unusual and valid, by the id of their row."""
REFUSED: list[dict[str, Any]] = [
    {},
    {"model": 5, "messages": QUESTION},
    {"model": MODEL, "messages": "Hi"},
    {"model": "gpt-9", "messages": QUESTION},
    {"model": MODEL, "messages": QUESTION, "max_tokens": 10**30},
    {"model": MODEL, "messages": QUESTION, "response_format": {"type": "json_schema"}},
]


@pytest.mark.filterwarnings("ignore::deepseek_async.lint.finding.RequestLintWarning")
async def test_every_row_that_was_accepted_ends_under_its_own_id_in_a_line_of_its_own(gated: Gated):
    good = [shape % json.dumps(batch_line(0, custom_id=name)).encode() for name, shape in ODD.items()]
    bad = [batch_line(0, custom_id=f"bad-{n}", body=body) for n, body in enumerate(REFUSED)]
    doubled = b'{"custom_id": "first", ' + json.dumps(batch_line(0, custom_id="last")).encode()[1:]
    async with gated.openai() as client:
        batch = await ended(client, await started(client, jsonl([*good, *bad, doubled])))
        answers = await lines_of(client, batch.output_file_id)
        errors = await lines_of(client, batch.error_file_id)

    assert batch.status == "completed"
    assert {line["custom_id"] for line in answers} == {*ODD, "last"}
    assert sorted(line["custom_id"] for line in errors) == [f"bad-{n}" for n in range(len(REFUSED))]
    assert len(answers) + len(errors) == len(ODD) + len(REFUSED) + 1
    assert str(gated.folder) not in json.dumps([answers, errors])


async def test_a_batch_is_cancelled_while_its_file_is_checked_once_or_twice(
    gated: Gated, monkeypatch: pytest.MonkeyPatch
):
    checking, go_on = threading.Event(), threading.Event()

    def slowly(*arguments: Any, **options: Any) -> CheckedInput:
        checking.set()
        assert go_on.wait(60)
        return check_input(*arguments, **options)

    monkeypatch.setattr(runner, "check_input", slowly)
    async with gated.openai() as client:
        batch = await started(client, rows(30))
        assert await asyncio.to_thread(checking.wait, 60)
        statuses = [(await client.batches.cancel(batch.id)).status for _ in range(2)]
        go_on.set()
        batch = await ended(client, batch)
        errors = await lines_of(client, batch.error_file_id)

    assert statuses == ["cancelling", "cancelling"]
    assert (batch.status, batch.output_file_id) == ("cancelled", None)
    assert Counter(line["custom_id"] for line in errors) == {f"row-{n}": 1 for n in range(30)}
    assert gated.simulator.statistics().requests == 0


async def test_a_batch_does_not_say_where_its_gateway_keeps_its_files(gateway: StartGateway):
    gated = await gateway(balance=Decimal(0))
    async with gated.openai() as client:
        batch = await started(client, rows(1))
        while not (batch.model_extra or {})["waiting_for"]:
            await asyncio.sleep(0.02)  # a poll over HTTP, as users do it
            batch = await client.batches.retrieve(batch.id)
        (gated.folder / "files" / batch.input_file_id).rename(gated.folder / "elsewhere")
        while "does not exist" not in ((batch.model_extra or {})["waiting_for"] or ""):
            await gated.gateway.use(gated.gateway.client)
            batch = await client.batches.retrieve(batch.id)

    assert (batch.model_extra or {})["waiting_for"] == f"the input files/{batch.input_file_id} does not exist"


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("limit=3", 3),
        ("limit=2&after={first}", 2),
        ("after={last}", 0),
        ("after=", 3),
        ("purpose=batch_output", 0),
        *(
            (f"limit={limit}", "limit must be from 1 to 10000")
            for limit in ("0", "-1", "10001", "1.5", "x", "", "%D9%A3")
        ),
        ("after=file-x", "after names no object of this list"),
        ("order=up", "order must be 'asc' or 'desc'"),
    ],
)
async def test_a_page_has_what_was_asked_for_or_says_what_may_be(gated: Gated, query: str, shown: int | str):
    async with gated.openai() as client:
        for _ in range(3):
            await uploaded(client, b"{}\n")
        listed = [each.id async for each in client.files.list()]

    status, page = await gated.ask("GET", f"/v1/files?{query.format(first=listed[0], last=listed[-1])}")

    if isinstance(shown, int):
        assert (status, len(page["data"]), page["has_more"]) == (200, shown, False)
    else:
        assert (status, shown in page["error"]["message"]) == (400, True), page


async def test_a_cancelled_batch_keeps_what_was_answered_and_names_the_rest(gateway: StartGateway):
    gated = await gateway(latency=0.2, concurrency_limit=4)
    async with gated.openai() as client:
        batch = await started(client, rows(60))
        while not batch.request_counts or not batch.request_counts.completed:
            await asyncio.sleep(0.02)  # a poll over HTTP, as users do it
            batch = await client.batches.retrieve(batch.id)
        assert (await client.batches.cancel(batch.id)).status in {"cancelling", "cancelled"}
        batch = await ended(client, batch)
        answers = await lines_of(client, batch.output_file_id)
        errors = await lines_of(client, batch.error_file_id)

    assert batch.status == "cancelled"
    assert {line["error"]["code"] for line in errors} == {"batch_cancelled"}
    assert len(answers) + len(errors) == 60
    assert {line["custom_id"] for line in answers + errors} == {f"row-{n}" for n in range(60)}
    assert gated.simulator.statistics().served == len(answers)


async def test_an_ended_batch_cannot_be_cancelled(gated: Gated):
    async with gated.openai() as client:
        batch = await ended(client, await started(client, jsonl([batch_line(0)])))
        with pytest.raises(openai.ConflictError):
            await client.batches.cancel(batch.id)


async def test_a_batch_goes_on_at_the_next_start(gateway: StartGateway):
    gated = await gateway(latency=0.1, concurrency_limit=4)
    async with gated.openai() as client:
        batch = await started(client, rows(40))
        while not batch.request_counts or not batch.request_counts.completed:
            await asyncio.sleep(0.02)  # a poll over HTTP, as users do it
            batch = await client.batches.retrieve(batch.id)
    await gated.gateway.aclose()

    async with AsyncGateway(gated.gateway.client, folder=gated.folder, port=0) as again:
        gated.gateway = again
        async with gated.openai() as client:
            batch = await ended(client, await client.batches.retrieve(batch.id))
            answers = await lines_of(client, batch.output_file_id)

    assert batch.status == "completed"
    assert sorted(line["custom_id"] for line in answers) == sorted(f"row-{n}" for n in range(40))
    assert gated.simulator.statistics().served == 40


async def test_a_batch_waits_while_the_account_cannot_pay_and_says_so(gateway: StartGateway):
    gated = await gateway(balance=Decimal(0))
    async with gated.openai() as client:
        batch = await started(client, rows(1))
        while not (batch.model_extra or {})["waiting_for"]:
            await asyncio.sleep(0.02)  # a poll over HTTP, as users do it
            batch = await client.batches.retrieve(batch.id)

    assert batch.status == "in_progress"
    assert "balance" in (batch.model_extra or {})["waiting_for"].lower()


async def test_lists_have_pages(gated: Gated):
    async with gated.openai() as client:
        made = [await uploaded(client, jsonl([batch_line(n)])) for n in range(5)]
        page = await client.files.list(limit=2)
        listed = [each.id async for each in client.files.list(limit=2)]
        batches = [
            (await client.batches.create(input_file_id=each, endpoint=CHAT, completion_window="24h")).id
            for each in made
        ]
        found = [each.id async for each in client.batches.list(limit=2)]

    assert len(page.data) == 2
    assert page.has_more
    assert sorted(listed) == sorted(made)
    assert sorted(found) == sorted(batches)


async def test_a_file_is_listed_read_and_deleted(gated: Gated):
    content = jsonl([batch_line(0)])
    async with gated.openai() as client:
        file_id = await uploaded(client, content)
        assert (await client.files.retrieve(file_id)).filename == "prompts.jsonl"
        assert (await client.files.content(file_id)).content == content
        assert (await client.files.delete(file_id)).deleted
        with pytest.raises(openai.NotFoundError):
            await client.files.retrieve(file_id)
    assert [path.name for path in (gated.folder / "files").iterdir()] == []


@pytest.mark.parametrize("name", ["../../evil", "a/b\\c", 'quote".jsonl', "line\r\nSet-Cookie: a=b", "\u202egpj.exe"])
async def test_a_file_name_reaches_no_path_and_no_header(gated: Gated, name: str):
    async with gated.openai() as client:
        made = await client.files.create(file=(name, b"{}\n"), purpose="batch")
        answered = await client.files.with_raw_response.content(made.id)

    assert "set-cookie" not in answered.headers
    assert answered.headers["content-disposition"].startswith("attachment; filename=")
    assert {path.parent for path in gated.folder.rglob("*") if path.is_file()} <= {
        gated.folder,
        gated.folder / "files",
        gated.folder / "batches",
    }


async def test_several_endpoints_have_batches(gated: Gated):
    async with gated.openai() as client:
        for url, body in (
            ("/v1/responses", {"model": MODEL, "input": "Hello"}),
            ("/v1/completions", {"model": MODEL, "prompt": "Hello", "max_tokens": 5}),
            ("/v1/embeddings", {"model": "text-embedding", "input": "Hello"}),
        ):
            line = {"custom_id": "a", "method": "POST", "url": url, "body": body}
            batch = await ended(client, await started(client, jsonl([line]), endpoint=url))
            assert batch.status == "completed", url
            assert batch.output_file_id is not None, url
