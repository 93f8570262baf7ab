"""A disk that is full: said at once, nothing is left, and a batch goes on once there is room."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import openai
import pytest
from gateways import CHAT, Gated, batch_line, jsonl
from test_gateway_batches import ended, rows, started, uploaded

from deepseek_async.gateway.batches import runner

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        yield


async def test_an_upload_is_refused_with_the_reason_and_leaves_nothing(gated: Gated, monkeypatch: pytest.MonkeyPatch):
    async with gated.openai() as client:
        with full_disk(monkeypatch), pytest.raises(openai.InternalServerError, match=r"No space left") as caught:
            await uploaded(client, rows(1))
        assert [file async for file in client.files.list()] == []

    assert caught.value.status_code == 507
    assert str(gated.folder) not in str(caught.value)
    assert list((gated.folder / "files").iterdir()) == []


async def test_a_batch_that_cannot_be_kept_is_refused_and_not_run(gated: Gated, monkeypatch: pytest.MonkeyPatch):
    async with gated.openai() as client:
        given = await uploaded(client, jsonl([batch_line(0)]))
        with full_disk(monkeypatch), pytest.raises(openai.InternalServerError) as caught:
            await client.batches.create(input_file_id=given, endpoint=CHAT, completion_window="24h")
        assert [batch async for batch in client.batches.list()] == []

    assert caught.value.status_code == 507
    assert gated.simulator.statistics().requests == 0


async def test_a_batch_waits_for_room_says_so_and_goes_on(
    gated: Gated, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    write, full = runner.write_outputs, asyncio.Event()

    def once_full(*arguments: object) -> object:
        if not full.is_set():
            full.set()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(*arguments)  # type: ignore[arg-type]

    assert gated.gateway._batches is not None
    monkeypatch.setattr(gated.gateway._batches, "_retry_after", 0.05)
    monkeypatch.setattr(runner, "write_outputs", once_full)
    async with gated.openai() as client:
        batch = await ended(client, await started(client, rows(3)))

    assert batch.status == "completed"
    assert "waits: No space left on device" in caplog.text
    assert gated.simulator.statistics().served == 3
