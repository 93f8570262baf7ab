"""Answers that outlive a page: every event once, whoever comes back in time, and nothing kept for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from relaying import EDGES, RunService, service
from support.event_source import Event, EventSource, events_in
from support.waiting import settled, until

from deepseek_async import ConfigurationError
from deepseek_async.integrations.web import Ending, Heartbeat, ResumableAnswers

edges = pytest.mark.parametrize("edge", EDGES)


class Told:
    """An answer whose words come when the test says them."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed = asyncio.Event()
        self._words: asyncio.Queue[str | None] = asyncio.Queue()

    def say(self, *words: str | None) -> None:
        for word in words:
            self._words.put_nowait(word)

    async def source(self) -> AsyncIterator[str]:
        self.opened += 1
        try:
            while (word := await self._words.get()) is not None:
                yield word
        finally:
            self.closed.set()


async def read(page: Any, count: int, source: EventSource) -> list[Event]:
    """The next events of a page, at least ``count``."""
    found: list[Event] = []
    while len(found) < count:
        found += source.feed(await page.content.readany())
    return found


def words_of(events: list[Event]) -> list[str]:
    return [event.value for event in events if event.kind == "message"]


@edges
async def test_a_browser_that_reconnects_gets_the_rest_of_the_same_answer(edge: str, run_service: RunService):
    told = Told()
    async with ResumableAnswers() as answers:
        site = await run_service(service(edge, told.source, resumable=answers))
        source = EventSource()
        told.say("a", "b")
        async with site.get("/answer") as page:
            first = await read(page, 2, source)
            page.close()
        await until(lambda: answers.running == 1)
        told.say("c", None)
        async with site.get("/answer", source.last_event_id) as page:
            rest = events_in(await page.read())
    assert words_of(first) == ["a", "b"]
    assert words_of(rest) == ["c"]
    assert [event.number for event in first + rest] == [1, 2, 3, 4]
    assert told.opened == 1


@edges
async def test_a_page_that_was_reloaded_gets_everything_again(edge: str, run_service: RunService):
    told = Told()
    async with ResumableAnswers() as answers:
        site = await run_service(service(edge, told.source, resumable=answers))
        told.say("a")
        async with site.get("/answer") as page:
            answer_id = page.headers["x-answer-id"]
            await read(page, 1, EventSource())
            async with site.get(f"/answer/{answer_id}") as twin:
                told.say("b", None)
                assert words_of(events_in(await twin.read())) == ["a", "b"]
            assert events_in(await page.read())[-1].kind == "end"
        async with site.get(f"/answer/{answer_id}") as later:
            assert words_of(events_in(await later.read())) == ["a", "b"]


@edges
async def test_a_reader_cut_off_before_the_first_event_can_come_back(edge: str, run_service: RunService):
    told = Told()
    async with ResumableAnswers() as answers:
        app = service(edge, told.source, resumable=answers, heartbeat=Heartbeat(headers_after=0.5))
        site = await run_service(app)
        source = EventSource()
        async with site.get("/answer") as page:
            source.feed(await page.content.readany())
            page.close()
        assert source.last_event_id.endswith(".0")
        told.say("a", None)
        async with site.get("/answer", source.last_event_id) as page:
            assert words_of(events_in(await page.read())) == ["a"]
    assert told.opened == 1


@edges
async def test_an_answer_that_nobody_came_back_to_is_closed_after_its_grace(edge: str, run_service: RunService):
    told, endings = Told(), list[Ending]()
    async with ResumableAnswers(grace=5) as answers:
        site = await run_service(service(edge, told.source, resumable=answers, at_end=endings.append))
        told.say("a")
        async with site.get("/answer") as page:
            answer_id = page.headers["x-answer-id"]
            await read(page, 1, EventSource())
            page.close()
        left = asyncio.get_running_loop().time()
        await told.closed.wait()
        assert asyncio.get_running_loop().time() - left == pytest.approx(5, abs=0.5)
        async with site.get(f"/answer/{answer_id}") as later:
            assert [event.kind for event in events_in(await later.read())] == ["message", "stopped"]
    assert [ending.stopped for ending in endings] == [True]


@edges
async def test_a_stop_by_the_user_ends_the_answer_for_every_reader(edge: str, run_service: RunService):
    told = Told()
    async with ResumableAnswers() as answers:
        app = service(edge, told.source, resumable=answers, at_end=lambda ending: {"cost": 1})
        site = await run_service(app)
        told.say("a")
        async with site.get("/answer") as page:
            url = f"{site.url}/answer/{page.headers['x-answer-id']}"
            await read(page, 1, EventSource())
            async with site.session.delete(url) as stopped:
                assert stopped.status == 204
            (last,) = events_in(await page.read())
            assert (last.kind, last.value) == ("stopped", {"cost": 1})
        assert told.closed.is_set()
        async with site.session.delete(url) as stopped:
            assert stopped.status == 404


@edges
@pytest.mark.parametrize("last_event_id", ["A" * 24 + ".3", "B" * 24 + ".0"])
async def test_the_id_of_a_forgotten_answer_begins_no_new_one(edge: str, last_event_id: str, run_service: RunService):
    told = Told()
    async with ResumableAnswers() as answers:
        site = await run_service(service(edge, told.source, resumable=answers))
        for path in ("/answer", f"/answer/{last_event_id[:24]}"):
            async with site.get(path, last_event_id) as page:
                assert page.status == 204
    assert told.opened == 0


async def test_an_id_of_somebody_elses_begins_a_new_answer(run_service: RunService):
    told = Told()
    told.say("a", None)
    async with ResumableAnswers() as answers:
        site = await run_service(service("fastapi", told.source, resumable=answers))
        async with site.get("/answer", "17") as page:
            assert words_of(events_in(await page.read())) == ["a"]


@edges
async def test_who_has_all_of_an_answer_that_has_ended_is_told_not_to_come_again(edge: str, run_service: RunService):
    told = Told()
    told.say("a", None)
    async with ResumableAnswers() as answers:
        site = await run_service(service(edge, told.source, resumable=answers))
        source = EventSource()
        async with site.get("/answer") as page:
            source.feed(await page.read())
            answer_id = page.headers["x-answer-id"]
        for last_event_id in (source.last_event_id, f"{answer_id}.999999999999"):
            for path in ("/answer", f"/answer/{answer_id}"):
                async with site.get(path, last_event_id) as page:
                    assert page.status == 204
    assert told.opened == 1


@pytest.mark.parametrize(("after", "seen"), [(-(10**30), ["a", "b"]), (-1, ["a", "b"]), (1, ["b"]), (10**30, ["b"])])
async def test_a_number_that_no_event_has_loses_nothing_that_is_to_come(after: int, seen: list[str]):
    told = Told()
    async with ResumableAnswers() as answers:
        live = answers.begin(told.source(), "text")
        told.say("a")
        with live.reader() as first:
            await anext(first)
            reader = await answers.reader(live.answer_id or "", after)
            assert reader is not None
            told.say("b", None)
            with reader:
                assert words_of(events_in(*[block async for block in reader])) == seen


async def test_ids_of_the_programs_own_that_could_not_be_resumed_are_told_before_the_model_is_asked():
    told = Told()
    async with ResumableAnswers(new_id=lambda: "chat 7") as answers:
        with pytest.raises(ConfigurationError, match="new_id must return"):
            answers.begin(told.source(), "text")
    assert told.opened == 0


async def test_ids_are_long_and_never_the_same():
    async with ResumableAnswers() as answers:
        ids = {answers.begin(Told().source(), "text").answer_id for _ in range(100)}
    assert len(ids) == 100
    assert all(name is not None and len(name) == 24 for name in ids)


async def test_events_are_forgotten_after_a_while():
    async with ResumableAnswers(keep=60) as answers:
        told = Told()
        told.say("a", None)
        live = answers.begin(told.source(), "text")
        with live.reader() as reader:
            assert [event.kind for event in events_in(*[block async for block in reader])] == ["message", "end"]
        assert live.answer_id is not None
        await asyncio.sleep(59)
        assert await answers.reader(live.answer_id) is not None
        await asyncio.sleep(2)
        assert await answers.reader(live.answer_id) is None
        assert (len(answers), answers.held_bytes) == (0, 0)


async def test_the_oldest_answers_that_have_ended_make_room_for_new_ones():
    async with ResumableAnswers(max_answer_bytes=2_000, max_bytes=4_000) as answers:
        ids = []
        for _ in range(8):
            told = Told()
            told.say("x" * 900, None)
            live = answers.begin(told.source(), "text")
            with live.reader() as reader:
                assert [block async for block in reader]
            assert answers.held_bytes <= 4_000
            ids.append(live.answer_id or "")
        assert await answers.reader(ids[0]) is None
        assert await answers.reader(ids[-1]) is not None


async def test_nobody_reads_and_the_model_is_held_back_before_anything_is_dropped():
    said = 0

    async def endless() -> AsyncIterator[str]:
        nonlocal said
        while True:
            said += 1
            yield "x" * 1_000
            await asyncio.sleep(0)

    async with ResumableAnswers(max_answer_bytes=50_000, grace=10) as answers:
        live = answers.begin(endless(), "text")
        with live.reader() as reader:
            await anext(reader)
        await settled(200)
        assert 35 <= said <= 40
        assert live.log.has(1)
        with live.reader(1) as reader:
            assert events_in(await anext(reader))[0].number == 2


async def test_a_reader_that_needs_what_was_dropped_is_told_that_the_answer_is_interrupted():
    async with ResumableAnswers(max_answer_bytes=2_000, max_bytes=4_000) as answers:
        told = Told()
        live = answers.begin(told.source(), "ui")
        with live.reader() as reader:
            for number in range(9):
                told.say(str(number) * 500)
                await anext(reader)
            with live.reader(2) as late:
                events = events_in(*[block async for block in late])
    assert [event.data for event in events][-1] == "[DONE]"
    assert events[0].value["type"] == "error"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"grace": 0}, "grace must be seconds above 0 and up to 86,400, got 0"),
        ({"keep": -1}, "keep must be seconds above 0"),
        ({"max_answer_bytes": 10}, "max_answer_bytes must be from 1,024 to max_bytes"),
        ({"redis": "http://127.0.0.1"}, "redis must be a URL such as redis://"),
    ],
)
async def test_what_cannot_be_is_told_when_it_is_made(options: dict[str, Any], words: str):
    with pytest.raises(ConfigurationError, match=words):
        ResumableAnswers(**options)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from(["say", "read", "leave", "come"]), max_size=25), st.booleans())
def test_whatever_a_reader_does_it_has_each_event_once(steps: list[str], stopped: bool):
    async def play() -> None:
        async with ResumableAnswers(grace=1) as answers:
            told, said, seen = Told(), 0, list[Event]()
            live = answers.begin(told.source(), "text")
            reader: Any = live.reader()
            for step in steps:
                if step == "say":
                    told.say(str(said))
                    said += 1
                    await settled(5)
                elif step == "read" and reader is not None and live.log.last > len(seen):
                    seen += events_in(await anext(reader))
                elif step == "leave" and reader is not None:
                    reader.__exit__(None, None, None)
                    reader = None
                elif step == "come" and reader is None:
                    reader = live.reader(len(seen))
            reader = reader or live.reader(len(seen))
            if stopped:
                live.stop()
            else:
                told.say(None)
            seen += events_in(*[block async for block in reader])
            assert [event.number for event in seen] == list(range(1, len(seen) + 1))
            assert words_of(seen) == [str(number) for number in range(said)]
            assert seen[-1].kind == ("stopped" if stopped else "end")

    asyncio.run(play())


async def test_a_service_that_ends_tells_its_readers_that_the_answer_was_interrupted_and_not_that_they_stopped_it():
    told = Told()
    answers = ResumableAnswers()
    live = answers.begin(told.source(), "text")
    told.say("a")
    with live.reader() as reader:
        first = events_in(await anext(reader))
        await answers.aclose()
        events = first + events_in(*[block async for block in reader])
    assert [event.kind for event in events] == ["message", "failed"]
    assert told.closed.is_set()
