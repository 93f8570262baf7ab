"""Middleware around every call of a client: response cache, content filter, listeners.

Created only if at least one of them is configured; otherwise a call pays for one attribute test.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from deepseek_async.cache import Cache, CacheHit, cache_key
from deepseek_async.call.answer_text import text_of
from deepseek_async.call.filtered_texts import StreamFilter, filter_error, filtered, passing_for
from deepseek_async.call.recorder import CallRecorder
from deepseek_async.call.replayed import events_of, replayed
from deepseek_async.call.stream.observer import ObservedStream
from deepseek_async.call.usage_check import metered
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
    """Cache, content filter and listeners of one client, for all its servers; each is optional."""

    meter: Meter
    listeners: list[Listener]
    cache: Cache | None = None
    content: ContentFilter | None = None

    async def answer(self, call: Attempts, decode: Callable[[bytes], T], ask: Callable[[], Awaitable[T]]) -> T:
        """Return the answer of ``ask``, or the cached one, filtered; notify the listeners when the call ends."""
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
        """Open a stream of ``kind`` from ``ask`` or from the cache, filtered as it arrives."""
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
        """Filter everything ``call`` is about to send. Raises ContentBlockedError."""
        content = self.content
        if content is None:
            return
        verdict = verdict or Verdict()
        request = call.request
        path, texts = request.outgoing.path, request.texts()
        try:
            allowed = content.path(path, verdict), await content.request(texts, verdict)
        except ContentBlockedError:
            # Listeners must not see the blocked content either.
            call.say(path, content.withheld(texts))
            raise
        if allowed[0] != path or allowed[1] is not texts:
            call.say(*allowed)

    def retried(self, call: Attempts, failure: APIError, delay: float) -> None:
        """Notify the listeners of a retry of ``call`` after ``failure``."""
        if self.listeners:
            tell(self.listeners, Retried(call.model, word_for(failure), delay))

    async def _look_up(self, call: Attempts) -> tuple[bytes | None, CacheHit | None]:
        if self.cache is None:
            return None, None
        request, target = call.request, call.target
        if not self.cache.serves(request.parameters, request.operation):
            return None, None
        # Decoded from the wire bytes: messages may be objects, and the key must not depend on their types.
        path, asked = request.outgoing.path, request.texts()
        key = cache_key(
            base_url=target.base_url, account=target.account, path=path, request=asked, choice=request.choice
        )
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
            return answer.encoded()

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
        """Cache ``answer`` if it is complete and from the requested model."""
        if self.cache is not None and call.fallback is None and answer.is_whole():
            self.cache.keep(key, answer.encoded())

    def told(self, call: Attempts, recorder: CallRecorder, answer: Answer | None, error: BaseException | None) -> None:
        """Notify the listeners of the end of ``call``."""
        if self.listeners:
            tell(self.listeners, recorder.record(call, self.meter, answer, error))


class StreamMiddleware:
    """Observer of one stream: filters its chunks, caches its answer, reports its end."""

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
        """Filter ``chunks`` in place before they are yielded. Raises ContentBlockedError."""
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
        """Return ``answer`` with filtered texts and its cache tier."""
        if self._passing is not None:
            answer = self._passing.rewrite(answer)
        if self._recorder.tier is not None:
            answer.cached = "stale" if self._recorder.stale else self._recorder.tier
        return answer

    def failed(self, stream: ObservedStream, error: BaseException) -> None:
        """Report that the stream was closed or broke before its end; later calls do nothing."""
        if self._done:
            return
        self._done = True
        answer = None
        with suppress(Exception):  # nothing may have arrived
            answer = self.whole(stream.unfiltered())
        if isinstance(error, ContentBlockedError) and answer is not None and answer.tokens_used() is not None:
            _withheld(self._call, answer, error)
        if self._passing is not None:
            self._show_only(answer, error)
        self._tell(stream, answer, error)

    def _show_only(self, answer: Answer | None, error: BaseException | None) -> None:
        """Replace the partial answer in ``error`` and its causes by the filtered one."""
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
    assert events is not None  # noqa: S101  only answers are stored
    return events


def _from_cache(answer: T, tier: str, recorder: CallRecorder) -> T:
    recorder.tier = tier
    answer.cached = "stale" if recorder.stale else tier
    return answer


def _withheld(call: Attempts, answer: Answer, error: BaseException) -> None:
    """Bill ``answer``, although the caller gets ``error`` instead."""
    if call.bill is None and answer.cached is None:
        usage = metered(answer, call.request)
        if usage is not None:
            call.billed(answer, usage, error)
    if call.bill is not None and isinstance(error, DeepSeekError):
        error.billed_attempts = call.bill.attempts


def _replaceable(error: APIError) -> bool:
    """Whether a stale answer is preferable to ``error``: the service is unreachable or failing."""
    return error.retryable or isinstance(error, CircuitOpenError)


def _partial(error: BaseException) -> Answer | None:
    return error.partial if isinstance(error, APIError) else None
