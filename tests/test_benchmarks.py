"""The benchmarks' programs start: nobody runs them often enough to see that a name has moved."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROGRAMS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [
        *(ROOT / "benchmarks").glob("*.py"),
        *(ROOT / "benchmarks/simulation").glob("*.py"),
        ROOT / "benchmarks/processes/run.py",
    ]
    if "argparse" in path.read_text() and "__main__" in path.read_text()
)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_says_how_it_is_used(program: str):
    command = [sys.executable, program, "--help"]
    told = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert told.returncode == 0, told.stderr
    assert "usage" in told.stdout


def test_a_trial_measures_clients_beside_a_server():
    command = [sys.executable, "benchmarks/openai_door.py", "--repeats", "1", "--scenario", "plain"]
    told = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("plain: µs CPU a request: openai ")
