"""The gateway's pages in a real Chromium: hostile content, narrow windows, keyboard, screen reader, keys."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import openai
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from gateways import CHAT, MODEL, QUESTION, Gated, StartGateway, batch_line, jsonl
from support.browser import Browser
from support.servers import Serve

from deepseek_async.gateway.callers import Callers

LONG = "Donaudampfschifffahrt" * 120
TURNED = "\u202ereversed\u2066 \u200f\u05e9\u05dc\u05d5\u05dd"
SCRIPT = "<script>window.pwned=1</script>"
IMAGE = '<img src=x onerror="window.pwned=2">'
HOSTILE = f"""{SCRIPT} {IMAGE} <svg onload=window.pwned=3> <iframe srcdoc="{SCRIPT}"></iframe>
# {IMAGE}
[a](javascript:window.pwned=4) [b](JaVaScRiPt:window.pwned=4) [c](data:text/html,{SCRIPT}) [d](vbscript:x)
[e](https://ok.example/"onmouseover="window.pwned=5) ![f](https://ok.example/track.png)
<a href="javascript:pwned=6">g</a>
**{SCRIPT}** *{IMAGE}* `{SCRIPT}`

| {SCRIPT} | {LONG} |
|---|---|
| {IMAGE} | {LONG} |

- {IMAGE}
    - {LONG}
> {SCRIPT}

```html"><script>window.pwned=7</script>
{SCRIPT}{LONG}
```
{TURNED} {LONG}
"""


@pytest.fixture
async def browser(serve: Serve) -> AsyncIterator[Browser]:
    """Ends before the servers do, which look for tasks that are left over."""
    assert serve
    async with Browser() as running:
        yield running


async def seen_as(browser: Browser, width: int, scheme: str) -> None:
    await browser.ask(
        "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600
    )
    await browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


async def until(browser: Browser, condition: str) -> None:
    """Wait until the page fulfils the condition."""
    await browser.measure(
        f"new Promise(done => {{ const look = () => ({condition}) ? done() : setTimeout(look, 20); look(); }})"
    )


async def text_of(browser: Browser, selector: str) -> str:
    return str(await browser.measure(f"document.querySelector({json.dumps(selector)}).innerText"))


async def press(browser: Browser, key: str, *, text: str = "", code: int = 0, shift: bool = False) -> None:
    pressed: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
    await browser.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **pressed)
    await browser.ask("Input.dispatchKeyEvent", type="keyUp", **pressed)


async def tab_to(browser: Browser, name: str) -> None:
    """Press Tab until the element of this id has the focus. Its focus must be visible."""
    for _ in range(40):
        if await browser.measure("document.activeElement.id") == name:
            assert await browser.measure("getComputedStyle(document.activeElement).outlineStyle") == "solid"
            return
        await press(browser, "Tab", code=9)
    raise AssertionError(f"Tab does not reach {name}")


async def asked(browser: Browser, gated: Gated, question: str = "Hi") -> None:
    """Ask in a new chat, and wait for the cost of the answer."""
    await browser.visit(f"{gated.gateway.url}/chat")
    await until(browser, "document.getElementById('model').options.length > 0")
    await browser.measure(f"document.getElementById('question').value = {json.dumps(question)}")
    await browser.measure("document.getElementById('thinking').click(), document.getElementById('send').click()")
    await until(browser, "document.querySelector('.cost')")


async def assert_harmless(browser: Browser, gated: Gated) -> None:
    made = "script:not([src]), main img, main svg, main iframe, [onerror], [onload], [onmouseover], [style]"
    assert await browser.measure("window.pwned === undefined && window.frames.length === 0")
    assert (
        await browser.measure(f"[...document.querySelectorAll({json.dumps(made)})].map(each => each.outerHTML)") == []
    )
    links = await browser.measure("[...document.querySelectorAll('main a')].map(each => [each.protocol, each.rel])")
    assert all(link == ["https:", "noopener noreferrer"] for link in links)
    # A content security policy that has to stop something complains.
    assert browser.complaints == []
    assert all(url.startswith((gated.gateway.url, "data:", "about:")) for url in browser.requests)


async def assert_fits(browser: Browser) -> None:
    wider = (
        "[...document.querySelectorAll('main *')].filter(each => each.getBoundingClientRect().right > innerWidth + 1"
    )
    wider += " && !each.closest('.wide, pre')).map(each => each.outerHTML.slice(0, 90))"
    assert await browser.measure(wider) == []
    assert await browser.measure("document.documentElement.scrollWidth <= innerWidth")


async def test_an_answer_of_scripts_is_text_and_fits_a_narrow_window(browser: Browser, gated: Gated):
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    pages = [
        {"url": "javascript:window.pwned=8", "title": SCRIPT},
        {"url": "https://ok.example/", "title": IMAGE + LONG},
    ]
    for width, scheme in ((390, "light"), (390, "dark"), (1100, "light")):
        gated.simulator.answer(content=HOSTILE, reasoning=HOSTILE, fields={"search_results": pages})
        gated.simulator.answer(
            content=HOSTILE, tool_calls=[{"name": "weather", "arguments": json.dumps({"city": HOSTILE})}], when="call"
        )
        await seen_as(browser, width, scheme)
        await asked(browser, gated, HOSTILE)
        await browser.measure("document.querySelectorAll('details').forEach(each => each.open = true)")
        await assert_harmless(browser, gated)
        await assert_fits(browser)

    await browser.measure(f"document.getElementById('tools').value = {json.dumps(json.dumps(tools))}")
    await browser.measure("document.getElementById('question').value = 'call', document.getElementById('send').click()")
    await until(browser, "document.querySelectorAll('.cost').length == 2")
    assert SCRIPT in await text_of(browser, "[aria-label='Call of a tool']")
    assert await browser.measure("document.querySelectorAll('.sources a').length") == 1
    await assert_harmless(browser, gated)
    await assert_fits(browser)


async def test_an_overview_of_hostile_names_is_text_and_fits_a_narrow_window(browser: Browser, gated: Gated):
    async with gated.openai() as client:
        for name in (SCRIPT, IMAGE + LONG, TURNED):
            with suppress(openai.APIError):
                await client.chat.completions.create(model=name, messages=QUESTION)
        given = await client.files.create(file=(f"{IMAGE}.jsonl", jsonl([batch_line(1)])), purpose="batch")
        words = {"description": SCRIPT, IMAGE: "a", "turned": TURNED, "long": LONG[:512]}
        batch = await client.batches.create(
            input_file_id=given.id, endpoint=CHAT, completion_window="24h", metadata=words
        )
        for width, scheme in ((390, "light"), (390, "dark"), (1100, "light")):
            await seen_as(browser, width, scheme)
            await browser.visit(f"{gated.gateway.url}/")
            await until(browser, f"document.getElementById('jobs').innerText.includes({json.dumps(batch.id)})")
            shown = await text_of(browser, "main")
            assert shown.count(SCRIPT) >= 3  # a model's limit, its spending, its failure, a batch
            assert IMAGE in shown
            await assert_harmless(browser, gated)
            await assert_fits(browser)
    # The time after a failure stands where it stood, whatever direction the text before it has.
    assert await browser.measure("document.querySelectorAll('#failures bdi').length") >= 6


async def test_figures_are_live_and_unchanged_ones_are_not_drawn_again(browser: Browser, gated: Gated):
    await browser.visit(f"{gated.gateway.url}/")
    await until(browser, "document.getElementById('state').innerText === 'live'")
    assert "Nothing spent." in await text_of(browser, "#spent")
    await browser.measure("void (window.kept = document.querySelector('#jobs tr'))")

    async with gated.openai() as client:
        await client.chat.completions.create(model=MODEL, messages=QUESTION)

    await until(browser, f"document.getElementById('spent').innerText.includes({json.dumps(MODEL)})")
    assert await browser.measure("window.kept.isConnected")
    assert sum(url.endswith("/console/events") for url in browser.requests) == 1


@pytest.mark.filterwarnings("ignore:tools. deepseek_web_search with thinking")
async def test_the_chat_is_used_with_the_keyboard_alone(browser: Browser, gateway: StartGateway):
    gated = await gateway(tokens_per_second=30)
    gated.simulator.answer(content="A **bold** answer.", reasoning="Let me see.", when="first")
    gated.simulator.answer(content="word " * 400, reasoning="", when="second")
    await browser.visit(f"{gated.gateway.url}/chat")
    await until(browser, "document.activeElement.id === 'question'")
    await tab_to(browser, "thinking")
    await press(browser, " ", text=" ", code=32)
    await tab_to(browser, "search")
    await press(browser, " ", text=" ", code=32)
    await tab_to(browser, "question")
    await browser.ask("Input.insertText", text="first")
    await press(browser, "Enter", text="\r", code=13, shift=True)
    await browser.ask("Input.insertText", text="line")
    await press(browser, "Enter", text="\r", code=13)
    await until(browser, "document.querySelector('.cost')")

    sent = gated.simulator.requests[-1].body
    assert sent["messages"] == [{"role": "user", "content": "first\nline"}]
    assert (sent["thinking"], sent["tools"]) == ({"type": "enabled"}, [{"type": "deepseek_web_search"}])
    assert await text_of(browser, ".assistant strong") == "bold"
    assert "Let me see." in await browser.measure("document.querySelector('details').textContent")
    assert (await text_of(browser, ".cost")).startswith("$0.0")
    assert await browser.measure("document.activeElement.id") == "question"

    await browser.ask("Input.insertText", text="second")
    await press(browser, "Enter", text="\r", code=13)
    await until(browser, "document.querySelectorAll('.assistant')[1]?.innerText.includes('word')")
    await press(browser, "Escape", code=27)
    await until(browser, "document.getElementById('state').innerText === 'stopped'")
    await until(browser, "document.querySelectorAll('.cost').length == 2")
    assert "not known" in await browser.measure("document.querySelectorAll('.cost')[1].innerText")
    assert await browser.measure(
        "document.getElementById('stop').disabled && !document.getElementById('send').disabled"
    )


async def test_a_failure_is_said_in_the_chat_and_the_conversation_goes_on(browser: Browser, gated: Gated):
    gated.simulator.answer(content=f"no {SCRIPT}", status=400, when="bad")
    await browser.visit(f"{gated.gateway.url}/chat")
    await until(browser, "document.getElementById('model').options.length > 0")
    for question in ("bad", "good"):
        await browser.measure(
            f"document.getElementById('question').value = '{question}', document.getElementById('send').click()"
        )
        await until(browser, "!document.getElementById('send').disabled")
    await until(browser, "document.querySelector('.cost')")

    assert SCRIPT in await text_of(browser, "[role=alert].bad:not(:empty)")
    assert gated.simulator.requests[-1].body["messages"] == [{"role": "user", "content": "good"}]
    assert await browser.measure("window.pwned === undefined")


async def test_every_control_has_a_name_and_every_part_a_role(browser: Browser, gated: Gated):
    gated.simulator.answer(content="```\ncode\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |", reasoning="So.")
    await asked(browser, gated)
    chat = await accessible(browser)
    await browser.visit(f"{gated.gateway.url}/")
    await until(browser, "document.querySelector('progress')")
    overview = await accessible(browser)

    for nodes in (chat, overview):
        assert {"banner", "navigation", "main", "status"} <= {role for role, _ in nodes}
        controls = {"button", "textbox", "combobox", "checkbox", "link", "progressbar", "region", "log", "form"}
        assert [role for role, name in nodes if role in controls and not name] == []
    assert {("button", "Send"), ("button", "Stop"), ("textbox", "Message"), ("checkbox", "Thinking")} <= chat
    assert {("checkbox", "Web search"), ("combobox", "Model"), ("log", "Conversation"), ("group", "Code")} <= chat
    assert any(role == "progressbar" and name.startswith(f"{MODEL}: 0 of ") for role, name in overview)
    assert {("columnheader", "In flight"), ("region", "Batches"), ("heading", "Last failures")} <= overview


async def accessible(browser: Browser) -> set[tuple[str, str]]:
    """Role and name of everything that a screen reader is told."""
    nodes = (await browser.ask("Accessibility.getFullAXTree"))["nodes"]
    return {
        (node["role"]["value"], node.get("name", {}).get("value", "").strip())
        for node in nodes
        if not node["ignored"] and "role" in node
    }


async def test_a_wrong_key_is_refused_and_a_good_one_is_kept_in_the_tab_alone(browser: Browser, gateway: StartGateway):
    gated = await gateway(keys={"team-a": {}, "team-b": {}})
    key = gated.keys["team-a"]
    await browser.visit(f"{gated.gateway.url}/")
    await until(browser, "document.activeElement.id === 'key'")
    assert await text_of(browser, "#refused") == ""
    for wrong, said in (("dsg-wrong", "does not know that key"), ("dsg\u2013key", "letters, digits")):
        await browser.ask("Input.insertText", text=wrong)
        await press(browser, "Enter", text="\r", code=13)
        await until(browser, f"document.getElementById('refused').innerText.includes('{said}')")
        assert await browser.measure("document.getElementById('figures').hidden && document.activeElement.id === 'key'")

    await browser.ask("Input.insertText", text=f" {key} ")
    await press(browser, "Enter", text="\r", code=13)
    await until(browser, "document.getElementById('state').innerText === 'live'")
    await browser.visit(f"{gated.gateway.url}/chat")
    await until(browser, "document.getElementById('model').options.length > 0")
    assert await browser.measure("document.getElementById('login').hidden")
    seen = await browser.measure(
        "[document.documentElement.outerHTML, document.cookie, JSON.stringify(localStorage), location.href]"
    )
    assert [text for text in (*seen, *browser.requests, *browser.complaints) if key in text] == []

    Callers(gated.folder / "keys.json").revoke("team-a")
    await browser.visit(f"{gated.gateway.url}/")
    await until(browser, "!document.getElementById('login').hidden")
    assert "revoked" in await text_of(browser, "#refused")
    assert await browser.measure("sessionStorage.length") == 0


ATTACK = """Promise.allSettled([
    fetch('%(url)s/v1/chat/completions', {method: 'POST', mode: 'no-cors', credentials: 'include', body: '%(body)s'}),
    fetch('%(url)s/v1/chat/completions', {
        method: 'POST', headers: {'Content-Type': 'application/json'}, body: '%(body)s'
    }),
    fetch('%(url)s/v1/files/file_1', {method: 'DELETE'}),
    fetch('%(url)s/console/events'),
    fetch('%(url)s/v1/models', {mode: 'no-cors'}),
    new Promise((resolve, reject) => {
        const image = new Image();
        [image.onload, image.onerror, image.src] = [resolve, reject, '%(url)s/v1/models'];
    }),
    new Promise((resolve, reject) => {
        const script = document.createElement('script');
        [script.onload, script.onerror, script.src] = [resolve, reject, '%(url)s/pages/session.js'];
        document.body.append(script);
    }),
]).then(all => all.map(each => each.status + ' ' + (each.value?.type ?? '')))"""


@pytest.mark.parametrize("keys", [None, {"team-a": {"operator": True}}])
async def test_a_page_of_another_origin_reads_and_changes_nothing(
    browser: Browser, gateway: StartGateway, keys: dict[str, Any] | None
):
    gated = await gateway(keys=keys)

    async def page(_: web.BaseRequest) -> web.Response:
        return web.Response(text="<!doctype html><body>", content_type="text/html")

    if keys is not None:
        await browser.visit(f"{gated.gateway.url}/")
        await until(browser, "document.activeElement.id === 'key'")
        await browser.ask("Input.insertText", text=gated.keys["team-a"])
        await press(browser, "Enter", text="\r", code=13)
        await until(browser, "document.getElementById('state').innerText === 'live'")
    body = json.dumps({"model": MODEL, "messages": QUESTION}).replace("'", "")
    application = web.Application()
    application.router.add_get("/", page)
    async with TestServer(application) as other:
        await browser.visit(str(other.make_url("/")))
        done = await browser.measure(ATTACK % {"url": gated.gateway.url, "body": body})

    # Without CORS the sender may learn that something was sent, and no more.
    assert {each for each in done if each.startswith("fulfilled")} <= {"fulfilled opaque"}
    assert gated.simulator.statistics().requests == 0
