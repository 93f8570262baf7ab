"""Every way in which a client sends something: found by looking at its resources, and how each of them is gone."""

from __future__ import annotations

import inspect
import io
import json
import wave
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from deepseek_async import AsyncDeepSeek, errors
from deepseek_async.resources.resource_attribute import resources_of

MODEL = "deepseek-v4-pro"
SURE = {"temperature": 0, "thinking": {"type": "disabled"}, "max_tokens": 64}

SENDS_NOTHING = {
    "batch.of_foreign_requests",  # makes another batch
    "chat.completions.count_tokens",
    "tools.ocr_form",
    "tools.ocr_call",
    "tools.ocr_complete",
    *(
        f"{resource}.{method}"
        for resource in ("chat.completions", "completions", "responses", "messages", "embeddings", "images")
        for method in ("call", "complete")
    ),
    *(
        f"{resource}.recorded"
        for resource in ("chat.completions", "completions", "responses", "messages", "embeddings", "images", "files")
    ),
    *(f"{resource}.recorded" for resource in ("fine_tunes", "models", "tools", "user")),
}
"""Methods that make a call which has not begun, or that go on with one."""
"""Public, and not a way out: makes what ``create`` and bulk send, waits for it, and counts."""


def callables(client: AsyncDeepSeek) -> Iterator[str]:
    """The names of all public methods of the client's resources, those of bulk included."""
    for name in resources_of(type(client)):
        yield from _methods(name, getattr(client, name))


def _methods(name: str, resource: Any) -> Iterator[str]:
    kind = type(resource)
    if not kind.__module__.startswith(("deepseek_async.resources.", "deepseek_async.batch.")):
        return
    for attribute in dir(kind):
        member = inspect.getattr_static(kind, attribute)
        is_method = inspect.isfunction(member) or isinstance(member, staticmethod)
        if not attribute.startswith("_") and is_method:
            yield f"{name}.{attribute}"
    parts = {**vars(resource), **{part: getattr(resource, part) for part in resources_of(kind)}}
    for attribute, part in parts.items():
        if not attribute.startswith("_"):
            yield from _methods(f"{name}.{attribute}", part)


@dataclass(frozen=True)
class Way:
    """One way out of a client. ``go`` sends ``text`` in every field that takes one, and takes the answer in."""

    name: str
    """The method, and after a space what is special about this way of calling it."""
    go: Callable[[Any, str, Given], Awaitable[Any]]
    """Takes the resource, the text and what is there."""
    family: str | None = None
    """What ``endpoints`` calls it; None for what goes where chat goes."""
    billed: bool = False
    cached: bool = False
    speaks: bool = True
    """Whether the answer has a text of its own, for a check of answers to see."""
    says: bool = True
    """Whether the request has one; a look at what is there has none."""

    @property
    def method(self) -> str:
        return self.name.partition(" ")[0]

    @property
    def is_chat(self) -> bool:
        return self.family is None and self.method.startswith(("chat.", "batch."))

    async def gone(self, client: AsyncDeepSeek, text: str, given: Given) -> Any:
        """Go this way with ``client``."""
        resource: Any = client
        for part in self.method.split(".")[:-1]:
            resource = getattr(resource, part)
        if "raw" in self.name:
            return (await self.go(resource.with_raw_response, text, given)).parse()
        return await self.go(resource, text, given)


@dataclass
class Given:
    """What is there on the server before a call is made, and where files may be written."""

    folder: Path
    file: str = ""
    job: str = ""


async def read(stream: Any) -> Any:
    """A stream read to its end."""
    async with stream:
        async for _ in stream:
            pass
    return stream


def messages(text: str) -> list[dict[str, Any]]:
    """A conversation with ``text`` wherever one may stand."""
    return [
        {"role": "system", "content": text},
        {"role": "user", "content": [{"type": "text", "text": text}]},
        {
            "role": "assistant",
            "content": text,
            "reasoning_content": text,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "look", "arguments": json.dumps({"q": text})},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": text},
        {"role": "user", "content": text},
    ]


def chat(text: str) -> dict[str, Any]:
    """The parameters of a chat call that will not call its tool."""
    schema = {"type": "object", "properties": {"q": {"type": "string", "description": text}}}
    function = {"name": "look", "description": text, "parameters": schema}
    return {
        "model": MODEL,
        "messages": messages(text),
        "tools": [{"type": "function", "function": function}],
        "tool_choice": "none",
        "stop": [text],
        "extra_body": {"metadata": {"note": text}},
        **SURE,
    }


def respond(text: str) -> dict[str, Any]:
    """The parameters of a call of ``responses``, with every shape of item."""
    return {
        "model": MODEL,
        "instructions": text,
        "input": [
            {"role": "user", "content": text},
            {"role": "user", "content": [{"type": "input_text", "text": text}]},
            {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": json.dumps({"q": text})},
            {"type": "function_call_output", "call_id": "call_1", "output": text},
            {"role": "user", "content": text},
        ],
        "tools": [{"type": "function", "name": "look", "description": text, "parameters": {"type": "object"}}],
        "tool_choice": "none",
        "reasoning": {"effort": "none"},
        "temperature": 0,
        "max_output_tokens": 64,
    }


def message(text: str) -> dict[str, Any]:
    """The parameters of a call of ``messages``, with every block that may be sent."""
    schema = {"type": "object", "properties": {"q": {"type": "string", "description": text}}}
    answered = [
        {"type": "thinking", "thinking": text, "signature": "c2lnbmVk"},
        {"type": "text", "text": text, "citations": [{"type": "web_search_result_location", "cited_text": text}]},
        {"type": "server_tool_use", "id": "srv_1", "name": "deepseek_web_search", "input": {"query": text}},
        {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": [{"type": "x", "title": text}]},
        {"type": "tool_use", "id": "call_1", "name": "look", "input": {"q": text, "more": [{"deep": text}]}},
    ]
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": text}]}
    return {
        "model": MODEL,
        "system": [{"type": "text", "text": text}],
        "messages": [
            {"role": "user", "content": text},
            {"role": "assistant", "content": answered},
            {"role": "user", "content": [result, {"type": "text", "text": text}]},
        ],
        "tools": [{"name": "look", "description": text, "input_schema": schema}],
        "tool_choice": {"type": "none"},
        "stop_sequences": [text],
        "extra_body": {"note": {"said": text}},
        **SURE,
    }


FIM = {"model": MODEL, "temperature": 0, "max_tokens": 16}


def recording(seconds: float, rate: int = 8_000, channels: int = 1) -> bytes:
    """Silence as a WAV file of 16-bit PCM."""
    wire = io.BytesIO()
    with wave.open(wire, "wb") as written:
        written.setparams((channels, 2, rate, 0, "NONE", ""))
        written.writeframes(bytes(round(seconds * rate) * 2 * channels))
    return wire.getvalue()


async def _entered(manager: Any) -> Any:
    async with manager as stream:
        async for _ in stream:
            pass
    return stream


async def _structured(completions: Any, text: str, _: Given) -> Any:
    parameters = {"model": MODEL, "messages": [{"role": "user", "content": text}], **SURE}
    return await completions.create(response_format=_Named, **parameters)


async def _tools(completions: Any, text: str, _: Given) -> Any:
    async def look(q: str) -> str:
        return q + text

    look.__doc__ = f"Look: {text}"
    parameters = {"model": MODEL, "messages": [{"role": "user", "content": text}], **SURE}
    return await completions.run_tools(tools=[look], tool_choice="none", **parameters)


async def _map(batch: Any, text: str, _: Given) -> Any:
    return await _of_one(batch.map([{"messages": messages(text)}], model=MODEL, **SURE))


async def _table(batch: Any, text: str, _: Given) -> Any:
    answered = await batch.table(pd.DataFrame({"messages": [messages(text)]}), model=MODEL, **SURE)
    if isinstance(failure := answered["error"][0], str):
        kind, _, message = failure.partition(": ")
        error = getattr(errors, kind)(message)
        if kind == "ContentBlockedError":
            error.direction = "input" if pd.isna(answered["cost"][0]) else "output"
        raise error
    return answered.to_dict("records")


async def _of_one(results_of_one: Any) -> Any:
    results = [result async for result in results_of_one]
    if results[0].error is not None:
        raise results[0].error
    return results[0]


async def _run(batch: Any, text: str, given: Given, *, job: bool = False) -> Any:
    rows, output = given.folder / "in.jsonl", given.folder / "out.jsonl"
    rows.write_text(json.dumps({"messages": messages(text), "model": MODEL, **SURE}) + "\n")
    output.unlink(missing_ok=True)
    if not job:
        return _checked(await batch.run(rows, output))
    return await _whole(batch.job(rows, output))


async def _whole(job: Any) -> Any:
    return _checked(await job.run())


def _checked(report: Any) -> Any:
    if isinstance(report.stopped, Exception):
        raise report.stopped
    for failed in report.first_failures:
        raise failed.error
    return report


async def _documents(batch: Any, text: str, given: Given) -> Any:
    document, output = given.folder / f"{text}.txt", given.folder / "pages.jsonl"
    document.write_text(text)
    output.unlink(missing_ok=True)
    return await _whole(batch.ocr([document], output))


async def _upload(files: Any, text: str, _: Given) -> Any:
    line = json.dumps({"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": text}]})
    return await files.create(file=(f"{text}.jsonl", line.encode()), purpose="fine-tune")


async def _document(files: Any, text: str, _: Given) -> Any:
    return await files.create(file=(f"{text}.jsonl", text.encode()), purpose="text_recognition")


@dataclass
class _Named:
    name: str


def _both(name: str, go: Any, **facts: Any) -> list[Way]:
    """A way, and the same with the response that brought the answer."""
    return [Way(name, go, **facts), Way(f"{name} raw", go, **facts)]


BILLED = {"billed": True, "cached": True}

WAYS = [
    *_both("chat.completions.create", lambda r, text, _: r.create(**chat(text)), **BILLED),
    Way("chat.completions.create stream", lambda r, text, _: _awaited(r.create(stream=True, **chat(text))), **BILLED),
    Way("chat.completions.create structured", _structured, **BILLED),
    Way("chat.completions.stream", lambda r, text, _: _entered(r.stream(**chat(text))), **BILLED),
    Way("chat.completions.parse", lambda r, text, _: r.parse(**chat(text)), **BILLED),
    Way("chat.completions.run_tools", _tools, **BILLED),
    Way("batch.map", _map, **BILLED),
    Way("batch.table", _table, **BILLED),
    Way("batch.run", _run, **BILLED),
    Way("batch.job", lambda r, text, given: _run(r, text, given, job=True), **BILLED),
    Way("batch.ocr", _documents, family="tools", billed=True),
    *(
        Way(
            f"batch.map {family}",
            lambda r, text, _, family=family, body=body: _of_one(r.map([{"url": f"/v1/{family}", "body": body(text)}])),
            family=family,
            speaks=family != "embeddings",
            **BILLED,
        )
        for family, body in (
            ("completions", lambda text: {"prompt": text, "suffix": text, **FIM}),
            ("responses", respond),
            ("messages", message),
            ("embeddings", lambda text: {"model": "bge-m3", "input": [text, f"once more {text}"]}),
        )
    ),
    *_both(
        "completions.create",
        lambda r, text, _: r.create(prompt=text, suffix=text, **FIM),
        family="completions",
        **BILLED,
    ),
    Way(
        "completions.create stream",
        lambda r, text, _: _awaited(r.create(prompt=text, suffix=text, stream=True, **FIM)),
        family="completions",
        **BILLED,
    ),
    Way(
        "completions.stream",
        lambda r, text, _: _entered(r.stream(prompt=text, suffix=text, **FIM)),
        family="completions",
        **BILLED,
    ),
    *_both("responses.create", lambda r, text, _: r.create(**respond(text)), family="responses", **BILLED),
    Way(
        "responses.create stream",
        lambda r, text, _: _awaited(r.create(stream=True, **respond(text))),
        family="responses",
        **BILLED,
    ),
    Way(
        "responses.stream",
        lambda r, text, _: _entered(r.stream(**respond(text))),
        family="responses",
        **BILLED,
    ),
    *_both("messages.create", lambda r, text, _: r.create(**message(text)), family="messages", **BILLED),
    Way(
        "messages.create stream",
        lambda r, text, _: _awaited(r.create(stream=True, **message(text))),
        family="messages",
        **BILLED,
    ),
    Way("messages.stream", lambda r, text, _: _entered(r.stream(**message(text))), family="messages", **BILLED),
    *_both(
        "embeddings.create",
        lambda r, text, _: r.create(model="bge-m3", input=[text, f"once more {text}"], user="u1"),
        family="embeddings",
        speaks=False,
        **BILLED,
    ),
    *_both(
        "images.generate",
        lambda r, text, _: r.generate(prompt=text, size="64x64", extra_body={"negative_prompt": text}),
        family="images",
        billed=True,
    ),
    *_both("files.create", _upload, family="files"),
    *_both("files.create document", _document, family="files", billed=True),
    *_both("files.list", lambda r, _, __: r.list(), family="files", says=False),
    *_both("files.retrieve", lambda r, _, given: r.retrieve(given.file), family="files", says=False),
    *_both("files.delete", lambda r, _, given: r.delete(given.file), family="files", speaks=False, says=False),
    *_both(
        "fine_tunes.create",
        lambda r, text, given: r.create(
            training_file=given.file,
            model="deepseek-base",
            extra_body={"suffix": text},
        ),
        family="fine_tunes",
        billed=True,
    ),
    *_both("fine_tunes.list", lambda r, _, __: r.list(), family="fine_tunes", says=False),
    *_both("fine_tunes.retrieve", lambda r, _, given: r.retrieve(given.job), family="fine_tunes", says=False),
    *_both("fine_tunes.cancel", lambda r, _, given: r.cancel(given.job), family="fine_tunes", says=False),
    *_both("fine_tunes.events", lambda r, _, given: r.events(given.job), family="fine_tunes", says=False),
    *_both(
        "tools.search",
        lambda r, text, _: r.search(text, ori_question=text, extra_body={"note": text}),
        family="tools",
        billed=True,
    ),
    *_both(
        "tools.fetch",
        lambda r, text, _: r.fetch(f"https://example.org/?q={quote(text)}", extra_body={"note": text}),
        family="tools",
        billed=True,
    ),
    *_both(
        "tools.ocr",
        lambda r, text, _: r.ocr((f"{text}.txt", text.encode()), purpose="text_recognition"),
        family="tools",
        billed=True,
    ),
    *_both(
        "tools.transcribe",
        lambda r, text, _: r.transcribe((f"{text}.wav", recording(1.5))),
        family="tools",
        billed=True,
    ),
    Way(
        "tools.speech",
        lambda r, text, _: _awaited(r.speech(text, extra_body={"note": text})),
        family="tools",
        billed=True,
        speaks=False,
    ),
    *_both("models.list", lambda r, _, __: r.list(), says=False),
    *_both("models.retrieve", lambda r, _, __: r.retrieve(MODEL), says=False),
    *_both("user.balance", lambda r, _, __: r.balance(), says=False),
]


async def _awaited(asked: Awaitable[Any]) -> Any:
    """The stream that was asked for, read to its end; with a raw response as it came."""
    return await read(await asked)
