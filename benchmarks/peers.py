"""Virtual environments for programs of others, made when first needed, so that ours never depends on them.

``python benchmarks/peers.py LIST FOLDER`` makes all that ``LIST`` names in ``FOLDER``.
"""

from __future__ import annotations

import argparse
import fcntl
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent / ".venv-peers"
INSTALL_SECONDS = 1800
AT_ONCE = 2
"""Installing waits for the disk half of its time."""


def requirements(listed: Path = HERE / "peers.txt") -> dict[str, list[str]]:
    """What each environment of a list holds, by name."""
    named = (line.partition(":") for line in listed.read_text().splitlines() if line and not line.startswith("#"))
    return {name: wanted.split() for name, _, wanted in named}


def interpreter(contestant: str) -> Path:
    """The Python to run a contestant with. Raises RuntimeError when a peer cannot be installed."""
    wanted = requirements().get(contestant)
    return Path(sys.executable) if wanted is None else environment(ENVIRONMENTS / contestant, wanted)


def environment(folder: Path, wanted: list[str]) -> Path:
    """The Python of an environment with ``wanted`` in ``folder``. Raises RuntimeError if it cannot be made."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Two processes of a test run may need the same one.
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _made(folder, wanted)


def _made(folder: Path, wanted: list[str]) -> Path:
    python = folder / "bin" / "python"
    # Written last, so that an interrupted installation is made anew, and so is one of other versions.
    installed = folder / "installed.txt"
    if installed.exists() and installed.read_text() == " ".join(wanted):
        return python
    print(f"installing {' '.join(wanted)} into {folder}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        # Little of what is installed is ever imported, and that is compiled then.
        [*_installer(python), *wanted],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"{folder.name}: no installation within {INSTALL_SECONDS} s") from error
        if done.returncode:
            raise RuntimeError(f"{folder.name}: cannot install {' '.join(wanted)}: {done.stderr.strip()[-1000:]}")
    installed.write_text(" ".join(wanted))
    return python


def _installer(python: Path) -> list[str]:
    """The command that installs requirements for ``python``: uv, a twentieth of pip's work, where pip is not set up."""
    chosen = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    if find_spec("uv") is None or "index-url" in chosen.replace("extra-index-url", ""):
        return [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    return [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--system-certs", "--python", str(python)]


def main() -> None:
    """Read the command line and make the environments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("list", type=Path, help="lines of NAME: REQUIREMENT …")
    parser.add_argument("folder", type=Path, help="where each gets a folder of its name")
    options = parser.parse_args()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        listed = requirements(options.list).items()
        made = [threads.submit(environment, options.folder / name, wanted) for name, wanted in listed]
        for each in made:
            each.result()


if __name__ == "__main__":
    main()
