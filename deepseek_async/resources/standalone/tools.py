"""``client.tools``: search, fetch, ocr, transcribe and speech."""

from __future__ import annotations

import mimetypes
import time
from collections.abc import AsyncIterable, Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from deepseek_async.admission.tool_limits import FETCH_PATH, OCR_PATH, SEARCH_PATH, SPEECH_PATH, TRANSCRIBE_PATH
from deepseek_async.call.caller import Call
from deepseek_async.call.lifecycle import Attempts
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.call.stream import AudioStream
from deepseek_async.codec.answer_check import error_in
from deepseek_async.codec.answer_decoder import AnswerDecoder, MembersDecoder
from deepseek_async.codec.multipart import MultipartForm
from deepseek_async.errors import APIError, APIResponseValidationError
from deepseek_async.files.upload import Content
from deepseek_async.process.worker_threads import FILE_THREADS
from deepseek_async.resources.attachment import FileInput, attachment
from deepseek_async.resources.lost_uploads import is_unanswered
from deepseek_async.resources.raw import RoutedResource, raw
from deepseek_async.resources.request_body import further, given
from deepseek_async.resources.resource_client import AnyTimeout, ResourceClient, chosen_timeouts
from deepseek_async.resources.route import Route
from deepseek_async.resources.standalone import documents, recordings, speech_requests
from deepseek_async.resources.standalone.documents import RecognitionPurpose, check_purpose, most_pages
from deepseek_async.resources.standalone.patience import retry_of
from deepseek_async.resources.standalone.recordings import seconds_of
from deepseek_async.resources.standalone.search_requests import fetch_request, search_request
from deepseek_async.resources.standalone.speech_requests import (
    SpokenTexts,
    billed_characters,
    socket_path,
    speech_request,
)
from deepseek_async.resources.streaming_response import streaming
from deepseek_async.text.quoting import quote
from deepseek_async.transport.timeouts import Timeouts
from deepseek_async.types import FetchedPage, PaidAnswer, RecognizedDocument, SearchResults, Transcription
from deepseek_async.types import fee as fees
from deepseek_async.types.operation import FETCH, OCR, SEARCH, SPEECH, TRANSCRIBE, Operation

T = TypeVar("T", bound=PaidAnswer)

_SEARCH_SECONDS: Final = 30.0
_FETCH_SECONDS: Final = 200.0
"""A fetch took up to 180 s, without a byte (public measurements of 2026-10)."""

_OCR_SECONDS: Final = 300.0
_OCR_SILENCE: Final = 60.0
"""Blank lines are sent while a document is read."""
_UPLOAD_SECONDS: Final = 600.0
_TRANSCRIBE_SILENCE: Final = 60.0

_SPEECH_SECONDS: Final = 3_600.0
"""A speech lasts at most 30 minutes."""
_SPEECH_SILENCE: Final = 30.0

_PAGES: Final = "pages"
"""Required field of a document, billed by pages; for the others null means no result."""

_decode_results: Final = MembersDecoder(SearchResults, "results").decode
_decode_page: Final = AnswerDecoder(FetchedPage).decode
_decode_document: Final = MembersDecoder(RecognizedDocument, _PAGES).decode
_decode_transcription: Final = AnswerDecoder(Transcription).decode


class Tools(RoutedResource):
    """``client.tools``: DeepSeek's standalone endpoints, billed by the unit.

    They have their own limits (``tool_limits``) and at most three attempts; a call that failed, timed out or was
    abandoned after it was sent counts as charged. ``answer.fees`` is what was charged.
    """

    def __init__(self, connection: ResourceClient) -> None:
        self._route = Route(connection, "tools")

    @property
    def with_raw_response(self) -> RawTools:
        """The same methods, each returning a RawResponse: ``.parse()``, ``.headers``, ``.status_code``, ``.text``."""
        return RawTools(self)

    @property
    def with_streaming_response(self) -> StreamedTools:
        """The same methods as context managers, each of a StreamingResponse that is read piece by piece."""
        return StreamedTools(self)

    async def search(
        self,
        query: str,
        *,
        count: int | None = None,
        ori_question: str | None = None,
        localization: str | None = None,
        need_content: bool | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        timeout: AnyTimeout | None = None,
    ) -> SearchResults:
        """Search the web; takes up to 30 s.

        - ``query``: at most 128 characters; operators: ``site:``, ``-site:``, ``"…"``, ``-word``, ``lang:``,
          ``after:`` and ``before:``.
        - ``count``: 1 to 50 results, default 10; does not affect the price.
        - ``ori_question``: the user's question, at most 128 characters.
        - ``localization``: an IP address, for results near it.
        - ``need_content``: include the text of each page.
        - ``extra_body``: additional fields and values, sent unchecked.

        Raises InvalidRequestError for what DeepSeek is known to refuse.
        """
        asked = given({"localization": localization, "need_content": need_content})
        body = search_request(query, ori_question, count, {**asked, **further(extra_body)})
        route = self._route
        connection = route.connection
        call = route.call(
            *(SEARCH, "POST", SEARCH_PATH, body),
            headers=extra_headers,
            timeout=chosen_timeouts(timeout, connection.timeouts.of_attempts(_SEARCH_SECONDS)),
            retry=retry_of(connection.retry),
            fees={fees.SEARCH: 1},
        )
        return await self._answer(call, _decode_results, "results")

    async def fetch(
        self,
        url: str,
        *,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        timeout: AnyTimeout | None = None,
    ) -> FetchedPage:
        """Return the text of a page as Markdown; takes up to 200 s.

        ``url``: http or https, without user name and password. Each target site has its own limit, reported as
        RateLimitError; only the affected calls wait. Raises InvalidRequestError for an invalid URL, and NotFoundError
        for a page that cannot be fetched.
        """
        body = fetch_request(url, further(extra_body))
        route = self._route
        connection = route.connection
        call = route.call(
            *(FETCH, "POST", FETCH_PATH, body),
            headers=extra_headers,
            timeout=chosen_timeouts(timeout, connection.timeouts.of_attempts(_FETCH_SECONDS)),
            retry=retry_of(connection.retry, everybodys=False),
            fees={fees.FETCH: 1},
        )
        return await self._answer(call, _decode_page, "content")

    async def ocr(
        self,
        file: FileInput,
        *,
        purpose: RecognitionPurpose,
        timeout: AnyTimeout | None = None,
    ) -> RecognizedDocument:
        """Recognize the text of a document, within 180 s from the start of its upload; it is not stored.

        - ``file``: a path, which is read while it is sent, bytes, an open binary file, or ``(filename, bytes)``. PDF,
          Word, PowerPoint and images, by content, of at most 100 MiB and 1,000 pages.
        - ``purpose``: ``text_recognition``, or ``rich_layout_recognition`` for pages with their layout.

        Check ``cut_pages``: a page with finish_reason ``length`` is incomplete. Split documents into parts of 100
        pages to keep a retry cheap. A document whose response was lost is not sent again, because it may have been
        billed; the error then has ``may_exist`` set. Each attempt reserves the fee of 1,000 pages, or of one for an
        image, until the answer reports the actual number.

        Raises InvalidRequestError for what is known to be refused, and for a file that changes while it is read.
        """
        check_purpose(purpose)
        name, content = await FILE_THREADS.run(attachment, file, documents.MAX_BYTES)
        pages = await FILE_THREADS.run(most_pages, name, content)
        form = await FILE_THREADS.run(self.ocr_form, name, content, purpose)
        return await self.ocr_complete(self.ocr_call(form, pages, timeout=timeout))

    @staticmethod
    def ocr_form(name: str, content: Content, purpose: str) -> MultipartForm:
        """Internal: build the form for OCR; call it off the event loop, because it reads the document."""
        return MultipartForm({"purpose": purpose}, name, content, _type_of(name)).marked()

    def ocr_call(
        self,
        form: MultipartForm,
        pages: int,
        *,
        timeout: AnyTimeout | None = None,
        retry: RetryPolicy | None = None,
        bulk: bool = False,
    ) -> Call:
        """Internal: prepare a call, without starting it, for a document of at most ``pages`` pages."""
        most = {fees.PAGE: pages}
        usual = self._route.connection.timeouts.of_attempts(_OCR_SECONDS, idle=_OCR_SILENCE)
        call = self._upload(OCR, OCR_PATH, form, most, timeout=chosen_timeouts(timeout, usual), retry=retry, bulk=bulk)
        call.may_go_on = _is_unbegun
        return call

    async def ocr_complete(self, call: Call) -> RecognizedDocument:
        """Internal: await the answer of a call from ``ocr_call``."""
        try:
            return await self._answer(call, _decode_document, _PAGES)
        except APIError as error:
            error.may_exist = is_unanswered(error) or call.response is not None
            raise

    async def transcribe(self, file: FileInput, *, timeout: AnyTimeout | None = None) -> Transcription:
        """Transcribe a recording of at most 120 s and 8 MiB; detects 21 languages.

        ``file``: as for ``ocr``; 16-bit PCM in WAV, or Opus in Ogg, by content. Only the left channel of stereo is
        used. Raises InvalidRequestError for what is known to be refused.
        """
        name, content = await FILE_THREADS.run(attachment, file, recordings.MAX_BYTES)
        seconds = await FILE_THREADS.run(seconds_of, name, content)
        form = await FILE_THREADS.run(MultipartForm({}, name, content, _type_of(name)).marked)
        longest = _UPLOAD_SECONDS + _TRANSCRIBE_SILENCE
        usual = self._route.connection.timeouts.of_attempts(longest, idle=_TRANSCRIBE_SILENCE)
        most = {fees.AUDIO_SECONDS: seconds}
        call = self._upload(TRANSCRIBE, TRANSCRIBE_PATH, form, most, timeout=chosen_timeouts(timeout, usual))
        return await self._answer(call, _decode_transcription, "text")

    async def speech(
        self,
        text: str | AsyncIterable[str],
        *,
        voice_id: str | None = None,
        format: str | None = None,  # noqa: A002  DeepSeek's name
        filter_markdown: bool | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        timeout: AnyTimeout | None = None,
    ) -> AudioStream:
        """Synthesize speech: ``async with await client.tools.speech("…") as audio: async for piece in audio: …``.

        - ``text``: at most 10,000 billed characters, a Chinese one counting as two; or an async iterable of texts, such
          as ``stream.text_deltas()``, sent over a WebSocket as they arrive.
        - ``voice_id``: ``stella`` (default) or ``tide``.
        - ``format``: ``wav`` (default) or ``pcm``, 24 kHz, 16 bits, mono; for an iterable ``pcm`` (default) or
          ``opus``, bare packets.
        - ``filter_markdown``: remove Markdown before synthesis; default True.
        - ``extra_body``: additional fields and values, sent unchecked.

        ``await audio.write_to("out.wav")`` writes a file atomically; ``audio.fees`` is the cost. Truncated audio raises
        StreamInterruptedError. Retried only before the first byte, and for an iterable before its first text is taken.
        Raises InvalidRequestError for what is known to be refused.
        """
        meant = further(extra_body)
        if "format" not in meant:
            speech_requests.check_format(format, whole=isinstance(text, str))
        sound = {"voice_id": voice_id, "format": format, "filter_markdown": filter_markdown}
        options = {**given(sound), **meant}
        route = self._route
        connection = route.connection
        asked: dict[str, Any] = {
            "headers": extra_headers,
            "timeout": chosen_timeouts(timeout, connection.timeouts.of_attempts(_SPEECH_SECONDS, idle=_SPEECH_SILENCE)),
            "retry": retry_of(connection.retry),
        }
        if isinstance(text, AsyncIterable):
            around = connection.caller_of("tools").middleware
            texts = SpokenTexts(text, None if around is None else around.content)
            most = {fees.SPEECH_CHARACTERS: speech_requests.MAX_CHARACTERS}
            call = route.call(SPEECH, "GET", socket_path(SPEECH_PATH, options), texts=texts, fees=most, **asked)
            call.may_go_on = lambda _, __: not texts.begun
        else:
            body = speech_request(text, options)
            most = {fees.SPEECH_CHARACTERS: billed_characters(text)}
            call = route.call(SPEECH, "POST", SPEECH_PATH, body, fees=most, **asked)
        return await call.stream(partial(AudioStream, prices=connection.prices))

    def _upload(
        self,
        operation: Operation,
        path: str,
        form: MultipartForm,
        most: Mapping[str, int],
        *,
        timeout: Timeouts,
        retry: RetryPolicy | None = None,
        bulk: bool = False,
    ) -> Call:
        return self._route.call(
            *(operation, "POST", path),
            form=form,
            timeout=timeout,
            retry=retry_of(retry or self._route.connection.retry),
            fees=most,
            bulk=bulk,
        )

    async def _answer(self, call: Call, decode: Callable[[bytes], T], needed: str) -> T:
        """Return the answer of ``call`` with its cost; the ``needed`` field is required."""
        answer: T = await self._route.answer(call, decode, partial(_fault_of, needed))
        used = answer.tokens_used()
        rate = self._route.connection.prices.rate(call.model, call.sent_at or 0.0)
        if used is not None and rate is not None:
            answer.fees = rate.fees_of(used)
        return answer


class RawTools:
    """Methods of ``client.tools``, returning a RawResponse."""

    def __init__(self, resource: Tools) -> None:
        self.search = raw(resource, resource.search)
        self.fetch = raw(resource, resource.fetch)
        self.ocr = raw(resource, resource.ocr)
        self.transcribe = raw(resource, resource.transcribe)
        self.speech = raw(resource, resource.speech)


class StreamedTools:
    """Methods of ``client.tools``, returning a StreamingResponse to enter."""

    def __init__(self, resource: Tools) -> None:
        self.search = streaming(resource, resource.search)
        self.fetch = streaming(resource, resource.fetch)
        self.ocr = streaming(resource, resource.ocr)
        self.transcribe = streaming(resource, resource.transcribe)
        self.speech = streaming(resource, resource.speech)


def _fault_of(needed: str, answer: PaidAnswer, headers: Mapping[str, str]) -> APIError | None:
    """Return why a 200 is not a valid answer, or None: an error object, or a missing result."""
    # The status was sent before the work was done: later failures are in the body, also beside results.
    error = error_in(answer, headers, now=time.time())
    said = answer.to_dict()
    if error is None and needed in said and (said[needed] is not None or needed != _PAGES):
        return None
    return error or APIResponseValidationError(f"the server's answer has no {needed}: {quote(answer.encoded())}")


def _is_unbegun(call: Attempts, failure: APIError) -> bool:
    """Whether the service reported that it has not started: anything else may have been read, and billed."""
    failure.attempts = call.attempts
    return call.response is None and not is_unanswered(failure)


def _type_of(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
