"""Rows that are handed out in batches, and perhaps twice: each is paid for once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.clients import Connect

from deepseek_async.batch.reused_answers import ReusedAnswer, ReusedAnswers
from deepseek_async.batch.row import Defaults, Row, RowReader
from deepseek_async.simulator import Simulator, SimulatorSettings


def rows(*values: object) -> list[Row]:
    reader = RowReader(Defaults(parameters={"max_tokens": 10}))
    return [reader.read(value) for value in values]


async def answers(server: Simulator, connect: Connect, folder: Path | None, *values: object, **options: bool):
    async with connect(server.base_url) as client, ReusedAnswers(client.batch, folder, **options) as kept:
        return await kept.answers(rows(*values))


def journals(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def facts(end: ReusedAnswer) -> tuple[object, ...]:
    assert end.usage is not None
    assert end.cost is not None
    return end.hashed, end.text, end.error, end.usage.prompt_tokens, end.usage.completion_tokens, round(end.cost, 10)


def texts(ends: list[ReusedAnswer]) -> list[str | None]:
    return [end.text for end in ends]


async def test_a_row_that_a_journal_of_the_folder_holds_is_not_bought_again(tmp_path: Path, connect: Connect):
    async with Simulator(SimulatorSettings(seed=7)) as server:
        first = await answers(server, connect, tmp_path, "a", {"prompt": "b", "custom_id": "row b"}, "c")
        again = await answers(server, connect, tmp_path, "c", {"prompt": "b", "custom_id": "row b"}, "a", "d")
        assert len(server.ledger) == 4
    assert [facts(end) for end in again[:3]] == [facts(end) for end in first[::-1]]
    assert all(end.text and end.usage and end.cost for end in again)
    assert len(journals(tmp_path)) == 2


async def test_rows_that_ask_the_same_are_one_row_unless_their_ids_differ(tmp_path: Path, connect: Connect):
    named = [{"prompt": "a", "custom_id": f"sample {number}"} for number in range(3)]
    async with Simulator(SimulatorSettings(seed=7)) as server:
        ends = await answers(server, connect, tmp_path, "a", "a", *named)
        assert len(server.ledger) == 4
    assert ends[0] == ends[1]


async def test_the_same_row_in_two_calls_at_once_is_bought_once(tmp_path: Path, connect: Connect):
    async with Simulator(SimulatorSettings(seed=7, latency=0.05)) as server:
        async with connect(server.base_url) as client, ReusedAnswers(client.batch, tmp_path) as kept:
            one, two = await asyncio.gather(kept.answers(rows("a", "b")), kept.answers(rows("b", "c")))
        assert len(server.ledger) == 3
    assert one[1] == two[0]


async def test_without_a_folder_every_row_is_asked(connect: Connect):
    async with Simulator(SimulatorSettings(seed=7)) as server:
        await answers(server, connect, None, "a", "a")
        assert len(server.ledger) == 2


async def test_a_bad_row_is_a_value_and_is_asked_again_only_on_request(tmp_path: Path, connect: Connect):
    async with Simulator(SimulatorSettings(seed=7)) as server:
        server.answers.add(status=400, content="no")
        (bad, failed) = await answers(server, connect, tmp_path, {"prompt": None}, "a")
        assert bad.error is not None
        assert bad.error.startswith("InputFormatError: ")
        assert failed.error is not None
        assert failed.error.startswith("BadRequestError: ")
        assert (failed.text, failed.cost) == (None, None)

        (kept,) = await answers(server, connect, tmp_path, "a")
        assert kept.error == failed.error
        assert len(server.ledger) == 0
        (asked,) = await answers(server, connect, tmp_path, "a", redo_failed=True)
        assert asked.text


async def test_what_would_fail_every_row_ends_none(tmp_path: Path, connect: Connect):
    async with Simulator(SimulatorSettings(seed=7, api_keys=frozenset({"sk-another"}))) as server:
        (end,) = await answers(server, connect, tmp_path, "a")
        assert end.error is not None
        assert end.error.startswith("AuthenticationError: ")
    async with Simulator(SimulatorSettings(seed=7)) as server:
        assert texts(await answers(server, connect, tmp_path, "a")) != [None]


@pytest.mark.parametrize("cut", [1, 40, 300])
async def test_a_torn_line_of_a_killed_process_is_bought_again_and_no_other(cut: int, tmp_path: Path, connect: Connect):
    async with Simulator(SimulatorSettings(seed=7)) as server:
        await answers(server, connect, tmp_path, "a", "b")
        (journal,) = journals(tmp_path)
        journal.write_bytes(journal.read_bytes()[:-cut])
        assert None not in texts(await answers(server, connect, tmp_path, "a", "b"))
        assert len(server.ledger) == 3


async def test_rows_of_a_process_that_has_ended_since_are_found_and_those_of_one_that_lives_are_left_to_it(
    tmp_path: Path, connect: Connect
):
    async with Simulator(SimulatorSettings(seed=7)) as server, connect(server.base_url) as client:
        async with ReusedAnswers(client.batch, tmp_path) as lasting:
            async with ReusedAnswers(client.batch, tmp_path) as other:
                await other.answers(rows("a", "b"))
                await lasting.answers(rows("a"))
                assert len(server.ledger) == 3
            await lasting.answers(rows("a", "b"))
        assert len(server.ledger) == 3
