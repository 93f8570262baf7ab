"""What stands around every call of a client: cache, content filter, and those who are told how it ended.

Only a client that has one of them makes these; without, a call costs one attribute test.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from deepseek_async.cache import Cache, CacheHit, cache_key
from deepseek_async.call.answer_text import text_of
from deepseek_async.call.metering import metered
from deepseek_async.call.recorder import CallRecorder
from deepseek_async.call.replayed import events_of, replayed
from deepseek_async.call.stream.observer import ObservedStream
from deepseek_async.call.texts import StreamFilter, filter_error, filtered, passing_for
from deepseek_async.content import ContentFilter, Verdict
from deepseek_async.errors import APIError, CircuitOpenError, ContentBlockedError, DeepSeekError
from deepseek_async.events import Listener, Retried, tell, word_for
from deepseek_async.pricing.prices import Meter
from deepseek_async.types import Answer, ChatCompletion, Message

if TYPE_CHECKING:
    from deepseek_async.call.exchange import Exchange
    from deepseek_async.call.lifecycle import Attempts
    from deepseek_async.call.stream import AnswerStream

T = TypeVar("T", bound=Answer)
StreamT = TypeVar("StreamT", bound="AnswerStream[Any, Any]")


class CallMiddleware(msgspec.Struct, frozen=True, kw_only=True):
    """Of one client, at whichever server; any of them may be missing."""

    meter: Meter
    listeners: list[Listener]
    cache: Cache | None = None
    content: ContentFilter | None = None

    async def answer(self, call: Attempts, decode: Callable[[bytes], T], ask: Callable[[], Awaitable[T]]) -> T:
        """What ``ask`` gives for ``call``, or the cache has, filtered; and its end is told."""
        verdict = None if self.content is None else Verdict()
        recorder = CallRecorder(verdict)
        came: T | None = None
        try:
            if verdict is not None:
                await self.look_over(call, verdict)
            cache = self.cache
            came = answer = await (ask() if cache is None else self._through_cache(cache, call, decode, ask, recorder))
            if self.content is not None and verdict is not None:
                answer = await filtered(answer, decode, self.content, verdict)
        except BaseException as error:
            if came is not None:
                _withheld(call, came, error)
            if self.content is not None and verdict is not None:
                await filter_error(error, self.content, verdict)
            self.told(call, recorder, _partial(error), error)
            raise
        self.told(call, recorder, answer, None)
        return answer

    async def stream(
        self,
        call: Attempts,
        kind: Callable[[Attempts, Exchange], StreamT],
        ask: Callable[[], Awaitable[Exchange]],
    ) -> StreamT:
        """A stream of ``kind``, from what ``ask`` gives or from the cache, that is filtered as it comes."""
        verdict = None if self.content is None else Verdict()
        recorder = CallRecorder(verdict)
        try:
            await self.look_over(call, verdict)
            key, found = await self._look_up(call)
            if found is not None and found.fresh:
                recorder.tier = found.tier
                stream = kind(call, replayed(_stored(found)))
            else:
                stream = kind(call, await self._exchange(ask, found, recorder))
        except BaseException as error:
            if self.content is not None and verdict is not None:
                await filter_error(error, self.content, verdict)
            self.told(call, recorder, None, error)
            raise
        passing = None if self.content is None or verdict is None else passing_for(stream, self.content, verdict)
        stream.attend(StreamMiddleware(self, call, recorder, passing, key if recorder.tier is None else None))
        return stream

    async def look_over(self, call: Attempts, verdict: Verdict | None = None) -> None:
        """Let ``call`` send only what may be sent, of all that it says. Raises ContentBlockedError."""
        content = self.content
        if content is None:
            return
        verdict = verdict or Verdict()
        request = call.request
        path, texts = request.outgoing.path, request.texts()
        try:
            allowed = content.path(path, verdict), await content.request(texts, verdict)
        except ContentBlockedError:
            # Those who are told of the call must not learn what was in it either.
            call.say(path, content.withheld(texts))
            raise
        if allowed[0] != path or allowed[1] is not texts:
            call.say(*allowed)

    def retried(self, call: Attempts, failure: APIError, delay: float) -> None:
        """Another attempt of ``call`` follows ``failure``."""
        if self.listeners:
            tell(self.listeners, Retried(call.model, word_for(failure), delay))

    async def _look_up(self, call: Attempts) -> tuple[bytes | None, CacheHit | None]:
        if self.cache is None:
            return None, None
        request, target = call.request, call.target
        if not self.cache.serves(request.parameters, request.operation):
            return None, None
        # Read back from the bytes, because messages may be objects and the key must not depend on that.
        path, asked = request.outgoing.path, request.texts()
        key = cache_key(base_url=target.base_url, account=target.account, path=path, request=asked)
        return key, await self.cache.find(key)

    async def _through_cache(
        self,
        cache: Cache,
        call: Attempts,
        decode: Callable[[bytes], T],
        ask: Callable[[], Awaitable[T]],
        recorder: CallRecorder,
    ) -> T:
        key, found = await self._look_up(call)
        if key is None:
            return await ask()
        if found is not None and found.fresh:
            return _from_cache(decode(found.body), found.tier, recorder)
        mine: list[T] = []

        async def work() -> bytes:
            answer = await ask()
            mine.append(answer)
            self.keep(call, key, answer)
            return answer.to_json()

        try:
            body, shared = await cache.flights.share(key, work)
        except APIError as error:
            if found is None or not _replaceable(error):
                raise
            recorder.stale = True
            return _from_cache(decode(found.body), found.tier, recorder)
        return _from_cache(decode(body), "shared", recorder) if shared else mine[0]

    async def _exchange(
        self,
        ask: Callable[[], Awaitable[Exchange]],
        found: CacheHit | None,
        recorder: CallRecorder,
    ) -> Exchange:
        try:
            return await ask()
        except APIError as error:
            if found is None or not _replaceable(error):
                raise
            recorder.stale, recorder.tier = True, found.tier
        return replayed(_stored(found))

    def keep(self, call: Attempts, key: bytes, answer: Answer) -> None:
        """Store ``answer`` if it is one to this request, whole, and from the model that was asked."""
        if self.cache is not None and call.fallback is None and answer.is_whole():
            self.cache.keep(key, answer.to_json())

    def told(self, call: Attempts, recorder: CallRecorder, answer: Answer | None, error: BaseException | None) -> None:
        """``call`` has ended; whoever listens is told."""
        if self.listeners:
            tell(self.listeners, recorder.record(call, self.meter, answer, error))


class StreamMiddleware:
    """Goes along with one stream: filters its chunks, stores its answer, tells its end."""

    __slots__ = ("_around", "_call", "_done", "_key", "_passing", "_recorder")

    def __init__(
        self,
        around: CallMiddleware,
        call: Attempts,
        recorder: CallRecorder,
        passing: StreamFilter | None,
        key: bytes | None,
    ) -> None:
        self._around = around
        self._call = call
        self._recorder = recorder
        self._passing = passing
        self._key = key
        self._done = False

    async def pass_on(self, stream: ObservedStream, chunks: list[Any], *, progressed: bool, ended: bool) -> None:
        """Filter ``chunks``, which are about to be handed out. Raises ContentBlockedError."""
        recorder = self._recorder
        if progressed:
            if recorder.first_content is None:
                recorder.content_began()
        elif not chunks and not ended:
            recorder.keep_alives += 1
        if self._passing is not None:
            await self._passing.pass_on(chunks)
        if ended and not self._done:
            self._done = True
            answer = stream.unfiltered()
            if self._key is not None:
                self._around.keep(self._call, self._key, answer)
            self._tell(stream, self.whole(answer), None)

    def whole(self, answer: T) -> T:
        """``answer`` with what was let out of its texts, and where it came from."""
        if self._passing is not None:
            answer = self._passing.rewrite(answer)
        if self._recorder.tier is not None:
            answer.cached = "stale" if self._recorder.stale else self._recorder.tier
        return answer

    def failed(self, stream: ObservedStream, error: BaseException) -> None:
        """The stream is left or broken before its end; what is called after the first time does nothing."""
        if self._done:
            return
        self._done = True
        answer = None
        with suppress(Exception):  # what had arrived may be nothing at all
            answer = self.whole(stream.unfiltered())
        if isinstance(error, ContentBlockedError) and answer is not None and answer.tokens_used() is not None:
            _withheld(self._call, answer, error)
        if self._passing is not None:
            self._show_only(answer, error)
        self._tell(stream, answer, error)

    def _show_only(self, answer: Answer | None, error: BaseException | None) -> None:
        """Let ``error``, and what caused it, tell of the answer what was let out."""
        content, verdict = self._around.content, self._recorder.verdict
        while isinstance(error, APIError) and content is not None and verdict is not None:
            partial = answer if isinstance(answer, ChatCompletion | Message) else None
            error.partial = None if error.partial is None else partial
            error.received_text = text_of(answer) or "" if error.received_text else ""
            try:
                error.message = content.built_in(error.message, verdict)
            except ContentBlockedError as blocked:
                error.message = blocked.message
            error.args = (error.message,)
            error = error.__cause__

    def _tell(self, stream: ObservedStream, answer: Answer | None, error: BaseException | None) -> None:
        self._call.stream_id = stream.request_id or self._call.stream_id
        self._around.told(self._call, self._recorder, answer, error)


def _stored(found: CacheHit) -> bytes:
    events = events_of(found.body)
    assert events is not None  # noqa: S101  nothing else is stored
    return events


def _from_cache(answer: T, tier: str, recorder: CallRecorder) -> T:
    recorder.tier = tier
    answer.cached = "stale" if recorder.stale else tier
    return answer


def _withheld(call: Attempts, answer: Answer, error: BaseException) -> None:
    """Count ``answer``, which was billed like any other, although ``error`` is what the caller gets."""
    if call.bill is None and answer.cached is None:
        usage = metered(answer, call.request)
        if usage is not None:
            call.billed(answer, usage, error)
    if call.bill is not None and isinstance(error, DeepSeekError):
        error.billed_attempts = call.bill.attempts


def _replaceable(error: APIError) -> bool:
    """Whether an old answer is better than ``error``: the service cannot be reached or does not answer."""
    return error.retryable or isinstance(error, CircuitOpenError)


def _partial(error: BaseException) -> Answer | None:
    return error.partial if isinstance(error, APIError) else None
