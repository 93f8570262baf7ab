"""What the ``url`` of a line may name beside chat, and how the parameters of a job are said there. Pure."""

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
    """One of them; rows of chat have none."""

    resource: Resource
    url: str
    """As OpenAI writes it."""
    check: Callable[[dict[str, Any]], None]
    """Raises InvalidRequestError for a body that is no request."""
    taken: Mapping[str, str]
    """Parameters of chat that a job may set for all its rows, and what they are called here."""
    cap: str = ""
    """What the longest answer is called; empty where there is no such thing."""
    meaningless: frozenset[str] = frozenset()
    """Parameters of chat that change nothing here, and are not sent."""
    answers_in_text: bool = True
    """Whether a model of chat can be asked."""

    def body(self, given: Mapping[str, Any], model: str | None, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The request of a row: what is ``given`` there, and what it does not say as the job says it.

        Raises InvalidRequestError for what is no request here.
        """
        return self._checked({"model": model, **self.translated(parameters), **given})

    def overridden(self, body: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The request under other parameters; None takes one away. Raises InvalidRequestError."""
        gone = {self.taken.get(name, name): None for name, value in parameters.items() if value is None}
        said = {name: value for name, value in parameters.items() if value is not None}
        return self._checked({**body, **gone, **self.translated(said)})

    def translated(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters of chat in the words of this endpoint; those that nobody knows stay as they are.

        Raises InvalidRequestError for one that it lacks: a cap or a form that is silently dropped costs money.
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
                    f"{name} is set for all rows, and {self.url} has none: set it in the bodies of the rows that take "
                    "it, or give these rows a job of their own",
                )
            else:
                said.update(_SAID.get((self.resource, name), _as_it_is)(self.taken[name], value))
        return said

    def conversation(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The prompt as a conversation of chat has it, to tell how it begins; empty where nothing is cached by that."""
        return _CONVERSATIONS[self.resource](body)

    def is_deterministic(self, body: Mapping[str, Any]) -> bool:
        """Whether the likeliest answer is asked for, which is always the same."""
        if self.resource == "embeddings":
            return True
        return body.get("temperature") == 0 and _THINKS_NOT[self.resource](body)

    def asks_for_json(self, body: Mapping[str, Any]) -> bool:
        """Whether the answer is to be JSON; responses alone can be told so."""
        form = _inner(_inner(body, "text"), "format") if self.resource == "responses" else {}
        return form.get("type") in {"json_object", "json_schema"}

    def _checked(self, merged: dict[str, Any]) -> dict[str, Any]:
        # A batch reads whole answers, and strict servers refuse nulls.
        body = {name: value for name, value in merged.items() if value is not None and name not in _NOT_SENT}
        self.check(body)
        return body


def _as_it_is(name: str, value: Any) -> dict[str, Any]:
    return {name: value}


def _effort(name: str, value: Any) -> dict[str, Any]:
    return {name: {"effort": value}}


def _thinking_as_effort(name: str, value: Any) -> dict[str, Any]:
    """``reasoning`` knows efforts alone, and thinking is on by default."""
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
"""By endpoint and parameter, where a value is said in another form too."""


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
        meaningless=_SWITCHES,  # it never thinks
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
        meaningless=KNOWN - {"model"},  # nothing is written, so nothing can be said of it
        answers_in_text=False,
    ),
)

RECOGNITION: Final = BatchEndpoint("ocr", "/v1/tools/ocr", lambda _: None, {}, answers_in_text=False)
"""Where documents are read. No line can name it, because what is read from there are files of the user's."""

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
    """Where a line with that ``url`` goes; None for chat. Raises InvalidRequestError for what is none of a batch's."""
    try:
        return _BY_URL[url]
    except (KeyError, TypeError):
        raise InvalidRequestError(
            f"url is {url!r:.200}; a batch sends {_ALLOWED}, each without /v1 too, and the paths of DeepSeek that "
            "stand for them",
        ) from None


def is_other_endpoint(url: str) -> bool:
    """Whether it is the ``url`` of an endpoint beside chat."""
    return _BY_URL.get(url) is not None
