"""Structured output: request with a schema, validation of the answer, repeated requests until it fits."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Final, Generic, TypeVar

import msgspec
import orjson

from deepseek_async.codec.json_schema import object_schema
from deepseek_async.codec.loose_json import found
from deepseek_async.codec.partial_json import PartialReader
from deepseek_async.codec.partial_types import growth_of
from deepseek_async.codec.python_types import Shape, problem_of
from deepseek_async.codec.schema_shape import SchemaShape
from deepseek_async.errors import APIResponseValidationError, DeepSeekError, InvalidRequestError, StructuredOutputError
from deepseek_async.structured.output_form import AnswerForm, Body, Method
from deepseek_async.text.omitted import is_omitted
from deepseek_async.types import (
    BilledAttempt,
    ChatCompletion,
    ChatCompletionChunk,
    ParsedChatCompletion,
    ParsedChatCompletionMessage,
    ParsedChoice,
)
from deepseek_async.types.answer import bills_of
from deepseek_async.types.json_text import write
from deepseek_async.types.usage import added

T = TypeVar("T")

Ask = Callable[[Body], Awaitable[ChatCompletion]]

_FENCED: Final = re.compile(r"```[\w-]*\s*\n(.*?)\s*```", re.DOTALL)


class StructuredOutput(Generic[T]):
    """Options for ``response_format=``: ``StructuredOutput(Invoice, method="strict_tool", attempts=2)``.

    - ``shape``: a msgspec Struct, dataclass, TypedDict or pydantic model; or a JSON Schema as a dict, which needs
      the extra ``schema`` and returns plain dicts.
    - ``method``: ``json`` (default) works on every endpoint and with thinking; the model may deviate from the
      schema, which is why answers are validated. With ``strict_tool`` the service enforces the schema; it is beta,
      limited to strict mode's subset of JSON Schema, and disables thinking, because a tool cannot be forced while
      the model thinks.
    - ``attempts``: maximum requests, the first included, until an answer fits; a stream is one request, because what
      it has shown cannot be taken back.
    """

    def __init__(self, shape: type[T] | Mapping[str, Any], *, method: Method = "json", attempts: int = 3) -> None:
        if attempts < 1:
            raise InvalidRequestError(f"attempts must be at least 1, got {attempts}")
        if method not in ("json", "strict_tool"):
            raise InvalidRequestError(f"method must be 'json' or 'strict_tool', got {method!r}")
        read = SchemaShape(shape) if isinstance(shape, Mapping) else Shape(shape)
        self._name = read.name
        self._shape = shape
        self._method = method
        self._attempts = attempts
        self._decode: Callable[[str], T] = read.decode
        self._decode_loosely: Callable[[str], T] = read.decode_loosely
        self.form = AnswerForm(read.name, orjson.dumps(object_schema(read)).decode(), method)
        """Schema and method of the request."""

    @classmethod
    def of(cls, response_format: Any) -> StructuredOutput[Any] | None:
        """Internal: convert a ``response_format`` that is a class or a StructuredOutput; None for any other."""
        if response_format is None or isinstance(response_format, Mapping) or is_omitted(response_format):
            return None
        return response_format if isinstance(response_format, StructuredOutput) else StructuredOutput(response_format)

    async def ask(self, body: Body, ask: Ask) -> ParsedChatCompletion[T]:
        """Internal: request an answer until one fits, each time with the error of the last one.

        Raises StructuredOutputError, with the last answer as ``partial``, if none does.
        """
        return await self.ask_adapted(self.form.adapted(body), ask)

    async def ask_adapted(self, body: Body, ask: Ask) -> ParsedChatCompletion[T]:
        """Internal: like ``ask``, for a body already adapted to this form."""
        problem = ""
        bills: list[BilledAttempt] = []
        completion: ChatCompletion | None = None
        for attempt in range(1, self._attempts + 1):
            try:
                completion = await ask(body)
            except DeepSeekError as raised:
                # Copied before it is modified: concurrent equal calls may share one error.
                error = raised if completion is None else copy(raised).with_traceback(raised.__traceback__)
                error.billed_attempts = (*bills, *error.billed_attempts)
                if isinstance(error.partial, ChatCompletion):
                    _bill(error.partial, error.billed_attempts)
                    if isinstance(error, APIResponseValidationError):
                        # Repeatedly empty: the call itself has used up its attempts.
                        raise self._error("it is empty", error.partial, attempt) from error
                elif completion is not None:
                    error.partial = completion  # invalid, but billed
                raise error from raised.__cause__
            bills += bills_of(completion)
            _bill(completion, bills)
            parsed, problem = self._outcome(completion, attempt)
            if parsed is not None:
                return parsed
            body = self._corrected(body, completion, problem)
        assert completion is not None  # noqa: S101  at least one request was made
        raise self._error(problem, completion, self._attempts)

    def parsed(self, completion: ChatCompletion) -> ParsedChatCompletion[T]:
        """Internal: return a complete answer with its object. Raises StructuredOutputError if it does not fit."""
        parsed, problem = self._outcome(completion, 1)
        if parsed is None:
            raise self._error(problem, completion, 1)
        return parsed

    def growing(self) -> PartialReader:
        """Internal: return a reader of an answer that is arriving."""
        return PartialReader(growth_of(self._shape))

    def pieces(self, chunk: ChatCompletionChunk) -> Iterator[str]:
        """Internal: yield what ``chunk`` adds to the JSON of an answer."""
        for choice in chunk.choices:
            if self._method == "json" and choice.delta.content:
                yield choice.delta.content
            elif self._method == "strict_tool":
                for call in choice.delta.tool_calls or ():
                    if call.index == 0 and call.function is not None and call.function.arguments:
                        yield call.function.arguments

    def object_in(self, text: str) -> T | None:
        """Internal: return the object in ``text``; None if it does not fit."""
        try:
            return self._read(text)
        except Exception:  # noqa: BLE001  validators of a class may raise anything
            return None

    def _outcome(self, completion: ChatCompletion, attempt: int) -> tuple[ParsedChatCompletion[T] | None, str]:
        """Return the parsed answer, or None and what is wrong. Raises StructuredOutputError for an incomplete one."""
        choice = completion.choices[0]
        if choice.finish_reason not in ("stop", "tool_calls"):
            raise self._error(_HELP.get(choice.finish_reason or "", "it is incomplete"), completion, attempt)
        text = self._text(completion)
        if text is None:
            return self._parsed(completion, None, choice.message.content), ""
        try:
            return self._parsed(completion, self._read(text), text), ""
        except Exception as error:  # noqa: BLE001  validators of a class may raise anything
            return None, problem_of(error)

    def _read(self, text: str) -> T:
        """Decode the object in ``text``, tolerating small deviations, because another request would be billed."""
        try:
            return self._decode(_bare(text))
        except Exception:  # validators of a class may raise anything
            try:
                plain = write(found(text)).decode()
                return self._decode_loosely(plain)
            except Exception:  # noqa: BLE001, S110  the model is sent the error of the strict decoding
                pass
            raise

    def _text(self, completion: ChatCompletion) -> str | None:
        """Return the JSON of an answer; None if the model called one of the caller's tools."""
        message = completion.choices[0].message
        if not message.tool_calls:
            return message.content or ""
        return message.tool_calls[0].function.arguments if self._method == "strict_tool" else None

    def _corrected(self, body: Body, completion: ChatCompletion, problem: str) -> Body:
        """Return the request with the invalid answer and its error appended; the prefix stays cacheable."""
        message = completion.choices[0].message
        complaint = f"This does not fit the schema: {problem}. Answer again, with the corrected JSON object only."
        turns: list[Any] = [message.to_request()]
        if message.tool_calls:
            turns += [{"role": "tool", "tool_call_id": call.id, "content": complaint} for call in message.tool_calls]
        else:
            turns.append({"role": "user", "content": complaint})
        return {**body, "messages": [*body["messages"], *turns]}

    def _parsed(self, completion: ChatCompletion, parsed: T | None, content: str | None) -> ParsedChatCompletion[T]:
        choice = completion.choices[0]
        # strict_tool is an implementation detail: the arguments of its call are the answer.
        was_device = self._method == "strict_tool"
        message = ParsedChatCompletionMessage[T](
            **{
                **_fields(choice.message),
                "content": content,
                "tool_calls": None if was_device else choice.message.tool_calls,
                "parsed": parsed,
            },
        )
        finish_reason = "stop" if was_device else choice.finish_reason
        parsed_choice = ParsedChoice[T](**{**_fields(choice), "message": message, "finish_reason": finish_reason})
        return ParsedChatCompletion[T](**{**_fields(completion), "choices": [parsed_choice]})

    @staticmethod
    def unparsed(completion: ChatCompletion) -> ParsedChatCompletion[Any]:
        """Internal: return ``completion``, for which no class was requested, with ``parsed`` None."""
        choices = [
            ParsedChoice[Any](**{**_fields(choice), "message": ParsedChatCompletionMessage(**_fields(choice.message))})
            for choice in completion.choices
        ]
        return ParsedChatCompletion[Any](**{**_fields(completion), "choices": choices})

    def _error(self, what: str, completion: ChatCompletion, attempts: int) -> StructuredOutputError:
        return StructuredOutputError(
            f"invalid structured output: the answer does not fit {self._name} after {attempts} attempts: {what}",
            partial=completion,
            attempts=attempts,
            billed_attempts=bills_of(completion),
            retryable=completion.choices[0].finish_reason == "stop",
        )


_HELP: Final[Mapping[str, str]] = {
    "length": "truncated by max_tokens, which covers reasoning and answer; raise it",
    "content_filter": "blocked by the content filter",
}


def _bill(completion: ChatCompletion, bills: Sequence[BilledAttempt]) -> None:
    """Set the usage of ``completion`` to the sum over all attempts."""
    if len(bills) > 1 or (bills and completion.cached is not None):
        completion.bill(bills, added(bill.usage for bill in bills))


def _fields(part: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(part, name) for name in part.__struct_fields__}


def _bare(text: str) -> str:
    """Return the JSON without whitespace and without the code fence that a model may put around it."""
    text = text.strip()
    fenced = _FENCED.fullmatch(text)
    return fenced[1] if fenced else text
