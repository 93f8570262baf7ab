"""Frameworks that ask for an openai client run over the engine: plain, streamed, with tools, with classes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SECONDS = 240.0

FRAMEWORKS = {
    "frameworks": ("pydantic_ai", "openai_agents", "langchain", "langchain_sync", "litellm", "errors"),
    "frameworks-httpx": ("instructor", "llama_index", "errors"),
}
"""By environment: those on an openai-python that is written on httpx2, and on httpx."""


@cache
def failures(python: str, environment: str) -> dict[str, str | None]:
    """How each case failed. One process for all of an environment: their imports take longer than their calls."""
    done = subprocess.run(
        [python, str(HERE / "openai_frameworks.py"), *FRAMEWORKS[environment]],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(HERE.parents[1])},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith('["')]
    return dict(json.loads(line) for line in lines)


@pytest.mark.parametrize(
    ("environment", "name"), [(environment, name) for environment, names in FRAMEWORKS.items() for name in names]
)
def test_a_framework_runs_over_the_engine(python_with: Callable[[str], str], environment: str, name: str) -> None:
    assert failures(python_with(environment), environment)[name] is None
