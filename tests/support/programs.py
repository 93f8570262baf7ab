"""Programs that some tests start or talk to."""

from __future__ import annotations

import os
import shutil

import pytest


def needed(program: str) -> str:
    """The path of ``program``; without it the running test is skipped, with the reason."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed; .ci/run installs what the tests talk to")
    return found


def environment_with(**variables: str) -> dict[str, str]:
    """An environment of ``variables`` alone, and of what has a process count the lines of ours that it runs."""
    return {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")} | variables
