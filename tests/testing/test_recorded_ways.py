"""Whatever a client can send is replayed with the same answer, and without a socket."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from deepseek_async import AsyncDeepSeek
from deepseek_async.simulator import Simulator, SimulatorSettings
from deepseek_async.testing import recording
from deepseek_async.types import Answer

sys.path.append(str(Path(__file__).parents[1] / "resources"))
import ways  # isort: skip

NOWHERE = "http://127.0.0.1:9"
KEY = "sk-recorded-0123456789"
KINDS = [way for way in ways.WAYS if not way.name.endswith(" raw")]


def said(value: Any) -> Any:
    """What an answer says, however it came."""
    for name in ("completion", "response", "message", "answer"):
        value = getattr(value, name, None) or value
    return value.to_dict() if isinstance(value, Answer) else type(value).__name__


@pytest.mark.parametrize("way", KINDS, ids=lambda way: way.name)
async def test_every_call_is_replayed(way: ways.Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    answers = []
    given = ways.Given(tmp_path)
    path = tmp_path / "tape.jsonl"
    async with Simulator(SimulatorSettings(seed=7)) as simulator:
        async with AsyncDeepSeek(api_key=KEY, base_url=simulator.base_url, lint="off") as plain:
            given.file = (await plain.files.create(file=("t.jsonl", b"{}"), purpose="fine-tune")).id
            given.job = (await plain.fine_tunes.create(training_file=given.file, model="deepseek-base")).id
        for url in (simulator.base_url, NOWHERE):
            tape = recording(path)
            options = {"api_key": KEY, "base_url": url, "transport": tape, "lint": "off", "retry": 1}
            async with AsyncDeepSeek(**options) as client:
                answers.append(said(await way.gone(client, "Hello", given)))
            monkeypatch.setattr("deepseek_async.testing.recorder.RUN", "later")
            if url != NOWHERE:
                await simulator.aclose()
        tape.check_used()
    assert answers[0] == answers[1]
    assert KEY not in path.read_text()
