"""``client.batch.run``: from file to file over real sockets, killed and resumed."""

from __future__ import annotations

import asyncio
import errno
import gzip
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from bulk import QUICK, Bulk, Start, numbered, read_lines

import deepseek_async
from deepseek_async import (
    AuthenticationError,
    ConfigurationError,
    InputFormatError,
    OutputLockedError,
    OutputWriteError,
)
from deepseek_async.batch import ExitCode, Progress
from deepseek_async.batch.journal import Journal, writer
from deepseek_async.batch.journal.writer import GROUP_ROWS
from deepseek_async.simulator import Fault

REPOSITORY = Path(deepseek_async.__file__).parents[1]


# A whole run


async def test_every_row_ends_with_exactly_one_line_that_openai_tools_can_read(start: Start):
    bulk = await start(client={"max_concurrency": 50})
    bulk.ask(numbered(1000))
    report = await bulk.run()

    named = bulk.named()
    assert set(named) == {str(number) for number in range(1000)}
    for line in named.values():
        assert set(line) == {"id", "custom_id", "response", "error", "deepseek_async"}
        assert line["id"].startswith("batch_req_")
        assert line["error"] is None
        assert line["response"]["status_code"] == 200
        assert line["response"]["request_id"]
        body = line["response"]["body"]
        assert body["object"] == "chat.completion"
        assert body["choices"][0]["message"]["content"]
        assert body["usage"]["total_tokens"] > 0
    assert len({line["response"]["body"]["id"] for line in named.values()}) == 1000
    assert bulk.requests == 1000
    assert (report.rows, report.ok, report.failed, report.resumed) == (1000, 1000, 0, 0)
    assert report.exit_code == ExitCode.OK
    assert report.stopped is None
    progress = report.progress
    assert (progress.total, progress.in_flight, progress.requests, progress.retried) == (1000, 0, 1000, 0)
    assert progress.prompt_tokens == bulk.simulator.statistics().prompt_tokens
    assert progress.cached_tokens == bulk.simulator.statistics().cache_hit_tokens
    assert progress.completion_tokens == bulk.simulator.statistics().completion_tokens
    assert report.cost == pytest.approx(sum(line["deepseek_async"]["cost"] for line in named.values()), rel=1e-6)


async def test_the_body_of_a_response_is_what_the_service_sent(bulk: Bulk):
    bulk.ask([{"custom_id": "a", "prompt": "Grüße, 世界 \U0001f30d"}])
    (answer,) = [result async for result in bulk.client.batch.map(["Grüße, 世界 \U0001f30d"], **QUICK)]
    assert answer.completion is not None
    await bulk.run()

    sent, written = answer.completion.to_dict(), bulk.named()["a"]["response"]["body"]
    passing = {"id", "created", "usage"}  # the second prompt meets a warm cache
    assert {name: value for name, value in sent.items() if name not in passing} == {
        name: value for name, value in written.items() if name not in passing
    }
    assert set(sent) == set(written)


async def test_all_input_forms_may_stand_in_one_file(bulk: Bulk):
    messages = [{"role": "user", "content": "Hello"}]
    line = {"custom_id": "c", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": messages}}
    bulk.ask(["\ufeff" + json.dumps("Hello"), messages, {"messages": messages}, line, "", {"prompt": "Hello"}])
    report = await bulk.run()

    assert report.ok == 5
    assert "c" in bulk.named()
    assert [record.body["messages"] for record in bulk.simulator.requests] == [messages] * 5


@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_line_ends_of_both_worlds_are_fine(bulk: Bulk, end: str):
    bulk.ask(numbered(5), end=end)
    report = await bulk.run()

    assert report.ok == 5
    assert set(bulk.named()) == {"0", "1", "2", "3", "4"}
    assert b"\r" not in bulk.output.read_bytes()


async def test_a_table_with_a_template(bulk: Bulk):
    table = bulk.folder / "in.csv"
    table.write_text('custom_id,text\na,"one, two"\nb,three\n')
    report = await bulk.client.batch.run(table, bulk.output, template="Say {text}", **QUICK)

    assert report.ok == 2
    assert report.progress.total == 2
    assert set(bulk.named()) == {"a", "b"}
    said = {record.body["messages"][0]["content"] for record in bulk.simulator.requests}
    assert said == {"Say one, two", "Say three"}


async def test_an_empty_input_is_a_finished_job(bulk: Bulk):
    bulk.ask([])
    report = await bulk.run()

    assert (report.rows, report.exit_code, bulk.requests) == (0, ExitCode.OK, 0)
    assert bulk.output.read_bytes() == b""


async def test_equal_rows_without_an_id_are_both_answered(bulk: Bulk):
    bulk.ask([json.dumps("same")] * 3)
    report = await bulk.run()
    again = await bulk.run()

    assert (report.ok, len(bulk.named())) == (3, 3)
    assert (again.ok, again.resumed, bulk.requests) == (0, 3, 3)


async def test_ordered_lines_are_in_the_order_of_the_input(start: Start):
    bulk = await start(latency_spread=0.01)
    bulk.ask(numbered(100))
    await bulk.run(ordered=True)

    assert [line["custom_id"] for line in bulk.lines()] == [str(number) for number in range(100)]


async def test_the_service_never_sees_more_requests_at_once_than_were_asked_for(start: Start):
    bulk = await start(latency_spread=0.01)
    bulk.ask(numbered(60))
    await bulk.run(concurrency=7)

    assert bulk.simulator.statistics().peak_in_flight == 7


async def test_rows_survive_passing_faults(start: Start):
    kinds = ("rate_limit", "server_error", "reset_before_headers", "reset_after_headers", "truncated_json")
    bulk = await start(fault_rate=0.1, fault_kinds=kinds)
    bulk.ask(numbered(200))
    report = await bulk.run()

    assert len(bulk.named()) == 200
    assert report.ok >= 199
    assert report.progress.requests == bulk.requests > 200
    assert report.progress.retried == bulk.requests - 200


# Progress


async def test_progress_counts_only_what_is_on_the_disk(bulk: Bulk):
    bulk.ask(numbered(600))
    seen: list[Progress] = []

    def look(progress: Progress) -> None:
        seen.append(progress)
        assert len(bulk.lines()) >= progress.done

    report = await bulk.run(on_progress=look)

    done = [progress.done for progress in seen]
    assert done == sorted(done)
    assert done[-1] == report.rows == 600
    assert max(after - before for before, after in zip([0, *done], done, strict=False)) <= 4 * GROUP_ROWS


async def test_a_callback_that_raises_ends_the_run_and_loses_no_answer(bulk: Bulk):
    bulk.ask(numbered(600))

    def look(_: Progress) -> None:
        raise ValueError("a mistake in the callback")

    with pytest.raises(ValueError, match="a mistake in the callback"):
        await bulk.run(on_progress=look)
    served = bulk.simulator.statistics().served
    kept = len(bulk.named())
    report = await bulk.run()

    assert kept >= served - 20  # only what was in flight
    assert report.resumed == kept
    assert len(bulk.named()) == 600


# Going on


async def test_a_second_run_asks_nothing_twice(bulk: Bulk):
    bulk.ask(numbered(50))
    await bulk.run()
    before = bulk.output.read_bytes()
    report = await bulk.run()

    assert bulk.requests == 50
    assert bulk.output.read_bytes() == before
    assert (report.rows, report.ok, report.resumed, report.exit_code) == (50, 0, 50, ExitCode.OK)


async def test_rows_may_be_added_and_moved_between_runs(bulk: Bulk):
    rows: list[Any] = [*numbered(20), *({"prompt": f"Without a name {number % 5}"} for number in range(20))]
    bulk.ask(rows)
    await bulk.run()
    random.Random(7).shuffle(rows)
    bulk.ask([{"prompt": "new"}, *rows, *numbered(5, start=100)])
    report = await bulk.run()

    assert (report.ok, report.resumed) == (6, 40)
    assert bulk.requests == 46
    assert len(bulk.named()) == 46


async def test_a_torn_last_line_costs_that_row_and_no_other(bulk: Bulk):
    bulk.ask(numbered(20))
    await bulk.run()
    content = bulk.output.read_bytes()
    last = content[content.rindex(b"\n", 0, -1) + 1 :]
    for length in (0, 1, len(last) // 2, len(last) - 2):
        bulk.output.write_bytes(content[: -len(last)] + last[:length])
        report = await bulk.run()
        assert (report.ok, report.resumed, report.damaged) == (1, 19, 0)
        assert len(bulk.named()) == 20
        assert any("was truncated" in warning for warning in report.warnings) == (length > 0)


def without_its_last_line_feed(content: bytes) -> bytes:
    return content[:-1]


def with_a_byte_order_mark(content: bytes) -> bytes:
    return b"\xef\xbb\xbf" + content


def joined_with_byte_order_marks(content: bytes) -> bytes:
    return b"".join(b"\xef\xbb\xbf" + line for line in content.splitlines(keepends=True))


def with_windows_line_ends_but_the_last(content: bytes) -> bytes:
    return content.replace(b"\n", b"\r\n")[:-2]


def in_the_words_of_another_program(content: bytes) -> bytes:
    return b"\n".join(json.dumps(json.loads(line)).encode() for line in content.splitlines())


@pytest.mark.parametrize(
    "edited",
    [
        without_its_last_line_feed,
        with_a_byte_order_mark,
        joined_with_byte_order_marks,
        with_windows_line_ends_but_the_last,
        in_the_words_of_another_program,
    ],
)
async def test_no_row_is_bought_again_because_an_editor_has_saved_the_output(
    bulk: Bulk,
    edited: Callable[[bytes], bytes],
):
    bulk.ask(numbered(20))
    await bulk.run()
    bulk.output.write_bytes(edited(bulk.output.read_bytes()))
    resumed = await bulk.run()
    bulk.ask(numbered(22))
    more = await bulk.run()

    assert (resumed.ok, resumed.resumed, resumed.damaged, resumed.warnings) == (0, 20, 0, [])
    assert (more.ok, more.resumed, more.damaged, bulk.requests) == (2, 20, 0, 22)
    lines = [json.loads(line.removeprefix(b"\xef\xbb\xbf")) for line in bulk.output.read_bytes().splitlines()]
    assert {line["custom_id"] for line in lines} == {str(number) for number in range(22)}
    assert len(lines) == 22


async def test_a_damaged_line_costs_that_row_and_is_set_aside(bulk: Bulk):
    bulk.ask(numbered(20))
    await bulk.run()
    content = bulk.output.read_bytes()
    damaged = content.replace(b'"custom_id":"7"', b'"custom_id":"8"')
    bulk.output.write_bytes(damaged)
    report = await bulk.run()

    assert (report.ok, report.resumed, report.damaged) == (1, 19, 1)
    assert b'"custom_id":"8"' in bulk.output.with_name("out.jsonl.damaged").read_bytes()


RUN = """
import asyncio, sys
from deepseek_async import AsyncDeepSeek

async def main():
    source, output, url = sys.argv[1:]
    async with AsyncDeepSeek(api_key="sk-test-1234", base_url=url, max_concurrency=10) as client:
        report = await client.batch.run(
            source, output, thinking={"type": "disabled"}, max_tokens=8,
            on_progress=lambda progress: print(progress.done, flush=True),
        )
    sys.exit(report.exit_code)

asyncio.run(main())
"""


async def run_elsewhere(bulk: Bulk, kill_after: int | None) -> tuple[int, int]:
    """Run the job in a process of its own and kill it after so many answers. Returns exit code and rows reported."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        RUN,
        str(bulk.source),
        str(bulk.output),
        bulk.simulator.base_url,
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    if kill_after is not None:
        await bulk.simulator.until(lambda now: now.served >= kill_after)
        process.send_signal(signal.SIGKILL)
    reported = (await process.stdout.read()).split()
    code = await process.wait()
    return code, int(reported[-1]) if reported else 0


async def test_killed_again_and_again_every_row_still_ends_with_one_line(start: Start):
    rows, kills, concurrency = 400, 5, 10
    chance = random.Random(11)
    bulk = await start(latency_spread=0.004)
    bulk.ask(numbered(rows))
    for _ in range(kills):
        code, reported = await run_elsewhere(bulk, bulk.simulator.statistics().served + chance.randint(10, 70))
        assert code == -signal.SIGKILL
        kept = bulk.output.read_bytes().count(b"\n")
        assert kept >= reported, "a row that was reported is in the file"
        await bulk.simulator.until(lambda now: now.in_flight == 0)
    code, reported = await run_elsewhere(bulk, None)

    assert (code, reported) == (0, rows)
    assert set(bulk.named()) == {str(number) for number in range(rows)}
    assert bulk.requests <= rows + kills * (concurrency + GROUP_ROWS)


# Rows that fail


async def test_bad_lines_are_rows_that_failed_and_the_others_run(bulk: Bulk):
    bulk.ask(['{"prompt": "a"}', "{not json", '{"custom_id": "c", "messages": []}', "5", '{"prompt": "b"}'])
    report = await bulk.run()

    failed = {line["error"]["message"]: line for line in bulk.lines() if line["error"] is not None}
    assert (report.ok, report.failed, report.exit_code) == (2, 3, ExitCode.ROWS_FAILED)
    assert report.failures == {"InputFormatError": 3}
    assert [f"{bulk.source}, line {line}: " in "".join(failed) for line in (1, 2, 3, 4, 5)] == [
        False,
        True,
        True,
        True,
        False,
    ]
    assert all(line["response"] is None for line in failed.values())
    assert bulk.named()["c"]["error"]["code"] == "InputFormatError"
    assert bulk.requests == 2
    again = await bulk.run()
    assert (again.resumed, again.resumed_failed, again.exit_code) == (5, 3, ExitCode.ROWS_FAILED)
    assert bulk.requests == 2


async def test_a_row_that_the_service_refuses_for_good_is_a_line_with_the_error(bulk: Bulk):
    bulk.simulator.script(Fault("content_risk"))
    bulk.ask(numbered(3))
    report = await bulk.run(concurrency=1)

    line = bulk.named()["0"]
    assert (report.ok, report.failed, report.exit_code) == (2, 1, ExitCode.ROWS_FAILED)
    assert report.failures == {"ContentRiskError": 1}
    assert line["error"]["code"] == "ContentRiskError"
    assert line["response"]["status_code"] == 400
    assert line["response"]["body"]["error"]["message"] == "Content Exists Risk"
    assert [result.custom_id for result in report.first_failures] == ["0"]
    assert report.progress.last_error is not None


async def test_a_row_that_cannot_be_encoded_is_a_line_with_the_error(bulk: Bulk):
    bulk.ask(['{"custom_id":"a","prompt":"cut \\ud83d off"}', '{"custom_id":"b","prompt":"fine"}'])
    report = await bulk.run()

    assert (report.ok, report.failed) == (1, 1)
    assert "lone surrogate" in bulk.named()["a"]["error"]["message"]


async def test_a_second_row_of_a_name_is_refused_with_both_lines_before_anything_is_sent(bulk: Bulk):
    bulk.ask([{"custom_id": name, "prompt": f"{place}"} for place, name in enumerate(["a", "b", "a", "c", "b", "a"])])

    with pytest.raises(InputFormatError) as caught:
        await bulk.run()
    assert caught.value.line == 3
    assert caught.value.message == (
        f"{bulk.source}, line 3: custom_id 'a' is a duplicate of line 1; 2 further rows have duplicate ids. "
        "Nothing was sent: give each row a unique id, or none"
    )
    assert (bulk.requests, bulk.output.read_bytes()) == (0, b"")


async def test_a_second_row_of_a_name_is_refused_in_a_later_run_too(bulk: Bulk):
    bulk.ask(numbered(3))
    await bulk.run()
    bulk.ask([*numbered(3), *numbered(1)])

    with pytest.raises(InputFormatError, match=r"line 4: custom_id '0' is a duplicate of line 1\. Nothing"):
        await bulk.run()
    assert bulk.requests == 3


# Jobs that stop


async def test_a_wrong_key_stops_the_job_and_leaves_the_rows_pending(start: Start):
    bulk = await start(api_keys=frozenset({"sk-other"}))
    bulk.ask(numbered(500))
    report = await bulk.run(concurrency=5)

    assert report.exit_code == ExitCode.STOPPED
    assert isinstance(report.stopped, AuthenticationError)
    assert (report.rows, report.failed) == (0, 0)
    assert bulk.output.read_bytes() == b""
    assert bulk.requests <= 20
    assert report.progress.requests == bulk.requests


async def test_a_used_up_balance_keeps_what_was_answered_and_the_next_run_goes_on(bulk: Bulk):
    bulk.ask(numbered(50))
    bulk.simulator.script(*[Fault("usage_missing")] * 20, *[Fault("insufficient_balance")] * 30)
    stopped = await bulk.run(concurrency=5)
    kept = len(bulk.named())

    assert stopped.exit_code == ExitCode.STOPPED
    assert 15 <= kept <= 25
    assert (stopped.ok, stopped.failed) == (kept, 0)
    while bulk.simulator.scripted:
        await bulk.run(concurrency=5)
    finished = await bulk.run()
    assert finished.exit_code == ExitCode.OK
    assert len(bulk.named()) == 50


async def test_a_service_that_is_not_there_stops_the_job(start: Start):
    bulk = await start(client={"retry": 1})
    bulk.ask(numbered(50))
    await bulk.simulator.aclose()
    report = await bulk.run()

    assert report.exit_code == ExitCode.STOPPED
    assert isinstance(report.stopped, deepseek_async.APIConnectionError)
    assert report.rows == 0
    assert bulk.output.read_bytes() == b""


async def test_stop_finishes_what_is_under_way(start: Start):
    bulk = await start(latency=0.01)
    bulk.ask(numbered(200))
    job = bulk.client.batch.job(bulk.source, bulk.output, concurrency=10, **QUICK)
    running = asyncio.create_task(job.run())
    await bulk.simulator.until(lambda now: now.served >= 20)
    job.stop()
    report = await running

    assert report.exit_code == ExitCode.STOPPED
    assert report.stopped == "stopped on request"
    assert report.rows == bulk.requests == len(bulk.named()) < 200
    finished = await bulk.run()
    assert (finished.ok, finished.resumed) == (200 - report.rows, report.rows)


async def test_stop_before_the_start_sends_nothing(bulk: Bulk):
    bulk.ask(numbered(5))
    job = bulk.client.batch.job(bulk.source, bulk.output, **QUICK)
    job.stop()
    report = await job.run()

    assert (report.exit_code, report.rows, bulk.requests) == (ExitCode.STOPPED, 0, 0)


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_cancelled_job_has_written_what_had_finished(start: Start, ordered: bool):
    bulk = await start(latency=0.005)
    bulk.ask(numbered(300))
    job = bulk.client.batch.job(bulk.source, bulk.output, concurrency=10, ordered=ordered, **QUICK)
    running = asyncio.create_task(job.run())
    await bulk.simulator.until(lambda now: now.served >= 100)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    report, kept = job.report(), bulk.lines()
    assert report.exit_code == ExitCode.STOPPED
    assert report.ok == len(kept) >= 100 - 2 * 10
    assert bulk.client._context.caller().account_limiter.in_flight == 0
    await bulk.run(ordered=ordered)
    named = bulk.named()
    assert len(named) == 300


async def test_a_full_disk_stops_the_job_and_the_next_run_goes_on(bulk: Bulk, monkeypatch: pytest.MonkeyPatch):
    bulk.ask(numbered(300))
    monkeypatch.setattr(writer, "FULL_DISK_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        patch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(full))
        stopped = await bulk.run()

    assert stopped.exit_code == ExitCode.STOPPED
    assert isinstance(stopped.stopped, OutputWriteError)
    assert "No space left on device" in stopped.stopped.message
    assert stopped.rows == 0
    assert bulk.output.read_bytes() == b""
    assert bulk.client._context.caller().account_limiter.in_flight == 0
    finished = await bulk.run()
    assert finished.exit_code == ExitCode.OK
    assert len(bulk.named()) == 300


async def test_what_is_no_error_of_the_api_is_raised_and_keeps_what_was_answered(
    bulk: Bulk,
    monkeypatch: pytest.MonkeyPatch,
):
    bulk.ask(numbered(50))
    completions = bulk.client.batch._answerer._completions
    complete = completions.complete
    calls = 0

    async def fail_later(call: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 30:
            raise RuntimeError("a bug")
        return await complete(call)

    monkeypatch.setattr(completions, "complete", fail_later)
    with pytest.raises(RuntimeError, match="a bug"):
        await bulk.run(concurrency=5)

    assert len(bulk.named()) >= 20
    assert bulk.client._context.caller().account_limiter.in_flight == 0


# Files that cannot be used


@asynccontextmanager
async def held(path: Path) -> AsyncIterator[None]:
    async with Journal(path, lambda _: None):
        yield


async def test_an_output_that_another_run_writes_is_refused_before_anything_is_sent(bulk: Bulk):
    bulk.ask(numbered(5))
    async with held(bulk.output):
        with pytest.raises(OutputLockedError):
            await bulk.run()

    assert bulk.requests == 0


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda bulk: bulk.source.unlink(), "the input .* does not exist"),
        (lambda bulk: (bulk.source.unlink(), bulk.source.mkdir()), "the input .* is not a regular file"),
        (lambda bulk: (bulk.source.unlink(), os.mkfifo(bulk.source)), "the input .* is not a regular file"),
        (lambda bulk: os.link(bulk.source, bulk.output), "input and output must be different files"),
        (lambda bulk: bulk.output.symlink_to(bulk.source), "input and output must be different files"),
    ],
    ids=["no input", "a folder", "a pipe", "hard link", "symbolic link"],
)
async def test_files_that_cannot_be_used_are_refused_before_anything_is_sent(
    bulk: Bulk,
    prepare: Callable[[Bulk], Any],
    reason: str,
):
    bulk.ask(numbered(5))
    prepare(bulk)

    with pytest.raises(ConfigurationError, match=reason):
        await bulk.run()
    assert bulk.requests == 0


async def test_an_input_is_no_output_of_itself(bulk: Bulk):
    bulk.ask(numbered(5))
    before = bulk.source.read_bytes()

    with pytest.raises(ConfigurationError, match="input and output must be different files"):
        await bulk.client.batch.run(bulk.source, bulk.folder / "." / "in.jsonl")
    assert bulk.source.read_bytes() == before


async def test_an_output_in_a_missing_folder_is_refused(bulk: Bulk):
    bulk.ask(numbered(5))

    with pytest.raises(ConfigurationError, match="the output directory does not exist"):
        await bulk.client.batch.run(bulk.source, bulk.folder / "missing" / "out.jsonl")


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.jsonl.gz"])
async def test_an_output_that_would_not_be_what_its_name_says_is_refused(bulk: Bulk, name: str):
    bulk.ask(numbered(5))

    with pytest.raises(ConfigurationError, match="must be JSON lines, because it is also the journal"):
        await bulk.client.batch.run(bulk.source, bulk.folder / name)
    assert not (bulk.folder / name).exists()


async def test_a_packed_input_is_a_job_like_others(bulk: Bulk):
    packed = bulk.folder / "in.jsonl.gz"
    packed.write_bytes(gzip.compress(b'{"custom_id": "a", "prompt": "one"}\n{"custom_id": "b", "prompt": "two"}\n'))
    for ok, resumed in ((2, 0), (0, 2)):
        report = await bulk.client.batch.run(packed, bulk.output, **QUICK)
        assert (report.ok, report.resumed) == (ok, resumed)

    packed.write_bytes(packed.read_bytes()[:-12])
    with pytest.raises(ConfigurationError, match="is not a complete gzip file"):
        await bulk.client.batch.run(packed, bulk.folder / "other.jsonl", **QUICK)
    assert bulk.requests == 2


async def test_an_output_that_is_a_folder_is_refused(bulk: Bulk):
    bulk.ask(numbered(5))
    bulk.output.mkdir()

    with pytest.raises(ConfigurationError, match=r"the output .* is a directory"):
        await bulk.run()
    assert bulk.requests == 0


@pytest.mark.parametrize("template", ["{missing}", "{"])
async def test_a_template_that_cannot_work_leaves_no_output_behind(bulk: Bulk, template: str):
    table = bulk.folder / "in.csv"
    table.write_text("text\na\n")

    with pytest.raises(ConfigurationError, match="template"):
        await bulk.client.batch.run(table, bulk.output, template=template)
    assert not bulk.output.exists()


# Memory

MEASURE = """
import asyncio, sys
from deepseek_async import AsyncDeepSeek

def peak():  # in KiB; what getrusage says begins with what the parent process has used
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])

async def main():
    folder, url, *sizes = sys.argv[1:]
    async with AsyncDeepSeek(api_key="sk-test-1234", base_url=url, max_concurrency=50) as client:
        for size in sizes:
            await client.batch.run(f"{folder}/{size}.jsonl", f"{folder}/{size}.out.jsonl")
            print(peak(), flush=True)

asyncio.run(main())
"""

CANNED = json.dumps(
    {
        "id": "1",
        "object": "chat.completion",
        "model": "deepseek-flash",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x" * 500}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 100, "total_tokens": 110},
    },
).encode()


class Canned(asyncio.Protocol):
    """Answers every request with the same bytes, as fast as can be."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(CANNED),
        CANNED,
    )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        # One request at a time on a connection, and each ends with the brace of its body.
        if data.endswith(b"}"):
            self._transport.write(self.ANSWER)


async def test_memory_does_not_grow_with_the_number_of_rows(tmp_path: Path):
    sizes = (2000, 20_000)
    for size in sizes:
        with (tmp_path / f"{size}.jsonl").open("w") as file:
            file.writelines(f'{{"prompt":"{number} {"y" * 500}"}}\n' for number in range(size))
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        MEASURE,
        str(tmp_path),
        f"http://{host}:{port}",
        *map(str, sizes),
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    server.close()
    await server.wait_closed()
    few, many = map(int, printed.split())

    assert len(read_lines(tmp_path / "20000.out.jsonl")) == 20_000
    assert many - few < 10 * 1024
