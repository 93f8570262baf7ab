"""Local simulator of the DeepSeek API, for tests, demonstrations and benchmarks.

    async with Simulator(SimulatorSettings(seed=7)) as simulator:
        ...  # talk HTTP to simulator.base_url

It generates answers unless they are scripted, by match or in order:

    simulator.answer(when="refund", tool_calls=["lookup_order"])
    simulator.answer(when="refund", content="It is on its way.")
    simulator.answer(status=503, headers={"Retry-After": "1"})

It imports nothing from the rest of the package: a fake that shares code shares bugs.
`python -m deepseek_async.simulator` runs it as a separate process.
"""

from __future__ import annotations

from deepseek_async.simulator.answers import Answers
from deepseek_async.simulator.faults import Fault, FaultKind, parse_fault
from deepseek_async.simulator.ledger import Ledger, LedgerEntry
from deepseek_async.simulator.request_log import RequestRecord, SimulatorStatistics
from deepseek_async.simulator.server import Simulator
from deepseek_async.simulator.settings import SimulatorSettings

__all__ = [
    "Answers",
    "Fault",
    "FaultKind",
    "Ledger",
    "LedgerEntry",
    "RequestRecord",
    "Simulator",
    "SimulatorSettings",
    "SimulatorStatistics",
    "parse_fault",
]
