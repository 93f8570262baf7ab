"""Calls of every kind that a client makes, drawn by chance: what is asked, and whether the answer is waited for."""

from __future__ import annotations

import dataclasses
import io
import random
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from deepseek_async import AsyncDeepSeek

MODELS = ("deepseek-flash", "deepseek-v4-pro")
SEARCHING: Any = [{"type": "deepseek_web_search"}, {"type": "deepseek_read_url"}]
WORDS = ("What", "is", "a", "price", "?", "Grüße", "世界")
OFFENCES = ("unsafe input", "unsafe output", "unsafe beginning", "")
WHOLE = 10_000
"""More events than any stream has."""

Way = Callable[[AsyncDeepSeek], Awaitable[Any]]


@dataclasses.dataclass
class Review:
    """What a structured answer is to be."""

    stars: int


class RandomCalls:
    """``way`` is the next call. Without ``leaving`` every stream is read to its end."""

    def __init__(self, chance: random.Random, *, bulk: bool, leaving: bool) -> None:
        self._chance = chance
        self._bulk_too = bulk
        self._leaving = leaving
        self.differences: list[str] = []
        """Fees of stand-alone tools that are not what was asked for."""

    def way(self) -> Way:
        """One of all ways."""
        models = [self._plain, self._stream, self._response, self._response_stream, self._text, self._tools]
        models += [self._object, self._message, self._message_stream]
        pieces = [self._search, self._fetch, self._ocr, self._speech, self._spoken_pieces, self._transcribe]
        ways = [*models * 3, *pieces, self._upload, self._document]
        return self._chance.choice([*ways, self._bulk] if self._bulk_too else ways)

    def _question(self) -> str:
        return " ".join(self._chance.choices(WORDS, k=20))

    def _asked(self) -> dict[str, Any]:
        chance, question = self._chance, self._question()
        asked: dict[str, Any] = {
            "model": chance.choice(MODELS),
            "max_tokens": chance.choice((8, 64, 400)),
            "thinking": chance.random() < 0.5,
        }
        reviewed = chance.random() < 0.15
        if chance.random() < 0.3:
            asked |= {"model": MODELS[0], "tools": SEARCHING, "title": chance.random() < 0.5}
            # Whether there was a search before a refusal nobody can tell who sees none: that is counted at most.
            question += chance.choice(("", " https://example.com/a https://example.com/b", " offline")[: 3 - reviewed])
        if reviewed:
            asked["safety_check"] = "high"
            question += f" {chance.choice(OFFENCES)}"
        return {**asked, "messages": [{"role": "user", "content": question}]}

    def _message_asked(self) -> dict[str, Any]:
        asked = self._asked()
        tools = [{**tool, "name": tool["type"]} for tool in asked.pop("tools", ())]
        thinking = {"type": "enabled" if asked["thinking"] else "disabled"}
        return {**asked, "thinking": thinking, **({"tools": tools} if tools else {})}

    def _response_asked(self) -> dict[str, Any]:
        asked = self._asked()
        (message,), most, thinking = asked.pop("messages"), asked.pop("max_tokens"), asked.pop("thinking")
        effort = {"effort": "high" if thinking else "none"}
        return {**asked, "input": message["content"], "reasoning": effort, "max_output_tokens": most}

    async def _plain(self, client: AsyncDeepSeek) -> None:
        await client.chat.completions.create(**self._asked())

    async def _stream(self, client: AsyncDeepSeek) -> None:
        async with client.chat.completions.stream(**self._asked()) as stream:
            await self._read(stream)

    async def _response(self, client: AsyncDeepSeek) -> None:
        await client.responses.create(**self._response_asked())

    async def _response_stream(self, client: AsyncDeepSeek) -> None:
        async with client.responses.stream(**self._response_asked()) as stream:
            await self._read(stream)

    async def _message(self, client: AsyncDeepSeek) -> None:
        await client.messages.create(**self._message_asked())

    async def _message_stream(self, client: AsyncDeepSeek) -> None:
        async with client.messages.stream(**self._message_asked()) as stream:
            await self._read(stream)

    async def _text(self, client: AsyncDeepSeek) -> None:
        await client.completions.create(model="deepseek-v4-pro", prompt="def price(", max_tokens=32)

    async def _tools(self, client: AsyncDeepSeek) -> None:
        async def price(name: str = "tea") -> str:
            """The price of a thing."""
            return f"{name}: 3"

        asked = self._asked()
        tools = [price, *asked.pop("tools", ())]
        if len(tools) > 1:
            asked.pop("safety_check", None)  # see above: a refusal in the place of a call shows no search either
        await client.chat.completions.run_tools(**asked, tools=tools, max_turns=3)

    async def _object(self, client: AsyncDeepSeek) -> None:
        await client.chat.completions.create(**self._asked(), response_format=Review)

    async def _bulk(self, client: AsyncDeepSeek) -> None:
        async for _ in client.batch.map([f"Row {self._chance.random()}" for _ in range(3)], max_tokens=16):
            pass

    # Paid by the piece

    async def _search(self, client: AsyncDeepSeek) -> None:
        self._compare(await client.tools.search(self._question()[:100], count=3), "search", 1)

    async def _fetch(self, client: AsyncDeepSeek) -> None:
        self._compare(await client.tools.fetch(f"https://example.org/{self._chance.random()}"), "fetch", 1)

    async def _ocr(self, client: AsyncDeepSeek) -> None:
        pages = self._chance.randrange(1, 9)
        document = b"\x0c".join([b"%PDF-1.7 a page"] * pages)
        read = await client.tools.ocr(("a.pdf", document), purpose="text_recognition")
        self._compare(read, "page", pages)

    async def _transcribe(self, client: AsyncDeepSeek) -> None:
        seconds, recording = self._chance.randrange(1, 4), io.BytesIO()
        with wave.open(recording, "wb") as written:
            written.setparams((1, 2, 8_000, 0, "NONE", ""))
            written.writeframes(bytes(2 * (8_000 * seconds - 1)))
        self._compare(await client.tools.transcribe(("a.wav", recording.getvalue())), "audio_seconds", seconds)

    async def _speech(self, client: AsyncDeepSeek) -> None:
        text = self._question()
        async with await client.tools.speech(text) as audio:
            await self._read(audio)
        self._compare_speech(audio, text)

    async def _spoken_pieces(self, client: AsyncDeepSeek) -> None:
        texts = [self._question() for _ in range(3)]

        async def pieces() -> AsyncIterator[str]:
            for text in texts:
                yield text

        async with await client.tools.speech(pieces()) as audio:
            await self._read(audio)
        self._compare_speech(audio, "".join(texts))

    async def _upload(self, client: AsyncDeepSeek) -> None:
        await client.files.create(file=("a.png", b"\x89PNG\r\n\x1a\n" + bytes(100)), purpose="user_data")

    async def _document(self, client: AsyncDeepSeek) -> None:
        pages = self._chance.randrange(1, 9)
        document = (f"{self._chance.random()}.txt", b"\x0c".join([b"a page"] * pages))
        # What is lost is looked for as long as it may be parsed.
        until = 1.5 if self._leaving else None
        made = await client.files.create(file=document, purpose="text_recognition", pages=pages, timeout=until)
        self._compare(made, "page", pages)

    async def _read(self, stream: Any) -> None:
        events = self._chance.choice((self._chance.randrange(30), WHOLE)) if self._leaving else WHOLE
        async for _ in stream:
            events -= 1
            if events < 0:
                break

    def _compare_speech(self, audio: Any, text: str) -> None:
        if not self._leaving:
            self._compare(audio.result, "speech_characters", sum(1 + ("\u4e00" <= each <= "\u9fff") for each in text))

    def _compare(self, answer: Any, kind: str, count: int) -> None:
        """Hold the fees of an answer at the first try against what was asked for."""
        told = [(fee.kind, fee.count) for fee in answer.fees]
        if not answer.billed_attempts and told != [(kind, count)]:
            self.differences.append(f"{kind}: {count:,} were asked for, and {told} is told")
