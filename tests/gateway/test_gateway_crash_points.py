"""What a kill at each change of the folder leaves, and what the next start makes of it.

Before and after each rename and removal the folder is copied: that is what SIGKILL at this moment leaves.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gateways import Gated, StartGateway
from test_gateway_batches import ended, lines_of, rows, started

from deepseek_async.gateway import AsyncGateway
from deepseek_async.simulator.faults import Fault, FaultKind

ROWS = 6


@contextmanager
def copied_at_each_change(folder: Path, copies: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    made: list[Path] = []
    seen: set[tuple[tuple[str, int], ...]] = set()

    def copy() -> None:
        state = tuple(sorted((str(path), path.stat().st_ino) for path in folder.rglob("*") if path.is_file()))
        if state in seen:
            return
        seen.add(state)
        target = copies / f"{len(made)}"
        made.append(target)
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns("gateway.lock"))

    def watched(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            ours = str(folder) in str(arguments[0])
            if ours:
                copy()
            result = change(*arguments, **options)
            if ours:
                copy()
            return result

        return changed

    with monkeypatch.context() as patch:
        for name in ("rename", "replace", "unlink"):
            patch.setattr(os, name, watched(getattr(os, name)))
        yield made


async def test_a_kill_at_any_change_of_the_folder_leaves_each_row_once_and_nothing_of_nobodys(
    gateway: StartGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    gated = await gateway()
    gated.simulator.script(Fault(FaultKind.BAD_REQUEST))
    with copied_at_each_change(gated.folder, tmp_path / "copies", monkeypatch) as copies:
        async with gated.openai() as client:
            batch = await ended(client, await started(client, rows(ROWS)))
        await gated.gateway.aclose()

    assert len(copies) >= 15
    for copy in copies:
        await _goes_on(gated, copy, batch.id)


async def _goes_on(gated: Gated, folder: Path, batch_id: str) -> None:
    async with AsyncGateway(gated.gateway.client, folder=folder, port=0) as again:
        gated.gateway = again
        async with gated.openai() as client:
            batches = [await ended(client, batch) async for batch in client.batches.list()]
            produced = [file.id async for file in client.files.list(purpose="batch_output")]
            named: list[str] = []
            for batch in batches:
                assert batch.id == batch_id
                assert batch.status == "completed"
                assert batch.request_counts is not None
                answers = await lines_of(client, batch.output_file_id)
                errors = await lines_of(client, batch.error_file_id)
                counts = batch.request_counts
                assert (counts.total, counts.completed, counts.failed) == (ROWS, len(answers), len(errors))
                assert Counter(line["custom_id"] for line in answers + errors) == {f"row-{n}": 1 for n in range(ROWS)}
                named += [each for each in (batch.output_file_id, batch.error_file_id) if each]
    assert sorted(produced) == sorted(named)
    files = {path.name for path in (folder / "files").iterdir()}
    assert {name for name in files if not name.endswith(".json")} == {
        name.removesuffix(".json") for name in files if name.endswith(".json")
    }
    left = {path.name for path in (folder / "batches").iterdir()}
    assert left == {f"{batch.id}.json" for batch in batches}


async def test_a_cancelled_batch_whose_gateway_was_killed_is_cancelled_at_the_next_start(
    gateway: StartGateway, tmp_path: Path
):
    gated = await gateway(latency=0.2, concurrency_limit=2)
    async with gated.openai() as client:
        batch = await started(client, rows(20))
        while not batch.request_counts or not batch.request_counts.completed:
            await asyncio.sleep(0.02)  # a poll over HTTP, as users do it
            batch = await client.batches.retrieve(batch.id)
        await client.batches.cancel(batch.id)
    killed = tmp_path / "killed"
    shutil.copytree(gated.folder, killed)
    with (killed / "batches" / f"{batch.id}.journal.jsonl").open("ab") as journal:
        journal.write(b'{"id": "torn')
    await gated.gateway.aclose()

    async with AsyncGateway(gated.gateway.client, folder=killed, port=0) as again:
        gated.gateway = again
        async with gated.openai() as client:
            batch = await ended(client, await client.batches.retrieve(batch.id))
            answers = await lines_of(client, batch.output_file_id)
            errors = await lines_of(client, batch.error_file_id)

    assert batch.status == "cancelled"
    assert Counter(line["custom_id"] for line in answers + errors) == {f"row-{n}": 1 for n in range(20)}
    assert {line["error"]["code"] for line in errors} == {"batch_cancelled"}
