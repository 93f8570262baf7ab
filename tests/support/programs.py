"""Programs of others that some tests talk to."""

from __future__ import annotations

import shutil

import pytest


def needed(program: str) -> str:
    """The path of ``program``; without it the running test is skipped, with the reason."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed; .ci/run installs what the tests talk to")
    return found
