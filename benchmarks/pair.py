"""A server process and a client process, each on its own core, for one trial."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).parent
TRIAL_SECONDS = 240


class TrialError(Exception):
    """A trial gave no figures; the message is the last thing its process said."""


@contextmanager
def reference_server(arguments: tuple[str, ...], core: int, *, simulator: bool) -> Iterator[subprocess.Popen[str]]:
    program = [str(HERE / "server.py"), "--core", str(core)]
    if simulator:
        program = ["-m", "deepseek_async.simulator", "--until-stdin-closes"]
    process = subprocess.Popen(
        [sys.executable, *program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    os.sched_setaffinity(process.pid, {core})
    assert process.stdin
    assert process.stdout
    try:
        yield process
    finally:
        process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def run_trial(
    python: Path,
    scenario: str,
    contestant: str,
    *,
    server: tuple[str, ...],
    simulator: bool,
    case: str,
    loop: str,
    quick: bool,
) -> dict[str, Any]:
    """The trial's figures and versions, and the server's own account. Raises TrialError."""
    cores = sorted(os.sched_getaffinity(0))
    with reference_server(server, cores[-1], simulator=simulator) as process:
        assert process.stdin
        assert process.stdout
        ready = json.loads(process.stdout.readline() or "{}")
        if not ready:
            raise TrialError("the server did not start")
        command = [str(python), str(HERE / "trial.py"), scenario, contestant, "--loop", loop]
        port = urlsplit(ready["base_url"]).port if simulator else ready["port"]
        command += ["--port", str(port), "--core", str(cores[0]), f"--case={case}"]
        command += ["--ca", ready["ca"]] if ready.get("ca") else []
        command += ["--quick"] if quick else []
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=TRIAL_SECONDS,
                check=False,
                env=without_proxies(),
            )
        except subprocess.TimeoutExpired:
            raise TrialError(f"no result within {TRIAL_SECONDS} s") from None
        if done.returncode:
            said = [line.strip(" |") for line in done.stderr.splitlines() if line.strip(" |+-")]
            raise TrialError(said[-1][:200] if said else f"exit status {done.returncode}")
        sys.stderr.write(done.stderr[:1000])
        trial: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        process.stdin.close()
        account = json.loads(process.stdout.readline() or "{}")
        if account.get("worst_tick_ms"):
            trial["figures"]["server_late_ms"] = account["worst_tick_ms"]
        return {**trial, "server": account}


def without_proxies() -> dict[str, str]:
    """This process's environment without proxies: every contestant is to talk to loopback only."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
