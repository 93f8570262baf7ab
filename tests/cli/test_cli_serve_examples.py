"""The unit for systemd and the container file of ``examples/gateway``: their commands run, answer and end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from configparser import RawConfigParser
from pathlib import Path

import aiohttp
import pytest
from command_line import CommandLine, Ended, Serve
from test_cli_serve import listening, said

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples" / "gateway"
UNIT = EXAMPLES / "deepseek-gateway.service"
COMMAND = "/opt/deepseek-gateway/bin/deepseek-async"


def service() -> dict[str, str]:
    """The section ``Service`` of the unit."""
    unit = RawConfigParser(strict=False, delimiters="=", comment_prefixes="#")
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT)
    return dict(unit["Service"])


def instructions() -> list[tuple[str, str]]:
    """Word and argument of each line of the container file."""
    text = re.sub(r"\\\n\s*", "", (EXAMPLES / "Containerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


async def ended_within(command: CommandLine, process: asyncio.subprocess.Process, seconds: float) -> Ended:
    async with asyncio.timeout(seconds):
        return await command.end_of(process)


async def test_the_unit_starts_reloads_and_stops_in_time(command: CommandLine, serve: Serve):
    await serve()
    asked = service()
    (command.folder / "settings.yaml").write_text("deepseek:\n  max_concurrency: 3\n")
    program, *arguments = shlex.split(
        asked["ExecStart"]
        .replace("/etc/deepseek-gateway/settings.yaml", "settings.yaml")
        .replace("/var/lib/deepseek-gateway", "state")
    )
    assert program == COMMAND
    assert float(asked["TimeoutStopSec"]) > float(arguments[arguments.index("--drain") + 1])

    process = await command.start(*arguments, "--port", "0")
    async with aiohttp.ClientSession(await listening(process)) as session:
        await said(process, "gateway running")
        reload = shlex.split(asked["ExecReload"].replace("$MAINPID", str(process.pid)))
        await (await asyncio.create_subprocess_exec(*reload)).wait()
        await said(process, "settings read again")
        assert (await session.get("/readyz")).status == 200
    process.send_signal(signal.SIGTERM)

    assert (await ended_within(command, process, float(asked["TimeoutStopSec"]))).code == 0


def test_the_unit_says_to_install_what_its_command_needs():
    (extras,) = re.findall(r"deepseek-async\[([a-z,]+)\]", UNIT.read_text())

    assert {"cli", "yaml"} <= set(extras.split(","))


async def test_the_unit_is_not_started_again_for_wrong_settings(command: CommandLine):
    (command.folder / "settings.yaml").write_text("deepseek:\n  max_concurency: 3\n")

    ended = await command.run("serve", "--port", "0", "--folder", "state", "--settings", "settings.yaml")

    assert str(ended.code) == service()["RestartPreventExitStatus"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path):
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace(COMMAND, "/bin/true"))

    verified = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)

    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_container_installs_what_exists_and_starts_by_a_command_that_gets_the_signal():
    asked = dict(instructions())
    (extras,) = re.findall(r'pip install --no-cache-dir "deepseek-async\[([a-z,]+)\]"', asked["RUN"])
    known = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    assert {"cli", "yaml"} <= set(extras.split(",")) <= set(known)
    assert json.loads(asked["ENTRYPOINT"]) == ["deepseek-async"]
    assert json.loads(asked["CMD"])[0] == "serve"
    assert asked["STOPSIGNAL"] == "SIGTERM"
    assert f"useradd --system --uid 10001 {asked['USER']}" in asked["RUN"]


async def test_the_container_serves_whoever_has_a_key_and_says_that_it_is_well(command: CommandLine, serve: Serve):
    await serve()
    asked = dict(instructions())
    state, address = str(command.folder / "state"), "127.0.0.1"
    arguments = [each.replace(asked["VOLUME"], state).replace("0.0.0.0", address) for each in json.loads(asked["CMD"])]
    key = (await command.run("serve", "keys", "add", "team-a", "--folder", state)).out.strip()
    process = await command.start(*arguments, "--port", "0")
    url = await listening(process)
    async with aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {key}"}) as session:
        assert (await session.get("/v1/models")).status == 200
    _, *check = json.loads(asked["HEALTHCHECK"].removeprefix("CMD "))
    here = [each.replace(f"http://{address}:{asked['EXPOSE']}", url) for each in check]
    assert here != check
    environment = {"PATH": os.environ["PATH"]}
    healthy = await (await asyncio.create_subprocess_exec(sys.executable, *here, env=environment)).wait()
    process.send_signal(getattr(signal, asked["STOPSIGNAL"]))

    assert healthy == 0
    assert (await ended_within(command, process, 45)).code == 0
