"""What stands around every call of a client: cache, content filter, and those who are told how it ended.

Only a client that has one of them makes these; without, a call costs one attribute test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec
import orjson

from deepseek_async.cache import Cache, Found, cache_key, replay
from deepseek_async.call.replayed import replayed
from deepseek_async.call.texts import FilteredStream, filtered
from deepseek_async.call.witness import Witness
from deepseek_async.content import ContentFilter, Verdict
from deepseek_async.errors import APIError, CircuitOpenError
from deepseek_async.events import Listener, Retried, tell, word_for
from deepseek_async.pricing import Meter
from deepseek_async.types import Answer

if TYPE_CHECKING:
    from deepseek_async.call.lifecycle import Call
    from deepseek_async.call.stream import AnswerStream

T = TypeVar("T", bound=Answer)
FaultOf: TypeAlias = Callable[[T, Mapping[str, str]], APIError | None] | None
StreamT = TypeVar("StreamT", bound="AnswerStream[Any, Any]")


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """Of one client on one server; any of them may be missing."""

    origin: str
    account: str
    meter: Meter
    listeners: list[Listener]
    cache: Cache | None = None
    content: ContentFilter | None = None

    async def answer(
        self,
        call: Call,
        decode: Callable[[bytes], T],
        fault_of: FaultOf[T],
    ) -> T:
        """The answer of ``call``, or one from the cache, filtered; and its end is told."""
        verdict = None if self.content is None else Verdict()
        witness = Witness(verdict)
        try:
            if verdict is not None:
                await self._filter_request(call, verdict)
            if self.cache is None:
                answer = await call.asked(decode, fault_of)
            else:
                answer = await self._through_cache(self.cache, call, decode, fault_of, witness)
            if self.content is not None and verdict is not None:
                await filtered(answer, self.content, verdict)
        except BaseException as error:
            self.told(call, witness, _partial(error), error)
            raise
        self.told(call, witness, answer, None)
        return answer

    async def stream(self, call: Call, kind: Callable[..., StreamT]) -> StreamT:
        """A stream of ``kind``, from the server or from the cache, that is filtered as it comes."""
        verdict = None if self.content is None else Verdict()
        witness = Witness(verdict)
        try:
            if verdict is not None:
                await self._filter_request(call, verdict)
            key, found = await self._look_up(call)
            if found is not None and found.fresh:
                witness.tier = found.tier
                stream = kind(call, replayed(replay(found.body)))
            else:
                stream = kind(call, await self._exchange(call, found, witness))
        except BaseException as error:
            self.told(call, witness, None, error)
            raise
        passing = None if self.content is None or verdict is None else FilteredStream(self.content, verdict)
        stream.attend(Attendant(self, call, witness, passing, key if witness.tier is None else None))
        return stream

    def retried(self, call: Call, failure: APIError, delay: float) -> None:
        """Another attempt of ``call`` follows ``failure``."""
        if self.listeners:
            tell(self.listeners, Retried(call.model, word_for(failure), delay))

    async def _filter_request(self, call: Call, verdict: Verdict) -> None:
        assert self.content is not None  # noqa: S101  the caller has looked
        assert call.request is not None  # noqa: S101  surroundings are of calls with a request
        body = await self.content.request(call.request, verdict)
        if body is not call.request:
            call.send_instead(body)

    async def _look_up(self, call: Call) -> tuple[bytes | None, Found | None]:
        if self.cache is None:
            return None, None
        # Read back from the bytes, because messages may be objects and the key must not depend on that.
        request: dict[str, Any] = orjson.loads(call.wire)
        if not self.cache.serves(request):
            return None, None
        key = cache_key(origin=self.origin, account=self.account, path=call.path, request=request)
        return key, await self.cache.find(key)

    async def _through_cache(
        self,
        cache: Cache,
        call: Call,
        decode: Callable[[bytes], T],
        fault_of: FaultOf[T],
        witness: Witness,
    ) -> T:
        key, found = await self._look_up(call)
        if key is None:
            return await call.asked(decode, fault_of)
        if found is not None and found.fresh:
            return _from_cache(decode(found.body), found.tier, witness)
        mine: list[T] = []

        async def ask() -> bytes:
            answer = await call.asked(decode, fault_of)
            mine.append(answer)
            self.keep(call, key, answer)
            return answer.to_json()

        try:
            body, shared = await cache.flights.share(key, ask)
        except APIError as error:
            if found is None or not _replaceable(error):
                raise
            witness.stale = True
            return _from_cache(decode(found.body), found.tier, witness)
        return _from_cache(decode(body), "shared", witness) if shared else mine[0]

    async def _exchange(self, call: Call, found: Found | None, witness: Witness) -> Any:
        try:
            return await call.exchange()
        except APIError as error:
            if found is None or not _replaceable(error):
                raise
            witness.stale, witness.tier = True, found.tier
        return replayed(replay(found.body))

    def keep(self, call: Call, key: bytes, answer: Answer) -> None:
        """Store ``answer`` if it is one to this request, whole, and from the model that was asked."""
        if self.cache is None or call.fallback is not None:
            return
        reasons = [choice.finish_reason for choice in getattr(answer, "choices", ())]
        if reasons and all(reason in {"stop", "tool_calls", "length"} for reason in reasons):
            self.cache.keep(key, answer.to_json())

    def told(self, call: Call, witness: Witness, answer: Answer | None, error: BaseException | None) -> None:
        """``call`` has ended; whoever listens is told."""
        if self.listeners:
            tell(self.listeners, witness.record(call, self.origin, self.meter, answer, error))


class Attendant:
    """Goes along with one stream: filters its chunks, stores its answer, tells its end."""

    __slots__ = ("_around", "_call", "_done", "_key", "_passing", "_witness")

    def __init__(
        self,
        around: Surroundings,
        call: Call,
        witness: Witness,
        passing: FilteredStream | None,
        key: bytes | None,
    ) -> None:
        self._around = around
        self._call = call
        self._witness = witness
        self._passing = passing
        self._key = key
        self._done = False

    async def pass_on(
        self, stream: AnswerStream[Any, Any], chunks: list[Any], *, progressed: bool, ended: bool
    ) -> None:
        """Filter ``chunks``, which are about to be handed out. Raises ContentBlockedError."""
        witness = self._witness
        if progressed:
            if witness.first_content is None:
                witness.content_began()
        elif not chunks and not ended:
            witness.keep_alives += 1
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
            self._passing.rewrite(answer)
        if self._witness.tier is not None:
            answer.cached = "stale" if self._witness.stale else self._witness.tier
        return answer

    def failed(self, stream: AnswerStream[Any, Any], error: BaseException) -> None:
        """The stream is left or broken before its end; what is called after the first time does nothing."""
        if self._done:
            return
        self._done = True
        answer = None
        with suppress(Exception):  # what had arrived may be nothing at all
            answer = self.whole(stream.unfiltered())
        self._tell(stream, answer, error)

    def _tell(self, stream: AnswerStream[Any, Any], answer: Answer | None, error: BaseException | None) -> None:
        self._call.request_id = stream.request_id or self._call.request_id
        self._around.told(self._call, self._witness, answer, error)


def _from_cache(answer: T, tier: str, witness: Witness) -> T:
    witness.tier = tier
    answer.cached = "stale" if witness.stale else tier
    return answer


def _replaceable(error: APIError) -> bool:
    """Whether an old answer is better than ``error``: the service cannot be reached or does not answer."""
    return error.retryable or isinstance(error, CircuitOpenError)


def _partial(error: BaseException) -> Answer | None:
    return error.partial if isinstance(error, APIError) else None
