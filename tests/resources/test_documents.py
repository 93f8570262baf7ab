"""Documents in ``client.files``: sent once, looked for where the answer is lost, and counted by the page."""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from simulating import Simulate
from support.clients import AT_ONCE, Connect
from support.servers import Script, Serve, response
from support.thoroughness import often
from support.waiting import until

from deepseek_async import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AsyncDeepSeek,
    BadRequestError,
    ConfigurationError,
    Endpoint,
    InvalidRequestError,
    Timeouts,
)
from deepseek_async.admission.budget import Budget
from deepseek_async.codec import multipart
from deepseek_async.resources import uploads
from deepseek_async.resources.file_kinds import file_facts, kind_of
from deepseek_async.resources.pdf_pages import most_pages
from deepseek_async.simulator import Fault, Simulator

RATE = {"CNY": 0.1}
TEXT = "text_recognition"
PARSING = 90.0
"""Seconds."""
PNG = b"\x89PNG\r\n\x1a\n"
LONG_AGO = 1


def as_json(value: Any, status: int = 200) -> Script:
    return [response(json.dumps(value).encode(), status, content_type="application/json")]


def pdf(pages: int, *, packed: bool = False, size: int = 0) -> bytes:
    """A PDF of so many pages, its objects in the open or packed."""
    tree = [b"<< /Type /Pages /Count %d /Kids [] >>" % pages, *[b"<< /Type /Page >>"] * pages]
    objects = b"\n".join(tree)
    if packed:
        stream = zlib.compress(objects)
        objects = b"<< /Type /ObjStm /Filter /FlateDecode /Length %d >>\nstream\r\n%b\nendstream" % (
            len(stream),
            stream,
        )
    return b"%PDF-1.7\n" + bytes(size) + b"\n" + objects + b"\n%%EOF"


def posts(server: Simulator) -> int:
    return sum(record.method == "POST" for record in server.requests)


async def upload(client: AsyncDeepSeek, content: bytes = pdf(3), **parameters: Any) -> Any:
    return await client.files.create(file=("a.pdf", content), **{"purpose": TEXT, **parameters})


def lost_at(chance: random.Random, size: int) -> Fault | Timeouts:
    """A cut before the body ends, while the document is parsed, or when it is stored; or the client's time runs out."""
    seconds = (0.01 + chance.random()) * PARSING
    kind = chance.choice(["cut_in_upload", "cut_in_parsing", "cut_in_parsing", "cut_after_parsing", None])
    if kind is None:
        return Timeouts(attempt=seconds)
    return Fault(kind, after_bytes=chance.randrange(size), seconds=seconds)


@pytest.mark.parametrize("seed", range(often(100)))
async def test_a_document_whose_answer_is_lost_at_any_moment_is_billed_once(
    simulate: Simulate, connect: Connect, seed: int
):
    server = await simulate(parse_seconds=PARSING, seed=seed)
    budget = Budget(1.0, path=":memory:")
    client = connect(server.base_url, retry=AT_ONCE, budget=budget, currency_rates=RATE)
    chance = random.Random(seed)
    content = pdf(3, size=chance.choice((10, 400_000)))
    lost = lost_at(chance, len(content))
    if isinstance(lost, Fault):
        server.script(lost)
    made = await upload(client, content, timeout=lost if isinstance(lost, Timeouts) else None)

    assert [(bill.id, dict(bill.fees)) for bill in server.ledger] == [(made.id, {"page": 3})]
    # Of one that broke off at its very end nobody knows whether the service had it all: it counts as charged.
    early = isinstance(lost, Fault) and lost.kind == "cut_in_upload"
    assert {made.fees[0].count} <= ({3, 6} if early else {3})
    assert 1.0 - budget.remaining == pytest.approx(made.fees[0].count * 0.00015)
    assert [file.id for file in await client.files.list()] == [made.id]


async def test_uploads_that_lose_their_answers_side_by_side_get_a_file_each(simulate: Simulate, connect: Connect):
    server = await simulate(parse_seconds=PARSING)
    client = connect(server.base_url, retry=AT_ONCE)
    server.script(*[Fault("cut_in_parsing", seconds=second) for second in range(8)])
    made = await asyncio.gather(*(upload(client) for _ in range(8)))

    assert len({file.id for file in made}) == 8
    assert (posts(server), server.ledger.fees) == (8, {"page": 24})


@pytest.mark.parametrize(
    "name", ["Grüße 世界.pdf", 'a "b".pdf', "two\nlines.pdf", "100%22.pdf", "dir/a.pdf", "a;b=c.pdf"]
)
async def test_a_lost_file_is_found_by_whatever_name_it_has(simulate: Simulate, connect: Connect, name: str):
    server = await simulate()
    server.script(Fault("cut_after_parsing"))
    made = await connect(server.base_url).files.create(file=(name, pdf(3)), purpose=TEXT)
    assert [record.method for record in server.requests] == ["POST", "GET"]
    assert made.bytes == len(pdf(3))


async def test_the_newest_files_are_looked_through_to_the_time_of_the_upload(simulate: Simulate, connect: Connect):
    server = await simulate(parse_seconds=PARSING)
    client = connect(server.base_url, retry=AT_ONCE)
    server.script(Fault("cut_after_parsing"))
    losing = asyncio.ensure_future(upload(client))
    await until(lambda: len(server.requests) == 1)
    others = [client.files.create(file=(f"{n}.jsonl", b"{}"), purpose="fine-tune") for n in range(5)]
    await asyncio.gather(*others)
    made = await losing
    assert (made.filename, posts(server)) == ("a.pdf", 6)


async def test_an_older_file_of_the_same_name_and_size_is_not_taken_for_a_lost_one(serve: Serve, connect: Connect):
    older = {"id": "file-1", "bytes": len(pdf(3)), "created_at": LONG_AGO, "filename": "a.pdf", "purpose": TEXT}
    page = {"data": [older] * 100, "has_more": True}
    failed = as_json({"error": {"message": "no"}}, 500)
    server = await serve(failed, *[as_json(page)] * 3, as_json({"id": "file-2"}))
    assert (await upload(connect(server, retry=AT_ONCE))).id == "file-2"
    assert [request.method for request in server.requests] == ["POST", "GET", "GET", "GET", "POST"]


async def test_a_document_is_waited_for_as_long_as_ten_minutes_and_no_longer(simulate: Simulate, connect: Connect):
    patient = await simulate(parse_seconds=590)
    assert (await upload(connect(patient.base_url))).id
    endless = await simulate(parse_seconds=10_000)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(APITimeoutError) as caught:
        await upload(connect(endless.base_url, retry=AT_ONCE))
    assert caught.value.may_exist
    assert 600 < loop.time() - began < 600 + 200
    assert (posts(patient), posts(endless)) == (1, 1)


async def test_seconds_bound_the_whole_call_and_one_look_is_made_all_the_same(simulate: Simulate, connect: Connect):
    server = await simulate(parse_seconds=PARSING)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(APITimeoutError) as caught:
        await upload(connect(server.base_url, retry=AT_ONCE), timeout=30)
    assert caught.value.may_exist
    assert loop.time() - began < 36
    assert [record.method for record in server.requests] == ["POST", "GET"]


async def test_timeouts_of_ones_own_replace_the_ten_minutes(simulate: Simulate, connect: Connect):
    server = await simulate(parse_seconds=1000)
    assert (await upload(connect(server.base_url), timeout=Timeouts(attempt=1200))).id


async def test_a_caller_who_gives_up_sends_nothing_again_and_is_charged(simulate: Simulate, connect: Connect):
    server = await simulate(parse_seconds=PARSING)
    budget = Budget(1.0, path=":memory:")
    client = connect(server.base_url, retry=AT_ONCE, budget=budget, currency_rates=RATE)
    asking = asyncio.ensure_future(upload(client))
    await until(lambda: len(server.requests) == 1)
    await asyncio.sleep(1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(PARSING)
    assert [record.method for record in server.requests] == ["POST"]
    assert server.ledger.fees == {"page": 3}
    assert 1.0 - budget.remaining == pytest.approx(3 * 0.00015)


@pytest.mark.parametrize(
    ("fault", "charged"),
    [
        ("overloaded", True),
        ("server_error", True),
        ("gateway_timeout", True),
        ("reset_before_headers", True),
        ("bad_request", False),
        ("too_large", False),
    ],
)
async def test_a_document_that_came_to_nothing_is_charged_if_it_may_have_been_parsed(
    simulate: Simulate, connect: Connect, fault: str, charged: bool
):
    server = await simulate()
    budget = Budget(1.0, path=":memory:")
    client = connect(server.base_url, retry=1, budget=budget, currency_rates=RATE)
    server.script(Fault(fault))
    with pytest.raises(APIError) as caught:
        await upload(client)
    assert 1.0 - budget.remaining == pytest.approx(3 * 0.00015 * charged)
    assert bool(caught.value.billed_attempts) is charged


async def test_a_document_that_never_arrived_as_a_whole_costs_nothing(simulate: Simulate, connect: Connect):
    server = await simulate()
    budget = Budget(1.0, path=":memory:")
    client = connect(server.base_url, retry=1, budget=budget, currency_rates=RATE)
    server.script(Fault("cut_in_upload", after_bytes=1000))
    with pytest.raises(APIConnectionError) as caught:
        await upload(client, pdf(3, size=20_000_000))
    assert (caught.value.may_exist, budget.remaining) == (False, 1.0)
    assert [record.method for record in server.requests] == ["POST"]


async def test_attempts_that_failed_are_counted_with_the_one_that_did_not(serve: Serve, connect: Connect):
    failed = as_json({"error": {"message": "no"}}, 500)
    server = await serve(failed, *[as_json({"data": []})] * 3, as_json({"id": "file-2"}))
    budget = Budget(1.0, path=":memory:")
    made = await upload(connect(server, retry=AT_ONCE, budget=budget, currency_rates=RATE))
    assert [(fee.kind, fee.count) for fee in made.fees] == [("page", 6)]
    assert [attempt.failure for attempt in made.billed_attempts] == ["InternalServerError", None]
    assert made.cost == pytest.approx(1.0 - budget.remaining)


@pytest.mark.parametrize("answer", [{}, {"object": "file"}, {"error": {"message": "late"}}])
async def test_a_200_that_names_no_file_is_a_lost_answer(serve: Serve, connect: Connect, answer: Any):
    there = {"id": "file-1", "bytes": len(pdf(3)), "created_at": 2**31, "filename": "a.pdf", "purpose": TEXT}
    server = await serve(as_json(answer), as_json({"data": [there]}))
    assert (await upload(connect(server, retry=AT_ONCE))).id == "file-1"


async def test_a_form_has_its_purpose_and_its_life_before_the_file(serve: Serve, connect: Connect):
    server = await serve(as_json({"id": "file-1", "expires_at": 7}))
    made = await upload(connect(server), expires_after={"anchor": "created_at", "seconds": 3600})
    body = server.requests[0].body
    names = [b'name="purpose"', b'name="expires_after[anchor]"', b'name="expires_after[seconds]"', b'name="file"']
    assert [body.count(name) for name in names] == [1, 1, 1, 1]
    assert sorted(names, key=body.index) == names
    assert b"\r\n\r\n3600\r\n" in body
    assert made.expires_at == 7


def given_as(kind: str, path: Path) -> Any:
    content = path.read_bytes()
    return {
        "path": lambda: path,
        "str": lambda: str(path),
        "bytes": lambda: (path.name, content),
        "bytearray": lambda: (path.name, bytearray(content)),
        "named path": lambda: (path.name, path),
        "open file": lambda: path.open("rb"),
        "named open file": lambda: (path.name, path.open("rb")),
        "in memory": lambda: (path.name, io.BytesIO(content)),
    }[kind]()


@pytest.mark.parametrize(
    "kind", ["path", "str", "bytes", "bytearray", "named path", "open file", "named open file", "in memory"]
)
async def test_a_document_arrives_whole_whatever_it_is_given_as_and_is_told_as_it_goes(
    simulate: Simulate, connect: Connect, tmp_path: Path, kind: str
):
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(3, size=2_000_000))
    server = await simulate()
    told: list[tuple[int, int]] = []
    file = given_as(kind, path)
    made = await connect(server.base_url).files.create(
        file=file, purpose=TEXT, on_progress=lambda sent, size: told.append((sent, size))
    )
    getattr(file[1] if isinstance(file, tuple) else file, "close", lambda: None)()
    size = path.stat().st_size
    assert (made.filename, made.bytes) == ("a.pdf", size)
    assert told == sorted(told)
    assert (len(told) > 4, told[-1]) == (True, (size, size))


async def test_a_file_that_stands_elsewhere_is_sent_from_there(simulate: Simulate, connect: Connect, tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"skipped, sent")
    server = await simulate()
    with path.open("rb") as opened:
        opened.seek(9)
        made = await connect(server.base_url).files.create(file=opened, purpose=TEXT)
    assert made.bytes == 4


async def test_who_is_told_and_fails_does_not_fail_the_upload(
    simulate: Simulate, connect: Connect, caplog: pytest.LogCaptureFixture
):
    told = []

    def progress(sent: int, _: int) -> None:
        told.append(sent)
        raise OSError("no terminal")

    server = await simulate()
    assert (await upload(connect(server.base_url), pdf(3, size=2_000_000), on_progress=progress)).id
    assert len(told) == 1
    assert "on_progress raised" in caplog.text


def _grown(path: Path) -> None:
    with path.open("ab") as written:
        written.write(b"more")


def _rewritten(path: Path) -> None:
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("change", [_grown, _rewritten, lambda path: os.truncate(path, 1_000_000), Path.unlink])
async def test_a_document_that_changes_while_it_is_sent_is_an_error_and_costs_nothing(
    simulate: Simulate, connect: Connect, tmp_path: Path, change: Callable[[Path], None]
):
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(3, size=2_000_000))
    server = await simulate()
    budget = Budget(1.0, path=":memory:")
    client = connect(server.base_url, retry=AT_ONCE, budget=budget, currency_rates=RATE)
    left = [change]

    def progress(*_: int) -> None:
        if left:
            left.pop()(path)

    if change is Path.unlink:
        path.rename(tmp_path / "b.pdf")
        with pytest.raises(InvalidRequestError, match="cannot read file"):
            await client.files.create(file=path, purpose=TEXT)
        return
    with pytest.raises(InvalidRequestError, match="changed while it was read"):
        await client.files.create(file=path, purpose=TEXT, on_progress=progress)
    assert (len(server.requests), len(server.ledger), budget.remaining) == (1, 0, 1.0)


LIFE = {"anchor": "created_at", "seconds": 3600}


@pytest.mark.parametrize(
    ("content", "parameters", "said"),
    [
        (pdf(1), {"purpose": "user_data"}, "kind 'pdf'.*text_recognition or rich_layout_recognition"),
        (b"plain words", {"purpose": "user_data"}, "kind 'text'"),
        (pdf(1), {"purpose": "recognition"}, "user_data or text_recognition or rich_layout_recognition"),
        (pdf(1), {"purpose": ""}, "non-empty"),
        (pdf(1), {"purpose": None}, "non-empty"),
        (b"", {}, "empty"),
        (b"RIFF....WAVEfmt ", {}, "audio file"),
        (b"OggS", {"purpose": "user_data"}, "audio file"),
        (b"x" * (32 * 2**20 + 1), {}, "33,554,432"),
        (PNG + bytes(64 * 2**20), {"purpose": "user_data"}, "67,108,864"),
        (PNG + bytes(64 * 2**20), {}, "67,108,864"),
        (pdf(1), {"expires_after": {**LIFE, "seconds": 3599}}, "3,600 to 2,592,000"),
        (pdf(1), {"expires_after": {**LIFE, "seconds": 2_592_001}}, "3,600 to 2,592,000"),
        (pdf(1), {"expires_after": {**LIFE, "seconds": True}}, "integer"),
        (pdf(1), {"expires_after": {**LIFE, "anchor": "now"}}, "created_at"),
        (pdf(1), {"expires_after": {"seconds": 3600}}, "anchor"),
        (pdf(1), {"expires_after": 3600}, "anchor"),
        (pdf(1), {"pages": 0}, "at least 1"),
    ],
)
async def test_what_is_known_to_be_refused_is_not_sent(
    serve: Serve, connect: Connect, content: bytes, parameters: dict[str, Any], said: str
):
    server = await serve()
    with pytest.raises(InvalidRequestError, match=said) as caught:
        await upload(connect(server), content, **parameters)
    assert not server.requests
    limit = said[0].isdigit() or "kind" in said or "user_data or" in said
    assert not limit or "DeepSeek docs, Files and File Parsing guides, as of 2026-11-26" in str(caught.value)


@pytest.mark.parametrize(("size", "fits"), [(100 * 2**20, True), (100 * 2**20 + 1, False)])
async def test_a_pdf_may_have_100_mib(serve: Serve, connect: Connect, tmp_path: Path, size: int, fits: bool):
    path = tmp_path / "a.pdf"
    with path.open("wb") as written:
        written.write(b"%PDF-1.7")
        written.truncate(size)
    server = await serve(as_json({"error": {"message": "enough"}}, 400))
    with pytest.raises(APIError if fits else InvalidRequestError, match="enough" if fits else "104,857,600"):
        await connect(server).files.create(file=path, purpose=TEXT)
    assert len(server.requests) == fits


@pytest.mark.parametrize("name", ["x" * 513, "report" * 100 + ".pdf"])
async def test_a_name_that_is_too_long_is_not_sent(serve: Serve, connect: Connect, name: str):
    server = await serve()
    with pytest.raises(InvalidRequestError, match="512"):
        await connect(server).files.create(file=(name, pdf(1)), purpose=TEXT)
    assert not server.requests


@pytest.mark.parametrize("file", [("a.pdf", "text"), ("a.pdf",), (b"a.pdf", b"x"), 7, ("a.txt", io.StringIO("x"))])
async def test_what_is_no_file_is_said_to_be_none(serve: Serve, connect: Connect, file: Any):
    server = await serve()
    with pytest.raises(InvalidRequestError, match="file must be"):
        await connect(server).files.create(file=file, purpose=TEXT)


async def test_another_server_takes_what_it_likes(simulate: Simulate, connect: Connect):
    server = await simulate()
    client = connect("http://127.0.0.1:9", endpoints={"files": Endpoint(server.base_url, "sk-other-0123456789")})
    assert (await client.files.create(file=("a.bin", pdf(1)), purpose="user_data")).id
    assert (await client.files.create(file=("a.bin", b"x"), purpose="of its own")).id


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"%PDF-1.4", "pdf"),
        (PNG, "picture"),
        (b"RIFF....WEBPVP8 ", "picture"),
        (b"PK\x03\x04" + bytes(70_000) + b"word/document.xml", "word"),
        (b"PK\x03\x04" + b"ppt/presentation.xml", "powerpoint"),
        (b"PK\x03\x04" + b"xl/workbook.xml", "table"),
        (b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/epub+zip", "e-book"),
        (bytes(60) + b"BOOKMOBI", "e-book"),
        ("Grüße\n世界".encode(), "text"),
        (("世" * 2000).encode(), "text"),
        (b"\xd0\xcf\x11\xe0", None),
        (b"PK\x03\x04 something else", None),
        (bytes(10), None),
    ],
)
def test_a_kind_is_told_by_content(content: bytes, kind: str | None):
    assert kind_of(content) == kind
    assert kind is None or kind in file_facts().most_bytes


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("before", [0, (1 << 20) - 30, 3_000_000])
def test_pages_are_counted_wherever_the_tree_stands(packed: bool, before: int):
    assert most_pages(pdf(250, packed=packed, size=before)) == 250


def test_a_page_tree_that_cannot_be_read_is_no_count():
    assert most_pages(b"%PDF") is None
    assert most_pages(pdf(2) + b"<< /Type /ObjStm >>\nstream\nencrypted\nendstream") is None
    assert most_pages(pdf(2) + b"<< /Type /ObjStm >>") is None


@pytest.mark.parametrize(
    ("content", "parameters", "pages"),
    [
        (pdf(12), {}, 12),
        (PNG, {}, 1),
        (b"words", {}, 1_000),
        (b"words", {"pages": 2}, 2),
        (pdf(1200), {"pages": None}, 1_200),
    ],
)
async def test_so_many_pages_are_held_and_counted(
    simulate: Simulate, connect: Connect, content: bytes, parameters: dict[str, Any], pages: int
):
    server = await simulate()
    budget = Budget(1.0, path=":memory:")
    client = connect(server.base_url, budget=budget, currency_rates=RATE)
    made = await upload(client, content, **parameters)
    assert [(fee.kind, fee.count, fee.cny) for fee in made.fees] == [("page", pages, pytest.approx(pages * 0.0015))]
    assert 1.0 - budget.remaining == pytest.approx(pages * 0.00015)
    assert server.ledger.fees["page"] <= pages


async def test_what_takes_long_of_a_large_file_is_done_off_the_event_loop(
    simulate: Simulate, connect: Connect, monkeypatch: pytest.MonkeyPatch
):
    threads: list[int] = []

    def noted(done: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def do(content: Any) -> Any:
            threads.append(threading.get_ident())
            return done(content)

        return do

    monkeypatch.setattr(multipart, "digest_of", noted(multipart.digest_of))
    monkeypatch.setattr(uploads, "most_pages", noted(uploads.most_pages))
    client = connect((await simulate()).base_url)
    await upload(client, pdf(3, size=3_000_000))
    await client.tools.ocr(("a.pdf", pdf(3, size=3_000_000)), purpose=TEXT)
    assert len(threads) == 3
    assert threading.get_ident() not in threads


async def test_only_documents_cost_anything_and_their_fee_in_yuan_is_held_by_a_rate_only(
    simulate: Simulate, connect: Connect
):
    server = await simulate()
    budget = Budget(1.0, path=":memory:")
    client = connect(server.base_url, budget=budget)
    with pytest.raises(ConfigurationError, match=r"page.*currency_rates"):
        await upload(client)
    assert not server.requests
    made = await client.files.create(file=("a.png", PNG), purpose="user_data")
    assert ((await client.files.retrieve(made.id)).fees, made.fees, budget.remaining) == ((), (), 1.0)


async def test_files_are_listed_in_pages(simulate: Simulate, connect: Connect):
    client = connect((await simulate()).base_url)
    ids = [(await upload(client, purpose=purpose)).id for purpose in (TEXT, "rich_layout_recognition", TEXT)]
    first = await client.files.list(limit=2)
    rest = await client.files.list(limit=2, after=first.last_id)
    assert [[file.id for file in page] for page in (first, rest)] == [ids[:2], ids[2:]]
    assert (first.has_more, rest.has_more) == (True, False)
    assert [file.id for file in await client.files.list(order="desc", purpose=TEXT)] == [ids[2], ids[0]]


WORDS = " ".join(f"word{number}" for number in range(400))


async def on_chat(client: AsyncDeepSeek, file: str) -> tuple[str, int]:
    parts = [{"type": "text", "text": "Summarise."}, {"type": "file", "file_id": file}]
    done = await client.chat.completions.create(
        model="deepseek-flash", messages=[{"role": "user", "content": parts}], lint="error"
    )
    return done.choices[0].message.content or "", done.usage.prompt_tokens


async def on_responses(client: AsyncDeepSeek, file: str) -> tuple[str, int]:
    parts = [{"type": "input_text", "text": "Summarise."}, {"type": "input_file", "file_id": file}]
    done = await client.responses.create(model="deepseek-flash", input=[{"role": "user", "content": parts}])
    return done.output_text, done.usage.input_tokens


async def on_messages(client: AsyncDeepSeek, file: str) -> tuple[str, int]:
    document = {"type": "document", "source": {"type": "file", "file_id": file}}
    parts = [{"type": "text", "text": "Summarise."}, document]
    done = await client.messages.create(
        model="deepseek-flash", messages=[{"role": "user", "content": parts}], lint="error"
    )
    return done.text, done.usage.input_tokens


@pytest.mark.parametrize("ask", [on_chat, on_responses, on_messages])
async def test_a_document_is_read_on_every_protocol_until_it_is_deleted(simulate: Simulate, connect: Connect, ask: Any):
    budget = Budget(10.0, path=":memory:")
    server = await simulate(live_only=True, prefix_cache=False)
    client = connect(server.base_url, budget=budget, currency_rates=RATE)
    made = await upload(client, WORDS.encode(), pages=1)
    before = budget.remaining
    said, tokens = await ask(client, made.id)
    assert "Summarise." in said
    assert tokens > 400
    assert 0 < before - budget.remaining < 0.01, "what is held for a document is given back"
    assert (await client.files.delete(made.id)).deleted
    with pytest.raises(BadRequestError, match=f"{made.id} does not exist"):
        await ask(client, made.id)


MEMORY = """
import asyncio, json, sys
from deepseek_async import AsyncDeepSeek

def peak():  # in KiB; what getrusage says begins with what the parent process has used
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])

async def serve(reader, writer):
    while True:
        head = await reader.readuntil(b"\\r\\n\\r\\n")
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\\r\\n")[0])
        while size:
            size -= len(await reader.read(min(size, 65536)))
        answer = b'{"id": "file-1"}'
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n%b"
                     % (len(answer), answer))
        await writer.drain()

async def main(small, large, how):
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with AsyncDeepSeek(api_key="sk-test", base_url=f"http://127.0.0.1:{port}") as client:
        async def send(path):
            with open(path, "rb") as opened:
                file = opened if how == "open file" else path
                await client.files.create(file=file, purpose="text_recognition", on_progress=lambda *_: None)
        await send(small)
        before = peak()
        await send(large)
        print(peak() - before)
    server.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("how", ["path", "open file"])
def test_a_document_of_100_mib_adds_less_than_8_mib_of_memory(tmp_path: Path, how: str):
    small, large = tmp_path / "small.pdf", tmp_path / "large.pdf"
    small.write_bytes(pdf(2, size=3_000_000))
    with large.open("wb") as written:
        written.write(pdf(2))
        written.truncate(100 * 2**20)
    ran = subprocess.run(
        [sys.executable, "-c", MEMORY, str(small), str(large), how], capture_output=True, text=True, check=True
    )
    assert int(ran.stdout) < 8 * 1024
