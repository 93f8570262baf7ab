"""A transport that answers from memory: for unit tests of code that takes a client, without a server or a socket."""

from __future__ import annotations

from typing import Any, Final

from deepseek_async.errors import APIConnectionError, ConfigurationError, DeepSeekError
from deepseek_async.testing.cassette import Exchange
from deepseek_async.testing.recorded_request import RecordedRequest, request_of
from deepseek_async.testing.responses import ReplayedResponse
from deepseek_async.testing.scrubbing import Scrubber
from deepseek_async.transport.protocol import HTTPRequest, HTTPResponse, Transport, TransportOptions
from deepseek_async.transport.watchdog import Watchdog
from deepseek_async.types import ChatCompletion
from deepseek_async.types.built_body import chunk_bodies
from deepseek_async.types.json_text import write

_JSON: Final = {"content-type": "application/json"}
_EVENTS: Final = {"content-type": "text/event-stream; charset=utf-8"}


class Answering:
    """A transport factory over a list of answers. See ``answering``."""

    def __init__(self, answers: tuple[str | ChatCompletion | DeepSeekError, ...]) -> None:
        self._answers = [ChatCompletion.build(each) if isinstance(each, str) else each for each in answers]
        for each in self._answers:
            if not isinstance(each, ChatCompletion | DeepSeekError):
                raise ConfigurationError(
                    f"an answer must be a text, a ChatCompletion or a DeepSeekError, got {type(each).__name__}"
                )
        self.requests: Final[list[Any]] = []
        """The JSON bodies of the requests so far, in their order."""

    def __call__(self, options: TransportOptions) -> Transport:
        return _AnsweringTransport(self, options.base_url)

    def _next(self, request: RecordedRequest) -> ChatCompletion:
        if request.path != "/chat/completions":
            raise ConfigurationError(
                f"answering() answers POST /chat/completions only, got {request}: use the fixture deepseek_simulator"
            )
        self.requests.append(request.body)
        if len(self.requests) > len(self._answers):
            raise ConfigurationError(
                f"answering() has {len(self._answers)} answers, got request {len(self.requests)}: give it one answer "
                f"for each request; the last message of this one is {request.body['messages'][-1]!r}"
            )
        answer = self._answers[len(self.requests) - 1]
        if isinstance(answer, DeepSeekError):
            raise answer
        return answer


def answering(*answers: str | ChatCompletion | DeepSeekError) -> Answering:
    """Return a transport that gives these answers to chat completions in order, streamed if the request asks for it.

    ``AsyncDeepSeek(api_key="sk-test", transport=answering("Hello", ChatCompletion.build(tool_calls=["look_up"])))``.
    A DeepSeekError is raised, and retried like one of the service. A request more than there are answers raises
    ConfigurationError. Raises ConfigurationError for an answer of another type.
    """
    return Answering(answers)


class _AnsweringTransport:
    def __init__(self, owner: Answering, server: str) -> None:
        self._owner = owner
        self._server = server
        self._closed = False

    async def send(self, outgoing: HTTPRequest, watchdog: Watchdog, *, fresh: bool = False) -> HTTPResponse:  # noqa: ARG002
        """See ``Transport.send``."""
        if self._closed:
            raise APIConnectionError("client closed during the call", retryable=False, reason="closed")
        body = outgoing.body if isinstance(outgoing.body, bytes) else None
        request = request_of(outgoing.method, outgoing.path, body, Scrubber())
        answer = self._owner._next(request)  # noqa: SLF001  its other half
        streamed = isinstance(request.body, dict) and bool(request.body.get("stream"))
        chunks = _events(answer) if streamed else [answer.encoded()]
        headers = _EVENTS if streamed else _JSON
        return ReplayedResponse(Exchange(self._server, request, 200, dict(headers), chunks), watchdog)

    async def aclose(self) -> None:
        """Refuse further requests."""
        self._closed = True


def _events(answer: ChatCompletion) -> list[bytes]:
    chunks = [b"data: " + write(body) + b"\n\n" for body in chunk_bodies(answer.to_dict())]
    return [*chunks, b"data: [DONE]\n\n"]
