"""``--proxy`` and the environment's proxy, for every command that sends."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from command_line import CommandLine, Serve
from support.proxies import HTTPProxy

SENDING = {
    "models": ["models"],
    "balance": ["balance"],
    "check": ["check"],
    "chat": ["chat", "Hi"],
    "batch": ["batch", "run", "in.txt", "-o", "out.jsonl"],
}


@pytest.fixture
async def proxy() -> AsyncIterator[HTTPProxy]:
    async with HTTPProxy(password="anna:secret") as made:
        yield made


@pytest.fixture
def prepared(command: CommandLine) -> CommandLine:
    (command.folder / "in.txt").write_text("Hi\n")
    return command


@pytest.mark.parametrize("name", SENDING)
async def test_a_named_proxy_carries_the_command(prepared: CommandLine, serve: Serve, proxy: HTTPProxy, name: str):
    await serve()
    ended = await prepared.run(*SENDING[name], "--proxy", proxy.with_user("anna:secret"))
    assert ended.code == 0, ended.err
    assert proxy.heads
    assert "secret" not in ended.out + ended.err


@pytest.mark.parametrize("name", SENDING)
async def test_a_refusing_proxy_is_one_line_that_names_it(
    prepared: CommandLine, serve: Serve, proxy: HTTPProxy, name: str
):
    await serve()
    ended = await prepared.run(*SENDING[name], "--proxy", proxy.with_user("anna:wrong"))
    assert ended.code != 0
    shown = ended.out + ended.err
    if name == "batch":
        shown += (prepared.folder / "out.jsonl").read_text()
    assert f"proxy {proxy.url} refused the connection to" in shown
    assert "407 Proxy Authentication Required" in shown
    assert "wrong" not in shown
    assert len(proxy.heads) == 1


async def test_this_machine_is_not_reached_through_the_environments_proxy(
    prepared: CommandLine, serve: Serve, proxy: HTTPProxy
):
    await serve()
    prepared.environment |= dict.fromkeys(["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"], proxy.url)
    assert (await prepared.run("models")).code == 0
    assert not proxy.heads


async def test_a_simulator_of_the_command_is_not_reached_through_a_proxy(prepared: CommandLine, proxy: HTTPProxy):
    (prepared.folder / "c.yaml").write_text(f"deepseek: {{api_key: env:DEEPSEEK_API_KEY, proxy: '{proxy.url}'}}\n")
    ended = await prepared.run(*SENDING["batch"], "--simulate", "--settings", "c.yaml", "--proxy", proxy.url)
    assert ended.code == 0, ended.err
    assert not proxy.heads


async def test_the_environments_proxy_is_named_by_check_and_by_the_error(prepared: CommandLine, proxy: HTTPProxy):
    prepared.environment |= {
        "DEEPSEEK_BASE_URL": "https://api.invalid",
        "https_proxy": proxy.with_user("anna:wrong").removeprefix("http://"),
    }
    checked = await prepared.run("check")
    assert f"ok    proxy      {proxy.url} (https_proxy)" in checked.out
    assert (
        f"fail  address    proxy {proxy.url} (https_proxy) refused the connection to https://api.invalid: 407"
        in checked.out
    )
    listed = await prepared.run("models")
    assert listed.err.startswith(
        f"error: proxy {proxy.url} (https_proxy) refused the connection to https://api.invalid: 407"
    )
    assert listed.err.count("\n") == 1
    assert "wrong" not in checked.out + checked.err + listed.err
    prepared.environment["NO_PROXY"] = "api.invalid"
    assert "(https_proxy)" not in (await prepared.run("check")).out
    assert len(proxy.heads) == 2


async def test_a_socks_proxy_and_a_missing_bundle_are_told_before_anything_is_sent(prepared: CommandLine):
    prepared.environment |= {"DEEPSEEK_BASE_URL": "https://api.invalid", "ALL_PROXY": "socks5://127.0.0.1:1"}
    for name in ("models", "check"):
        ended = await prepared.run(name)
        assert ended.code != 0
        assert "SOCKS proxies are not supported" in ended.out + ended.err
    prepared.environment |= {"ALL_PROXY": "", "SSL_CERT_FILE": "/nowhere.pem"}
    for name in ("models", "check"):
        ended = await prepared.run(name)
        assert ended.code != 0
        assert "SSL_CERT_FILE names '/nowhere.pem', which cannot be read" in ended.out + ended.err
