"""The processes that are compared, each in front of the same upstream servers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from gateways.asking import KEY
from pair import without_proxies
from ports import ReservedPort
from prompt import MODEL

HERE = Path(__file__).parent
START_SECONDS = 240
"""litellm imports for a minute on a busy machine."""
MOST_STREAMS = 6_000


class Gateway(msgspec.Struct, frozen=True):
    """A process to ask."""

    url: str
    pid: int
    model: str = MODEL
    """One that means the upstream server, where a process has several."""

    def cpu(self) -> float:
        """Seconds of CPU so far, of all its threads, by the scheduler's own count."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def resident_kb(self) -> float:
        """Resident memory now."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("Rss:")))


@contextmanager
def _running(command: list[str], core: int, **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**without_proxies(), "PYTHONPATH": str(HERE.parent.parent), **environment},
    )
    os.sched_setaffinity(process.pid, {core})
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _drained(pipe: Any) -> None:
    threading.Thread(target=pipe.read, daemon=True).start()


@contextmanager
def ours(upstreams: Mapping[str, str], core: int, folder: Path) -> Iterator[dict[str, Gateway]]:
    """``deepseek-async serve`` with its defaults and a window wide enough, by upstream."""
    settings = folder / "settings.json"
    settings.write_text(json.dumps({"deepseek": {"max_concurrency": MOST_STREAMS}}))
    with ExitStack() as stack:
        started = {}
        for name, upstream in upstreams.items():
            command = [sys.executable, "-m", "deepseek_async", "serve", "--port", "0", "--folder", str(folder / name)]
            command += ["--base-url", upstream, "--settings", str(settings), "--no-access-log"]
            process = stack.enter_context(_running(command, core, DEEPSEEK_API_KEY="sk-upstream"))
            _drained(process.stderr)
            started[name] = _announced(process)
        yield started


@contextmanager
def bare(upstreams: Mapping[str, str], core: int) -> Iterator[dict[str, Gateway]]:
    """``bare.py``, by upstream."""
    with ExitStack() as stack:
        started = {}
        for name, upstream in upstreams.items():
            process = stack.enter_context(_running([sys.executable, str(HERE / "bare.py"), upstream], core))
            _drained(process.stderr)
            started[name] = _announced(process)
        yield started


@contextmanager
def litellm(upstreams: Mapping[str, str], core: int, folder: Path, program: Path) -> Iterator[dict[str, Gateway]]:
    """litellm's proxy, without a database; a model for each upstream."""
    reserved = ReservedPort()  # as long as it lives, the port is nobody else's
    port = reserved.number
    settings = {
        # JSON is YAML.
        "model_list": [
            {
                "model_name": name,
                "litellm_params": {"model": "openai/deepseek-flash", "api_key": "sk-upstream", "api_base": f"{url}/v1"},
            }
            for name, url in upstreams.items()
        ],
        "litellm_settings": {"telemetry": False, "num_retries": 0},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"master_key": KEY},
    }
    configuration = folder / "litellm.yaml"
    configuration.write_text(json.dumps(settings))
    command = [str(program), "--config", str(configuration), "--host", "127.0.0.1", "--port", str(port)]
    with _running(command, core, LITELLM_LOCAL_MODEL_COST_MAP="True", PYTHONPATH="") as process:
        # From the beginning: with a full pipe, and nobody to read it, it would wait for ever.
        _drained(process.stdout)
        _drained(process.stderr)
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"litellm did not start within {START_SECONDS} s")
            time.sleep(0.2)
        yield {name: Gateway(f"http://127.0.0.1:{port}", process.pid, name) for name in upstreams}
    reserved.release()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _announced(process: subprocess.Popen[str]) -> Gateway:
    assert process.stdout
    url = process.stdout.readline().strip()
    if not url:
        raise RuntimeError("a gateway did not start")
    return Gateway(url, process.pid)
