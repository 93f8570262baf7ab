"""``client.tools``: search, fetch, ocr, transcribe and speech."""

from __future__ import annotations

import asyncio
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
from deepseek_async.codec.answer_decoder import AnswerDecoder, MembersDecoder
from deepseek_async.codec.multipart import MultipartForm
from deepseek_async.codec.verdict import error_in
from deepseek_async.errors import APIError, APIResponseValidationError
from deepseek_async.files.upload import Content
from deepseek_async.resources.attachment import FileInput, attachment
from deepseek_async.resources.lost_uploads import is_unanswered
from deepseek_async.resources.raw import Rawable
from deepseek_async.resources.resource_client import ResourceClient, chosen_timeouts
from deepseek_async.resources.route import Route, further, given
from deepseek_async.resources.standalone import documents, recordings, speeches
from deepseek_async.resources.standalone.documents import RecognitionPurpose, check_purpose, most_pages
from deepseek_async.resources.standalone.patience import retry_of, timers
from deepseek_async.resources.standalone.questions import fetch_request, search_request
from deepseek_async.resources.standalone.recordings import seconds_of
from deepseek_async.resources.standalone.speeches import (
    SpokenTexts,
    billed_characters,
    socket_path,
    speech_request,
)
from deepseek_async.text.quotation import quote
from deepseek_async.transport.watchdog import Timeouts
from deepseek_async.types import FetchedPage, PaidAnswer, RecognizedDocument, SearchResults, Transcription
from deepseek_async.types import fee as fees
from deepseek_async.types.operation import FETCH, OCR, SEARCH, SPEECH, TRANSCRIBE, Operation

T = TypeVar("T", bound=PaidAnswer)

_SEARCH_SECONDS: Final = 30.0
_FETCH_SECONDS: Final = 200.0
"""A fetch took 180 s at worst, in silence (public measurements of 2026-10)."""

_OCR_SECONDS: Final = 300.0
_OCR_SILENCE: Final = 60.0
"""Line breaks come while a document is read."""
_UPLOAD_SECONDS: Final = 600.0
_TRANSCRIBE_SILENCE: Final = 60.0

_SPEECH_SECONDS: Final = 3_600.0
"""A speech lasts 30 minutes at most."""
_SPEECH_SILENCE: Final = 30.0

_PAGES: Final = "pages"
"""What a document is paid by; of all else null is nothing that was found or said."""

_decode_results: Final = MembersDecoder(SearchResults, "results").decode
_decode_page: Final = AnswerDecoder(FetchedPage).decode
_decode_document: Final = MembersDecoder(RecognizedDocument, _PAGES).decode
_decode_transcription: Final = AnswerDecoder(Transcription).decode


class Tools(Rawable):
    """``client.tools``: endpoints of DeepSeek's own that are paid by the piece.

    They have limits of their own (``tool_limits``), are asked three times at most, and a call that failed, timed out
    or was abandoned after it was sent counts as charged. ``answer.fees`` says what was paid.
    """

    def __init__(self, connection: ResourceClient) -> None:
        self._route = Route(connection, "tools")

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
        timeout: float | Timeouts | None = None,
    ) -> SearchResults:
        """Search the web; a call takes up to 30 s.

        - ``query``: 128 characters at most; ``site:``, ``-site:``, ``"…"``, ``-word``, ``lang:``, ``after:`` and
          ``before:`` are operators in it.
        - ``count``: 1 to 50 results, 10 by default; the price is the same.
        - ``ori_question``: what the user asked, 128 characters at most.
        - ``localization``: an IP address, for results near it.
        - ``need_content``: add the text of each page.
        - ``extra_body``: further fields and values, sent unchecked.

        Raises InvalidRequestError for what DeepSeek is known to refuse.
        """
        asked = given(localization=localization, need_content=need_content)
        body = search_request(query, ori_question, count, {**asked, **further(extra_body)})
        route = self._route
        connection = route.connection
        call = route.call(
            *(SEARCH, "POST", SEARCH_PATH, body),
            headers=extra_headers,
            timeout=chosen_timeouts(timeout, timers(connection.timeouts, _SEARCH_SECONDS)),
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
        timeout: float | Timeouts | None = None,
    ) -> FetchedPage:
        """The text of a page as Markdown; a call takes up to 200 s.

        ``url``: http or https, without user name and password. Each target site has a limit too, which shows as a
        RateLimitError; only the calls that met it wait. Raises InvalidRequestError for what is no such address, and
        NotFoundError for a page that cannot be fetched.
        """
        body = fetch_request(url, further(extra_body))
        route = self._route
        connection = route.connection
        call = route.call(
            *(FETCH, "POST", FETCH_PATH, body),
            headers=extra_headers,
            timeout=chosen_timeouts(timeout, timers(connection.timeouts, _FETCH_SECONDS)),
            retry=retry_of(connection.retry, everybodys=False),
            fees={fees.FETCH: 1},
        )
        return await self._answer(call, _decode_page, "content")

    async def ocr(
        self,
        file: FileInput,
        *,
        purpose: RecognitionPurpose,
        timeout: float | Timeouts | None = None,
    ) -> RecognizedDocument:
        """Read a document, at most 180 s from the start of its upload; it is not stored.

        - ``file``: a path, which is read as it is sent, bytes, an open binary file, or ``(filename, bytes)``. PDF,
          Word, PowerPoint and pictures of 100 MiB and 1,000 pages at most, told by their content.
        - ``purpose``: ``text_recognition``, or ``rich_layout_recognition`` for pages with their layout.

        Look at ``cut_pages``: a page that ended by ``length`` is incomplete. Parts of 100 pages keep a second try
        cheap. A document whose answer was lost is not sent again, because it may have been billed; the error has
        ``may_exist`` set. Each attempt holds the fee of 1,000 pages, and of one for a picture, until the answer says
        how many there were.

        Raises InvalidRequestError for what is known to be refused, and for a file that changes while it is read.
        """
        check_purpose(purpose)
        name, content = await asyncio.to_thread(attachment, file, documents.MAX_BYTES)
        pages = await asyncio.to_thread(most_pages, name, content)
        form = await asyncio.to_thread(self.ocr_form, name, content, purpose)
        return await self.ocr_complete(self.ocr_call(form, pages, timeout=timeout))

    @staticmethod
    def ocr_form(name: str, content: Content, purpose: str) -> MultipartForm:
        """What recognition is sent; off the event loop, because it looks through the document."""
        return MultipartForm({"purpose": purpose}, name, content, _type_of(name)).marked()

    def ocr_call(
        self,
        form: MultipartForm,
        pages: int,
        *,
        timeout: float | Timeouts | None = None,
        retry: RetryPolicy | None = None,
        bulk: bool = False,
    ) -> Call:
        """A call that has not begun, for a document of so many ``pages`` at most."""
        most = {fees.PAGE: pages}
        call = self._upload(*(OCR, OCR_PATH, form, most, _OCR_SECONDS, _OCR_SILENCE, timeout), retry=retry, bulk=bulk)
        call.may_go_on = _is_unbegun
        return call

    async def ocr_complete(self, call: Call) -> RecognizedDocument:
        """The answer of a call that ``ocr_call`` made."""
        try:
            return await self._answer(call, _decode_document, _PAGES)
        except APIError as error:
            error.may_exist = is_unanswered(error) or call.response is not None
            raise

    async def transcribe(self, file: FileInput, *, timeout: float | Timeouts | None = None) -> Transcription:
        """The words of a recording of 120 s and 8 MiB at most; 21 languages are found by themselves.

        ``file``: as for ``ocr``; 16-bit PCM in WAV, or Opus in Ogg, by its content. Of stereo one channel is heard,
        the left.
        Raises InvalidRequestError for what is known to be refused.
        """
        name, content = await asyncio.to_thread(attachment, file, recordings.MAX_BYTES)
        seconds = await asyncio.to_thread(seconds_of, name, content)
        form = await asyncio.to_thread(MultipartForm({}, name, content, _type_of(name)).marked)
        call = self._upload(
            *(TRANSCRIBE, TRANSCRIBE_PATH, form, {fees.AUDIO_SECONDS: seconds}),
            *(_UPLOAD_SECONDS + _TRANSCRIBE_SILENCE, _TRANSCRIBE_SILENCE, timeout),
        )
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
        timeout: float | Timeouts | None = None,
    ) -> AudioStream:
        """Read a text aloud: ``async with await client.tools.speech("…") as audio: async for piece in audio: …``.

        - ``text``: of 10,000 billed characters, of which a Chinese one counts as two; or texts that come piece by
          piece, such as ``stream.text_deltas()``, which are sent over a WebSocket as they come.
        - ``voice_id``: ``stella`` (the default) or ``tide``.
        - ``format``: ``wav`` (the default) or ``pcm``, 24 kHz, 16 bits, mono; of pieces ``pcm`` (the default) or
          ``opus``, bare packets.
        - ``filter_markdown``: whether Markdown is taken out before; it is by default.
        - ``extra_body``: further fields and values, sent unchecked.

        ``await audio.write_to("out.wav")`` writes a file, which appears once it is whole; ``audio.fees`` says what it
        cost. Audio that is cut is a StreamInterruptedError. A speech is tried again before its first byte only, and one
        of pieces before the first of them is asked for. Raises InvalidRequestError for what is known to be refused.
        """
        meant = further(extra_body)
        if "format" not in meant:
            speeches.check_format(format, whole=isinstance(text, str))
        options = {**given(voice_id=voice_id, format=format, filter_markdown=filter_markdown), **meant}
        route = self._route
        connection = route.connection
        asked: dict[str, Any] = {
            "headers": extra_headers,
            "timeout": chosen_timeouts(timeout, timers(connection.timeouts, _SPEECH_SECONDS, idle=_SPEECH_SILENCE)),
            "retry": retry_of(connection.retry),
        }
        if isinstance(text, AsyncIterable):
            around = connection.caller_of("tools").middleware
            texts = SpokenTexts(text, None if around is None else around.content)
            most = {fees.SPEECH_CHARACTERS: speeches.MAX_CHARACTERS}
            call = route.call(SPEECH, "GET", socket_path(SPEECH_PATH, options), texts=texts, fees=most, **asked)
            call.may_go_on = lambda _, __: not texts.begun
        else:
            body = speech_request(text, options)
            most = {fees.SPEECH_CHARACTERS: billed_characters(text)}
            call = route.call(SPEECH, "POST", SPEECH_PATH, body, fees=most, **asked)
        return await call.stream(partial(AudioStream, prices=connection.prices))

    def _upload(  # noqa: PLR0917  one caller for each tool
        self,
        operation: Operation,
        path: str,
        form: MultipartForm,
        most: Mapping[str, int],
        seconds: float,
        silence: float,
        timeout: float | Timeouts | None,
        *,
        retry: RetryPolicy | None = None,
        bulk: bool = False,
    ) -> Call:
        connection = self._route.connection
        return self._route.call(
            *(operation, "POST", path),
            form=form,
            timeout=chosen_timeouts(timeout, timers(connection.timeouts, seconds, idle=silence)),
            retry=retry_of(retry or connection.retry),
            fees=most,
            bulk=bulk,
        )

    async def _answer(self, call: Call, decode: Callable[[bytes], T], needed: str) -> T:
        """The answer of ``call``, which has the ``needed`` field or is none, with what it cost."""
        answer: T = await self._route.answer(call, decode, partial(_fault_of, needed))
        used = answer.tokens_used()
        rate = self._route.connection.prices.rate(call.model, call.sent_at or 0.0)
        if used is not None and rate is not None:
            answer.fees = rate.fees_of(used)
        return answer


def _fault_of(needed: str, answer: PaidAnswer, headers: Mapping[str, str]) -> APIError | None:
    """Why a 200 is no answer: it holds an error object, or not what was paid for."""
    # The status was sent before the work was done: what failed later is told in the body, also beside what was done.
    error = error_in(answer, headers, now=time.time())
    said = answer.to_dict()
    if error is None and needed in said and (said[needed] is not None or needed != _PAGES):
        return None
    return error or APIResponseValidationError(f"the server's answer has no {needed}: {quote(answer.to_json())}")


def _is_unbegun(call: Attempts, failure: APIError) -> bool:
    """Whether the service said that it has not begun: all else may have been read, and billed."""
    failure.attempts = call.attempts
    return call.response is None and not is_unanswered(failure)


def _type_of(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
