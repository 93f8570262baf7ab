"""Non-chat endpoints of a batch, by ``url``, and the mapping of chat parameters to each. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from deepseek_async.errors import InvalidRequestError
from deepseek_async.lint.translation import KNOWN
from deepseek_async.resources.parameters import (
    as_thinking,
    check_completion,
    check_embedding,
    check_message,
    check_response,
    keep_one_switch,
)

Resource = Literal["completions", "responses", "messages", "embeddings", "ocr"]

CHAT: Final = "/v1/chat/completions"

_NOT_SENT: Final = ("stream", "stream_options")
_SWITCHES: Final = frozenset({"thinking", "reasoning_effort"})
_CAP: Final = "max_completion_tokens"


class BatchEndpoint(msgspec.Struct, frozen=True):
    """A non-chat endpoint; rows for chat have none."""

    resource: Resource
    url: str
    """URL as in the OpenAI API."""
    check: Callable[[dict[str, Any]], None]
    """Validates a body; raises InvalidRequestError."""
    taken: Mapping[str, str]
    """Chat parameters that a job may set for all its rows, and their names at this endpoint."""
    cap: str = ""
    """Name of the parameter for the maximum answer length; empty if there is none."""
    meaningless: frozenset[str] = frozenset()
    """Chat parameters without effect at this endpoint; not sent."""
    answers_in_text: bool = True
    """Whether chat models can be used."""

    def body(self, given: Mapping[str, Any], model: str | None, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the row's request: ``given``, completed with the job's model and parameters.

        Raises InvalidRequestError for an invalid request.
        """
        return self._checked({"model": model, **self.translated(parameters), **given})

    def overridden(self, body: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request with parameters replaced; None removes one. Raises InvalidRequestError."""
        gone = {self.taken.get(name, name): None for name, value in parameters.items() if value is None}
        said = {name: value for name, value in parameters.items() if value is not None}
        return self._checked({**body, **gone, **self.translated(said)})

    def translated(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Translate chat parameters to this endpoint; unknown ones are unchanged.

        Raises InvalidRequestError for an unsupported one: silently dropping a token cap or a format costs money.
        """
        said: dict[str, Any] = {}
        if parameters.keys() >= _SWITCHES:
            parameters = dict(parameters)
            keep_one_switch(parameters)
        for name, value in parameters.items():
            if name in self.meaningless or value is None or name in _NOT_SENT:
                continue
            if name not in KNOWN:
                said[name] = value
            elif name not in self.taken:
                raise InvalidRequestError(
                    f"{name} is set for all rows, but {self.url} does not support it: set it in the bodies of the "
                    "rows that "
                    "support it, or run these rows as a separate job",
                )
            else:
                said.update(_SAID.get((self.resource, name), _as_it_is)(self.taken[name], value))
        return said

    def conversation(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the prompt as a chat conversation, to compare prefixes; empty if the endpoint has no prefix cache."""
        return _CONVERSATIONS[self.resource](body)

    def is_deterministic(self, body: Mapping[str, Any]) -> bool:
        """Whether the request is deterministic."""
        if self.resource == "embeddings":
            return True
        return body.get("temperature") == 0 and _THINKS_NOT[self.resource](body)

    def asks_for_json(self, body: Mapping[str, Any]) -> bool:
        """Whether the request asks for a JSON answer; only responses support that."""
        form = _inner(_inner(body, "text"), "format") if self.resource == "responses" else {}
        return form.get("type") in {"json_object", "json_schema"}

    def _checked(self, merged: dict[str, Any]) -> dict[str, Any]:
        # A batch reads complete answers, and strict servers reject nulls.
        body = {name: value for name, value in merged.items() if value is not None and name not in _NOT_SENT}
        self.check(body)
        return body


def _as_it_is(name: str, value: Any) -> dict[str, Any]:
    return {name: value}


def _effort(name: str, value: Any) -> dict[str, Any]:
    return {name: {"effort": value}}


def _thinking_as_effort(name: str, value: Any) -> dict[str, Any]:
    """``reasoning`` has only efforts, and thinking is on by default."""
    return {name: {"effort": "none"}} if as_thinking(value).get("type") == "disabled" else {}


def _list_of_texts(name: str, value: Any) -> dict[str, Any]:
    return {name: [value] if isinstance(value, str) else value}


_SAID: Final[Mapping[tuple[str, str], Callable[[str, Any], dict[str, Any]]]] = {
    ("responses", "reasoning_effort"): _effort,
    ("responses", "thinking"): _thinking_as_effort,
    ("messages", "reasoning_effort"): _effort,
    ("messages", "thinking"): lambda name, value: {name: as_thinking(value)},
    ("messages", "stop"): _list_of_texts,
    ("messages", "user_id"): lambda name, value: {name: {"user_id": value}},
}
"""Converters of values, by endpoint and parameter."""


def _inner(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = body.get(name)
    return inner if isinstance(inner, Mapping) else {}


def _disabled(body: Mapping[str, Any]) -> bool:
    return _inner(body, "thinking").get("type") == "disabled" or _inner(body, "output_config").get("effort") == "none"


_THINKS_NOT: Final[Mapping[str, Callable[[Mapping[str, Any]], bool]]] = {
    "completions": lambda _: True,
    "responses": lambda body: _inner(body, "reasoning").get("effort") == "none",
    "messages": _disabled,
    "ocr": lambda _: False,
}


def _turns(system: Any, turns: Any) -> list[Any]:
    first = [{"role": "system", "content": system}] if system else []
    rest = [{"role": "user", "content": turns}] if isinstance(turns, str) else turns
    return [*first, *(rest if isinstance(rest, list | tuple) else ())]


def _conversation(system: str, turns: str) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    def of(body: Mapping[str, Any]) -> Mapping[str, Any]:
        asked = {"model": body.get("model"), "messages": _turns(body.get(system), body.get(turns))}
        return {**asked, "tools": body["tools"]} if body.get("tools") else asked

    return of


_CONVERSATIONS: Final[Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]] = {
    "completions": _conversation("", "prompt"),
    "responses": _conversation("instructions", "input"),
    "messages": _conversation("system", "messages"),
    "embeddings": lambda _: {},
    "ocr": lambda _: {},
}

_SAME: Final = {name: name for name in ("model", "max_tokens", "temperature", "top_p")}

_ALL: Final = (
    BatchEndpoint(
        "completions",
        "/v1/completions",
        check_completion,
        {**_SAME, _CAP: "max_tokens", **{name: name for name in ("stop", "frequency_penalty", "presence_penalty")}},
        cap="max_tokens",
        meaningless=_SWITCHES,  # the model never thinks
    ),
    BatchEndpoint(
        "responses",
        "/v1/responses",
        check_response,
        {
            **_SAME,
            "max_tokens": "max_output_tokens",
            _CAP: "max_output_tokens",
            "thinking": "reasoning",
            "reasoning_effort": "reasoning",
            "safety_check": "safety_check",
            "title": "title",
        },
        cap="max_output_tokens",
    ),
    BatchEndpoint(
        "messages",
        "/v1/messages",
        check_message,
        {
            **_SAME,
            _CAP: "max_tokens",
            "stop": "stop_sequences",
            "thinking": "thinking",
            "reasoning_effort": "output_config",
            "user_id": "metadata",
            "safety_check": "safety_check",
            "title": "title",
        },
        cap="max_tokens",
    ),
    BatchEndpoint(
        "embeddings",
        "/v1/embeddings",
        check_embedding,
        {"model": "model"},
        meaningless=KNOWN - {"model"},  # there is no generated text to control
        answers_in_text=False,
    ),
)

RECOGNITION: Final = BatchEndpoint("ocr", "/v1/tools/ocr", lambda _: None, {}, answers_in_text=False)
"""Document recognition. Not a valid ``url`` of a line, because its input is local files."""

_OTHER_WAYS: Final = {
    "completions": ("/beta/completions",),
    "messages": ("/anthropic/v1/messages", "/anthropic/messages"),
}
_BY_URL: Final[Mapping[str, BatchEndpoint | None]] = {
    **dict.fromkeys((CHAT, "/chat/completions", "/beta/chat/completions"), None),
    **{
        url: endpoint
        for endpoint in _ALL
        for url in (endpoint.url, endpoint.url.removeprefix("/v1"), *_OTHER_WAYS.get(endpoint.resource, ()))
    },
}
_ALLOWED: Final = ", ".join((CHAT, *(endpoint.url for endpoint in _ALL)))


def endpoint_of(url: Any) -> BatchEndpoint | None:
    """Return the endpoint for ``url``, or None for chat. Raises InvalidRequestError for an unsupported one."""
    try:
        return _BY_URL[url]
    except (KeyError, TypeError):
        raise InvalidRequestError(
            f"url must be {_ALLOWED}, each with or without /v1, or DeepSeek's path for one of them, got {url!r:.200}",
        ) from None


def is_other_endpoint(url: str) -> bool:
    """Whether ``url`` names a non-chat endpoint."""
    return _BY_URL.get(url) is not None
