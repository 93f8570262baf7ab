"""Tests of your own program: recorded answers, and fixtures for pytest.

    from deepseek_async.testing import recording

    client = AsyncDeepSeek(transport=recording("cassettes/refund.jsonl"))

The first run records what the service answers, later runs replay it without a network. With pytest installed, the
fixtures ``deepseek_simulator``, ``deepseek_client`` and ``deepseek_recorded`` are there without an import: see
``deepseek_async.testing.plugin``. Answers for tests without any server are built by ``ChatCompletion.build(...)``, and
``AsyncDeepSeek(transport=answering("Hello"))`` gives them to the code under test.

The names are imported on first use, because pytest loads this package in projects that do not use it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepseek_async.testing.built_answers import Answering, answering
    from deepseek_async.testing.cassette import CassetteError
    from deepseek_async.testing.recorder import Recording, RecordMode, recording

__all__ = ["Answering", "CassetteError", "RecordMode", "Recording", "answering", "recording"]

_HOME = {"Answering": "built_answers", "CassetteError": "cassette", "answering": "built_answers"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME.get(name, 'recorder')}"), name)
