"""Commands of production: config, metrics, audit, cache, budget."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from command_line import KEY, CommandLine, Serve

MESSAGES = '[{"role": "user", "content": "Hi"}]'


@pytest.fixture
def prepared(command: CommandLine) -> CommandLine:
    command.environment["XDG_STATE_HOME"] = str(command.folder / "state")
    command.environment["XDG_CACHE_HOME"] = str(command.folder / "cache")
    return command


async def test_config_init_writes_a_private_file_once_and_show_reads_it(prepared: CommandLine):
    made = await prepared.run("config", "init", "mine.yaml")
    assert made.code == 0
    path = prepared.folder / "mine.yaml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = await prepared.run("config", "init", "mine.yaml")
    assert (again.code, "mine.yaml exists" in again.err, "--force" in again.err) == (2, True, False)
    shown = await prepared.run("config", "show", "mine.yaml")
    assert shown.code == 0
    rows = {line.split()[0]: line.split()[1:] for line in shown.out.splitlines()}
    assert rows["api_key"] == ["sk-…cdef", "DEEPSEEK_API_KEY"]
    assert rows["endpoint"] == ["http://127.0.0.1:1", "DEEPSEEK_BASE_URL"]
    assert rows["retry_policy.max_attempts"] == ["4", "default"]


async def test_config_show_says_where_each_value_comes_from(prepared: CommandLine):
    prepared.write("c.yaml", "deepseek:", "  retry_policy: {max_attempts: 3}", "  proxy: http://u:secret@127.0.0.1:9")
    shown = await prepared.run("config", "show", "c.yaml")
    rows = {line.split()[0]: line.split()[1:] for line in shown.out.splitlines()}
    assert rows["retry_policy.max_attempts"] == ["3", "c.yaml:2"]
    assert rows["proxy"] == ["(set)", "c.yaml:3"]
    assert "u:secret" not in shown.out


async def test_a_wrong_file_is_one_line_and_exit_code_2(prepared: CommandLine):
    prepared.write("c.yaml", "deepseek:", "  retry_polcy: {}")
    shown = await prepared.run("config", "show", "c.yaml")
    assert (shown.code, shown.out) == (2, "")
    assert shown.err == "error: c.yaml, line 2: unknown setting deepseek.retry_polcy; did you mean 'retry_policy'?\n"


async def test_metrics_writes_a_dashboard_and_rules_that_promtool_takes(prepared: CommandLine, tmp_path: Path):
    dashboard = json.loads((await prepared.run("metrics", "dashboard")).out)
    assert dashboard["title"] == "deepseek_async"
    rules = tmp_path / "rules.yml"
    rules.write_text((await prepared.run("metrics", "rules")).out)
    assert rules.read_text().startswith("# Alert rules")


@pytest.mark.parametrize("way", ["--simulate", "the key of simulators"])
async def test_what_is_made_up_goes_into_no_budget_cache_or_log_of_a_settings_file(
    prepared: CommandLine, serve: Serve, way: str
):
    prepared.write(
        "c.yaml",
        "deepseek:",
        "  cache: {path: answers.sqlite, only_deterministic: false}",
        "  budget: {daily: 5, path: budget.sqlite}",
        "  security_settings: {audit_logging: true, audit_folder: audit}",
        "  fallback: http://127.0.0.1:1",
    )
    prepared.prompts(3)
    simulated = ["--simulate"] if way == "--simulate" else []
    if not simulated:
        await serve()
        prepared.environment["DEEPSEEK_API_KEY"] = "sk-simulated"
    before = {path.name for path in prepared.folder.iterdir()}
    ran = await prepared.run("batch", "run", "in.jsonl", "-o", "out.jsonl", "--settings", "c.yaml", *simulated)
    assert ran.code == 0, ran.err
    after = {path.name for path in prepared.folder.iterdir()}
    assert after - before == {"out.jsonl", "out.jsonl.lock"}
    assert [line["deepseek_async"]["simulated"] for line in prepared.lines()] == [True] * 3


async def test_a_settings_file_serves_a_batch_and_audit_cache_and_budget_know_of_it(
    prepared: CommandLine,
    serve: Serve,
):
    await serve(answer_tokens=5)
    prepared.write(
        "c.yaml",
        "deepseek:",
        "  cache: {path: answers.sqlite, only_deterministic: false}",
        "  budget: 5",
        "  security_settings: {audit_logging: true}",
    )
    prepared.prompts(6)
    ran = await prepared.run("batch", "run", "in.jsonl", "-o", "out.jsonl", "--settings", "c.yaml")
    assert ran.code == 0, ran.err
    again = await prepared.run("batch", "run", "in.jsonl", "-o", "again.jsonl", "--settings", "c.yaml")
    assert again.code == 0, again.err

    found = await prepared.run("audit", "query")
    lines = [json.loads(line) for line in found.out.splitlines()]
    assert [line["outcome"] for line in lines] == ["ok"] * 6 + ["cached"] * 6
    assert len({line["config_id"] for line in lines}) == 1
    one = await prepared.run("audit", "query", "--response", lines[0]["response_id"], "--outcome", "ok")
    assert json.loads(one.out)["parameters"] == {"model": "deepseek-flash"}
    added = await prepared.run("audit", "query", "--by", "outcome")
    assert [line.split()[:2] for line in added.out.splitlines()] == [["outcome", "calls"], ["ok", "6"], ["cached", "6"]]

    stats = await prepared.run("cache", "stats", "answers.sqlite")
    assert stats.out.splitlines()[1].split()[0] == "6"
    assert (await prepared.run("cache", "clear", "answers.sqlite")).code == 0
    assert (await prepared.run("cache", "stats", "answers.sqlite")).out.splitlines()[1].split()[0] == "0"

    spent = await prepared.run("budget")
    assert spent.out.splitlines()[1].split()[:3] == ["deepseek-flash", "-", "6"]
    assert "reserved for calls in flight" in spent.out
    for file in prepared.folder.rglob("*"):
        if file.is_file():
            assert KEY.encode() not in file.read_bytes(), file


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cache", "stats", "nothing.sqlite"), "no cache file at nothing.sqlite"),
        (("budget", "nothing.sqlite"), "no budget file at nothing.sqlite"),
        (("config", "show", "nothing.yaml"), "cannot read settings file nothing.yaml"),
        (("cache", "clear", "--redis", "http://x"), "redis://"),
        (("models", "--settings", "nothing.yaml"), "cannot read settings file nothing.yaml"),
    ],
)
async def test_what_is_not_there_is_said(prepared: CommandLine, arguments: tuple[str, ...], said: str):
    ended = await prepared.run(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
