"""Documents as the rows of a job: known by their content, read once, and again where a page is incomplete."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from bulk import Bulk, Start, read_lines

from deepseek_async import ConfigurationError, InputChangedError
from deepseek_async.batch import BatchReport, ExitCode
from deepseek_async.batch.journal.merge import merge
from deepseek_async.batch.review.export import export
from deepseek_async.batch.review.job_summary import account_of
from deepseek_async.batch.review.output_reader import OutputReader
from deepseek_async.batch.review.row_selection import LatestRun
from deepseek_async.pricing.prices import price_table
from deepseek_async.resources.standalone.documents import MAX_BYTES
from deepseek_async.simulator import Fault

RATE = {"currency_rates": {"CNY": 0.1}}
Read = Callable[..., Awaitable[BatchReport]]


def written(folder: Path, number: int, pages: int = 1, start: int = 0) -> list[Path]:
    """So many documents, each of its own, of so many pages."""
    paths = [folder / f"{start + place}.txt" for place in range(number)]
    for place, path in enumerate(paths):
        path.write_text("\f".join(f"Document {start + place}, page {page}" for page in range(pages)))
    return paths


async def read(bulk: Bulk, files: list[Path], **options: Any) -> BatchReport:
    return await bulk.client.batch.ocr(files, bulk.output, **options).run()


def texts(bulk: Bulk) -> dict[str, str]:
    """What was read, by file: of several lines for one, the last."""
    lines = [line for line in bulk.lines() if line["error"] is None]
    return {line["deepseek_async"]["columns"]["file"]: line["response"]["body"]["pages"][0]["text"] for line in lines}


async def test_each_document_is_a_row_with_its_name_and_what_the_service_read(bulk: Bulk, tmp_path: Path):
    files = written(tmp_path, 5, pages=2)

    report = await read(bulk, files)

    assert (report.ok, report.failed, report.exit_code) == (5, 0, ExitCode.OK)
    assert texts(bulk) == {str(path): f"Document {number}, page 0" for number, path in enumerate(files)}
    assert [(fee.kind, fee.count) for fee in report.fees] == [("page", 10)]
    assert report.carried == []


async def test_a_document_is_known_by_its_content_and_not_by_name_or_position(bulk: Bulk, tmp_path: Path):
    files = written(tmp_path, 4)
    await read(bulk, files)
    renamed = [path.rename(path.with_suffix(".pdf")) for path in files]

    report = await read(bulk, renamed[::-1])

    assert (report.resumed, report.ok, bulk.requests) == (4, 0, 4)


def exported(output: Path) -> list[tuple[str, str]]:
    """File and text of each document of the latest run, in its order."""
    found, target = OutputReader(output), io.BytesIO()
    found.read()
    export(LatestRun(found), target, "csv")
    return [(row["file"], row["content"]) for row in csv.DictReader(io.StringIO(target.getvalue().decode()))]


@pytest.mark.parametrize("latest_first", [False, True], ids=["in order", "turned round"])
async def test_each_text_stands_under_the_name_that_its_document_has_now_and_nothing_is_read_for_that(
    bulk: Bulk, tmp_path: Path, latest_first: bool
):
    one, two, three = written(tmp_path, 3)
    await read(bulk, [one, two, three])
    new = three.rename(tmp_path / "new.txt")
    texts_now = {str(two): "Document 0, page 0", str(one): "Document 1, page 0", str(new): "Document 2, page 0"}
    one.rename(three)
    two.rename(one)
    three.rename(two)
    asked = [two, one, new][:: -1 if latest_first else 1]

    again = await read(bulk, asked)
    size = bulk.output.stat().st_size
    once_more = await read(bulk, asked)

    assert (again.resumed, again.ok, again.cost, again.exit_code, bulk.requests) == (3, 0, 0.0, ExitCode.OK, 3)
    assert exported(bulk.output) == [(str(path), texts_now[str(path)]) for path in asked]
    assert texts(bulk) == {**texts(bulk), **texts_now}
    found = OutputReader(bulk.output)
    found.read()
    account = account_of(LatestRun(found), price_table())
    assert (account.ok, account.failed, account.replaced) == (3, 0, 0)
    assert (once_more.resumed, bulk.output.stat().st_size) == (3, size)


async def test_a_name_that_is_no_utf8_is_sent_as_far_as_it_is_a_text_and_stops_no_job(bulk: Bulk, tmp_path: Path):
    named = tmp_path / os.fsdecode(b"x\xff.txt")
    try:
        named.write_text("A text")
    except OSError:
        pytest.skip("this file system has no such names")

    report = await read(bulk, [*written(tmp_path, 1), named])
    again = await read(bulk, [*written(tmp_path, 1), named])

    assert (report.ok, report.exit_code, again.resumed, bulk.requests) == (2, ExitCode.OK, 2, 2)
    assert len(bulk.lines()) == 2
    assert (await bulk.client.tools.ocr(named, purpose="text_recognition")).text == "A text"


async def test_a_changed_document_leaves_its_name_and_an_equal_one_has_its_own(bulk: Bulk, tmp_path: Path):
    (first,) = written(tmp_path, 1)
    copied = Path(shutil.copy(first, tmp_path / "copied.txt"))
    await read(bulk, [first, copied])
    first.write_text("Changed")

    report = await read(bulk, [first, copied])

    assert (report.ok, report.resumed, bulk.requests) == (1, 1, 3)
    assert exported(bulk.output) == [(str(first), "Changed"), (str(copied), "Document 0, page 0")]


async def test_a_merged_output_has_the_latest_names(bulk: Bulk, tmp_path: Path):
    files = written(tmp_path, 2)
    await read(bulk, files)
    renamed = [path.rename(path.with_suffix(".pdf")) for path in files]
    await read(bulk, renamed)
    merged = tmp_path / "merged.jsonl"

    merge([bulk.output], merged)

    assert exported(merged) == [(str(path), f"Document {number}, page 0") for number, path in enumerate(renamed)]
    assert {line["deepseek_async"]["columns"]["file"] for line in read_lines(merged)} == {*map(str, renamed)}


async def test_new_documents_are_read_and_known_ones_are_not(bulk: Bulk, tmp_path: Path):
    files = written(tmp_path, 3)
    await read(bulk, files)

    report = await read(bulk, [*files, *written(tmp_path, 2, start=3)])

    assert (report.resumed, report.ok, bulk.requests) == (3, 2, 5)


async def test_equal_documents_have_a_row_each(bulk: Bulk, tmp_path: Path):
    (first,) = written(tmp_path, 1)
    copied = Path(shutil.copy(first, tmp_path / "copied.txt"))

    report = await read(bulk, [first, copied])
    again = await read(bulk, [copied, first])

    assert (report.ok, again.resumed, again.ok) == (2, 2, 0)
    assert {line["custom_id"] for line in bulk.lines()} == {line["custom_id"] for line in bulk.lines()[:2]}


async def test_a_document_of_which_a_page_is_incomplete_is_read_again_by_the_next_run(start: Start, tmp_path: Path):
    bulk = await start(cut_every_page=2)
    whole, cut = written(tmp_path, 1), written(tmp_path, 1, pages=2, start=1)

    first = await read(bulk, [*whole, *cut])
    second = await read(bulk, [*whole, *cut])

    assert (first.ok, first.cut_off, first.exit_code) == (2, 1, ExitCode.STOPPED)
    assert (second.ok, second.resumed, second.cut_off, second.exit_code) == (1, 1, 1, ExitCode.STOPPED)
    assert bulk.requests == 3


async def test_what_cannot_be_sent_is_a_failed_row_that_names_it_and_nothing_is_sent_for_it(bulk: Bulk, tmp_path: Path):
    good, empty, recording, missing, large, folder = (
        *written(tmp_path, 1),
        *(tmp_path / name for name in ("empty.pdf", "said.ogg", "missing.pdf", "large.pdf", "folder.pdf")),
    )
    empty.write_bytes(b"")
    recording.write_bytes(b"OggS and so on")
    with large.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    folder.mkdir()
    pipe = tmp_path / "pipe.pdf"
    os.mkfifo(pipe)

    report = await read(bulk, [good, empty, recording, missing, large, folder, pipe])

    assert (report.ok, report.failed, report.exit_code, bulk.requests) == (1, 6, ExitCode.ROWS_FAILED, 1)
    assert report.failures == {"InputFormatError": 6}
    said = {
        line["deepseek_async"]["columns"]["file"]: line["error"]["message"] for line in bulk.lines() if line["error"]
    }
    for path, reason in (
        (empty, " is empty"),
        (recording, " is an audio file; use client.tools.transcribe"),
        (missing, ": cannot be read: No such file or directory"),
        (large, f" has {MAX_BYTES + 1:,} bytes"),
        (folder, ": not a regular file"),
        (pipe, ": not a regular file"),
    ):
        assert said[str(path)].startswith(f"{path}{reason}")


async def test_a_document_that_changes_before_it_is_sent_fails_and_is_another_one_in_the_next_run(
    start: Start, tmp_path: Path
):
    files = written(tmp_path, 3)
    bulk = await start(client={"listeners": [lambda _: files[2].write_text("Another")]})

    report = await read(bulk, files, concurrency=1)
    again = await read(bulk, files)

    assert (report.ok, report.failed) == (2, 1)
    (failed,) = report.first_failures
    assert f"file {files[2]} changed while it was read" in str(failed.error)
    assert (again.resumed, again.ok) == (2, 1)
    assert texts(bulk)[str(files[2])] == "Another"


async def test_the_cost_is_what_the_service_billed(start: Start, tmp_path: Path):
    bulk = await start(client=RATE)
    report = await read(bulk, written(tmp_path, 6, pages=3))

    ledger = bulk.simulator.ledger
    output = OutputReader(bulk.output)
    output.read()
    account = account_of(LatestRun(output), price_table().with_rates(RATE["currency_rates"]))
    assert ledger.fees == {"page": 18}
    assert sum(fee.cny for fee in report.fees) == pytest.approx(ledger.nano_yuan / 1e9)
    assert (report.cost, account.cost) == pytest.approx((ledger.nano_yuan / 1e9 * 0.1,) * 2)
    assert (account.tokens.total, account.unpriced) == (0, 0)


async def test_a_budget_stops_between_documents_and_a_larger_one_goes_on(start: Start, tmp_path: Path):
    bulk = await start(client=RATE)
    files = written(tmp_path, 20, pages=10)
    price = 10 * 1.5 / 1000 * 0.1

    first = await read(bulk, files, budget=5.5 * price, concurrency=1)
    second = await read(bulk, files, budget=100 * price)

    assert (first.exit_code, first.ok) == (ExitCode.STOPPED, 6)
    assert (second.exit_code, second.ok, bulk.requests) == (ExitCode.OK, 14, 20)


async def test_a_budget_in_dollars_needs_to_know_what_a_yuan_is(bulk: Bulk, tmp_path: Path):
    with pytest.raises(ConfigurationError, match="pages are priced in yuan only"):
        bulk.client.batch.ocr(written(tmp_path, 1), bulk.output, budget=1)


async def test_another_purpose_would_pay_for_every_document_again_and_is_asked_for(bulk: Bulk, tmp_path: Path):
    files = written(tmp_path, 2)
    await read(bulk, files)

    with pytest.raises(InputChangedError, match="2 answered rows would be sent again, because purpose is"):
        await read(bulk, files, purpose="rich_layout_recognition")
    assert bulk.requests == 2


async def test_a_refusal_that_may_pass_is_asked_again_and_a_lost_answer_is_not(bulk: Bulk, tmp_path: Path):
    files = written(tmp_path, 1)
    bulk.simulator.script(Fault("overloaded"))
    assert (await read(bulk, files)).ok == 1
    assert bulk.requests == 2

    other = written(tmp_path, 1, start=1)
    bulk.simulator.script(Fault("reset_before_headers"))
    lost = await read(bulk, [*files, *other])
    left = await read(bulk, [*files, *other])
    again = await read(bulk, [*files, *other], redo="error")

    assert (lost.failed, lost.exit_code, left.resumed_failed, left.ok) == (1, ExitCode.ROWS_FAILED, 1, 0)
    assert again.ok == 1
