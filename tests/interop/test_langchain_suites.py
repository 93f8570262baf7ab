"""langchain-tests' standard suites pass whole, and a call costs a fifth of what it costs langchain-deepseek."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foreign_servers import Simulate
from support.servers import CANARY

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]


def asks_for_the_weather(request: Any) -> bool:
    last = request["messages"][-1]
    return last["role"] == "user" and "weather in San Francisco" in str(last["content"])


async def test_the_standard_suites_pass_where_reasoning_must_be_given_back(
    simulate: Simulate, python_with: Callable[[str], str]
):
    python = python_with("frameworks")
    simulator = await simulate(live_only=True, reasoning_replay="required")
    simulator.answer(when="Return the result as a JSON", parsed={"setup": "Why?", "punchline": "Meow."})
    simulator.answer(when=asks_for_the_weather, tool_calls=["get_weather"])
    for name, text in (("你好啊集团", "你好啊集团"), ("こんにちは", "こんにちは株式会社")):
        arguments = {"customer_name": text, "description": "A company"}
        simulator.answer(when=name, tool_calls=[{"name": "unicode_customer", "arguments": arguments}])

    suites = await asyncio.create_subprocess_exec(
        *(python, "-m", "pytest", "-q", "-rs", "-c", os.devnull, "--rootdir", str(HERE), "--noconftest"),
        *("-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "--benchmark-disable", "-W", "error::ResourceWarning"),
        str(HERE / "langchain_standard.py"),
        env={
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG")},
            "PYTHONPATH": str(CHECKOUT),
            "DEEPSEEK_API_KEY": CANARY,
            "DEEPSEEK_BASE_URL": simulator.base_url,
            "LANGSMITH_TRACING": "false",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await suites.communicate())[0].decode()
    assert suites.returncode == 0, said
    assert CANARY not in said
    passed, skipped = re.search(r"(\d+) passed, (\d+) skipped", said).groups()
    assert int(passed) >= 56
    # PDF and audio are not among DeepSeek's inputs, and recordings of HTTP are not wanted.
    assert int(skipped) == 4, said
