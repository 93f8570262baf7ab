"""The peers' own virtual environments, made when first needed, so that ours never depends on them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent / ".venv-peers"
INSTALL_SECONDS = 600


def requirements() -> dict[str, list[str]]:
    """What each peer's environment holds, by contestant."""
    lines = (HERE / "peers.txt").read_text().splitlines()
    named = (line.partition(":") for line in lines if line and not line.startswith("#"))
    return {name: wanted.split() for name, _, wanted in named}


def interpreter(contestant: str) -> Path:
    """The Python to run a contestant with. Raises RuntimeError when a peer cannot be installed."""
    wanted = requirements().get(contestant)
    if wanted is None:
        return Path(sys.executable)
    environment = ENVIRONMENTS / contestant
    python = environment / "bin" / "python"
    # Written last, so that an interrupted installation is made anew, and so is one of other versions.
    installed = environment / "installed.txt"
    if installed.exists() and installed.read_text() == " ".join(wanted):
        return python
    print(f"installing {' '.join(wanted)} into {environment.relative_to(HERE.parent)}", file=sys.stderr)
    shutil.rmtree(environment, ignore_errors=True)
    for command in (
        [sys.executable, "-m", "venv", str(environment)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"{contestant}: no installation within {INSTALL_SECONDS} s") from error
        if done.returncode:
            raise RuntimeError(f"{contestant}: cannot install {' '.join(wanted)}")
    installed.write_text(" ".join(wanted))
    return python
