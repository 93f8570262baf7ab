"""Scripted answers of the simulator, by match or in order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from deepseek_async.simulator.model.answer import GeneratedAnswer, GeneratedCall
from deepseek_async.simulator.model.generation import arguments_for, call_of, pieces_of
from deepseek_async.simulator.wire import refusals
from deepseek_async.simulator.wire.refusals import JSON, Refusal

if TYPE_CHECKING:
    from deepseek_async.simulator.model.seeded_random import Draw

When = str | re.Pattern[str] | Callable[[Any], bool]
ToolCall = str | Mapping[str, Any]

_OK: Final = 200
_LONGEST_LINE: Final = 16 << 20
_SHOWN: Final = 2000
_TEXTS: Final = ("content", "parsed", "chunks")
_KEYS: Final = frozenset(
    (
        *_TEXTS,
        "when",
        "pattern",
        "reasoning",
        "tool_calls",
        "status",
        "headers",
        "after",
        "finish_reason",
        "usage",
        "fields",
        "times",
    )
)
"""Bytes of a line in a file of answers."""


@dataclass(slots=True, kw_only=True)
class ScriptedAnswer:
    """One answer or error, and how often it was returned. Unspecified parts are generated."""

    when: When | None = None
    content: tuple[str, ...] | None = None
    reasoning: tuple[str, ...] | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    after: float = 0.0
    refusal: Refusal | None = None
    times: float = 1
    given: int = 0

    @property
    def is_due(self) -> bool:
        """Whether a request was expected that has not come: the first, or as many as ``times`` says."""
        return not self.given or self.given < self.times < float("inf")

    def fits(self, request: Any, question: str) -> bool:
        """Whether it matches this request and may still be used."""
        if self.given >= self.times:
            return False
        if isinstance(self.when, str):
            return self.when in question
        if isinstance(self.when, re.Pattern):
            return self.when.search(question) is not None
        return self.when is None or bool(self.when(request))

    def instead_of(
        self, made: GeneratedAnswer, tools: Sequence[Mapping[str, Any]], chance: Draw, question: str
    ) -> GeneratedAnswer:
        """Return the generated answer with the scripted parts replaced."""
        return replace(self._answer(made, tools, chance, question), fields=self.fields)

    def _answer(
        self, made: GeneratedAnswer, tools: Sequence[Mapping[str, Any]], chance: Draw, question: str
    ) -> GeneratedAnswer:
        reasoning = made.reasoning if self.reasoning is None else self.reasoning or None
        if self.content is None and not self.tool_calls:
            return replace(made, reasoning=reasoning, finish_reason=self.finish_reason or made.finish_reason)
        functions = {tool["function"]["name"]: tool["function"] for tool in tools}
        calls = tuple(_call(call, functions, place, chance, question) for place, call in enumerate(self.tool_calls))
        usual = "tool_calls" if calls else "stop"
        return GeneratedAnswer(reasoning, self.content or (), calls, self.finish_reason or usual)

    def __str__(self) -> str:
        if self.when is None:
            return "the next request"
        if isinstance(self.when, re.Pattern):
            return f"/{self.when.pattern}/"
        return repr(self.when) if isinstance(self.when, str) else getattr(self.when, "__name__", repr(self.when))


class Answers:
    """The script: `simulator.answer(...)` adds to it, and every completion request consults it."""

    def __init__(self, *, must: bool = False) -> None:
        self._must = must
        self._answers: list[ScriptedAnswer] = []
        self.missed: list[str] = []
        """What a client was told about each request that had to have an answer and had none."""

    @property
    def unused(self) -> int:
        """Number of answers that no request has used."""
        return sum(not answer.given for answer in self._answers)

    def check_used(self) -> None:
        """Raise AssertionError if an answer was not used, or was used less often than its ``times``."""
        left = [str(answer) for answer in self._answers if answer.is_due]
        if left:
            raise AssertionError(f"scripted answers were not used: {', '.join(left)}")

    def check_missed(self) -> None:
        """Raise AssertionError if a request had to have a scripted answer and had none."""
        if self.missed:
            more = f" (and {len(self.missed) - 1} more)" if len(self.missed) > 1 else ""
            raise AssertionError(self.missed[0] + more)

    def add(
        self,
        *,
        when: When | None = None,
        content: str | None = None,
        reasoning: str | None = None,
        tool_calls: Sequence[ToolCall] = (),
        parsed: Any = None,
        status: int = _OK,
        headers: Mapping[str, str] | None = None,
        after: float = 0.0,
        finish_reason: str | None = None,
        usage: Mapping[str, Any] | None = None,
        fields: Mapping[str, Any] | None = None,
        chunks: Sequence[str] | None = None,
        times: int | None = None,
    ) -> None:
        """Script the answer to a chat, response or text completion, plain or streamed.

        - `when`: the requests it matches. A text or pattern is searched for in the last user message (for a text
          completion, in its prompt); a function receives the request body and returns a bool. Of several matches,
          unused ones go first, in order, and then the last one repeats.
          Without `when`, it answers the next request that no `when` matches, and only that one.
        - `content`: the text. `parsed` is a value to encode as JSON instead (a dict, dataclass, msgspec
          Struct or pydantic model), and `chunks` are the pieces of a stream.
        - `reasoning`: the reasoning; "" for none. By default generated, if the request enables thinking.
        - `tool_calls`: each a name, or `{"name", "arguments", "id"}`, or in the API's format. Missing arguments are
          generated to match the schema of that tool in the request; a string is sent unchanged.
        - `status`: a status other than 200 returns an error: `content` is its message, `parsed` its whole body,
          and `headers` are sent with it.
        - `after`: seconds before the headers. `finish_reason`, and the fields of `usage`, override the usual ones.
        - `fields`: additional fields of the message, whole and as a delta of a stream.
        - `times`: maximum number of uses.

        Raises ValueError for contradictory arguments.
        """
        said = [name for name, text in zip(_TEXTS, (content, parsed, chunks), strict=True) if text is not None]
        if len(said) > 1:
            raise ValueError(f"an answer must have one text, got {' and '.join(said)}")
        for name, value, good, wanted in (
            (
                "when",
                when,
                callable(when) or isinstance(when, str | re.Pattern | None),
                "a string, pattern or function",
            ),
            ("content", content, isinstance(content, str | None), "a string"),
            ("reasoning", reasoning, isinstance(reasoning, str | None), "a string"),
            ("chunks", chunks, chunks is None or _are_texts(chunks), "a list of strings"),
            ("tool_calls", tool_calls, isinstance(tool_calls, list | tuple), "a list of names or objects"),
            ("headers", headers, _are_headers(headers or {}), "a mapping of names to single-line strings"),
            ("status", status, status in range(200, 600), "an HTTP status from 200 to 599"),
            ("after", after, isinstance(after, int | float) and after >= 0, "at least 0 seconds"),
            ("times", times, times is None or (isinstance(times, int) and times > 0), "an integer greater than 0"),
        ):
            if not good:
                raise ValueError(f"{name} must be {wanted}, got {value!r}")
        for call in tool_calls:
            _name_of(call)
        for part in filter(None, (content, reasoning, *(chunks or ()), *map(_arguments_of, tool_calls))):
            _check_encodable(part)
        text = content if parsed is None else _written(parsed)
        pieces = None if text is None else pieces_of(text)
        self._answers.append(
            ScriptedAnswer(
                when=when,
                content=pieces if chunks is None else tuple(chunks),
                reasoning=None if reasoning is None else pieces_of(reasoning),
                tool_calls=tuple(tool_calls),
                finish_reason=finish_reason,
                usage=usage or {},
                fields=fields or {},
                after=after,
                refusal=None if status == _OK else _refusal(status, text, headers or {}, whole=parsed is not None),
                times=(1 if when is None else float("inf")) if times is None else times,
            )
        )

    def read(self, path: Path) -> None:
        """Add the answers in a file, one JSON object per line with the arguments of `add` as keys.

        `pattern` is a `when` that is a regular expression. Raises OSError, and ValueError naming the line.
        """
        for number, line in _lines(path):
            try:
                said = json.loads(line)
                if not isinstance(said, dict):
                    raise ValueError("must be a JSON object")  # noqa: TRY301, TRY004 - one error type for invalid lines
                if unknown := sorted(said.keys() - _KEYS):
                    raise ValueError(f"keys must be among {', '.join(sorted(_KEYS))}, got {unknown[0]!r}")  # noqa: TRY301
                if "pattern" in said:
                    said["when"] = re.compile(said.pop("pattern"))
                self.add(**said)
            except (ValueError, TypeError, re.error) as error:
                raise ValueError(f"{path}, line {number}: {error}") from None

    def next(self, request: Any, question: str) -> ScriptedAnswer | None:
        """Return the answer to a request. If none matches: None, or an error if answers are required."""
        try:
            found = self._found(request, question)
        except Exception as error:  # noqa: BLE001 - raised by the user's function
            reason = f"the `when` function of a scripted answer failed: {type(error).__name__}: {error}"
            if self._must:
                self.missed.append(reason)
            return ScriptedAnswer(refusal=refusals.invalid_request(reason))
        if found is None and self._must:
            return ScriptedAnswer(refusal=self._missing(request))
        return found

    def _found(self, request: Any, question: str) -> ScriptedAnswer | None:
        matched = [one for one in self._answers if one.when is not None and one.fits(request, question)]
        fresh = [one for one in matched if not one.given]
        in_order = (one for one in self._answers if one.when is None and one.fits(request, question))
        found = fresh[0] if fresh else matched[-1] if matched else next(in_order, None)
        if found is not None:
            found.given += 1
        return found

    def _missing(self, request: Any) -> Refusal:
        shown = orjson.dumps(request).decode()
        left = ", ".join(dict.fromkeys(str(answer) for answer in self._answers if answer.given < answer.times))
        message = (
            f"no scripted answer matches this request: {shown[:_SHOWN]}{'…' if len(shown) > _SHOWN else ''}; answers "
            f"are left for: {left or 'none'}"
        )
        self.missed.append(message)
        return refusals.invalid_request(message)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE + 1), b""), 1):
            if len(line) > _LONGEST_LINE:
                raise ValueError(f"{path}, line {number}: longer than {_LONGEST_LINE:,} bytes")
            if line.strip():
                yield number, line


def _arguments_of(call: ToolCall) -> str | None:
    """Return arguments that are sent unchanged."""
    said = {} if isinstance(call, str) else call.get("function") or call
    arguments = said.get("arguments")
    return arguments if isinstance(arguments, str) else None


def _are_headers(headers: Any) -> bool:
    return isinstance(headers, Mapping) and all(
        isinstance(part, str) and part.isprintable() for field in headers.items() for part in field
    )


def _check_encodable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"text must be encodable as UTF-8, got a lone surrogate in {text[:80]!r}") from None


def _are_texts(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(value, str) for value in values)


def _name_of(call: ToolCall) -> str:
    name: Any = call
    if isinstance(call, Mapping):
        function = call.get("function") or call
        name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str) or not name:
        raise ValueError(f"a tool call must be a tool name or an object with one, got {call!r}")
    return name


def _call(given: ToolCall, functions: Mapping[str, Any], place: int, chance: Draw, question: str) -> GeneratedCall:
    name = _name_of(given)
    said = {} if isinstance(given, str) else given
    arguments = (said.get("function") or said).get("arguments")
    if arguments is None:
        arguments = arguments_for(functions.get(name, {}), chance, question)
    text = arguments if isinstance(arguments, str) else _written(arguments)
    return call_of(name, text, place, chance, said.get("id"))


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    """Convert an object to JSON types."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    if hasattr(value, "__struct_fields__"):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    raise ValueError(f"parsed must be JSON serializable, got {value!r}")


def _refusal(status: int, text: str | None, headers: Mapping[str, str], *, whole: bool) -> Refusal:
    if whole:
        return Refusal(status, (text or "").encode(), JSON, headers)
    usual = _USUAL.get(status)
    if text is None and usual is not None:
        return replace(usual, headers={**usual.headers, **headers})
    kind = "rate_limit_error" if status == 429 else "invalid_request_error" if status < 500 else "server_error"
    return replace(refusals.envelope(status, text or f"the simulator answers {status}", kind), headers=headers)


_USUAL: Final = {
    401: refusals.wrong_key("0000"),
    402: refusals.insufficient_balance(),
    404: refusals.not_found(),
    413: refusals.too_large(),
    429: refusals.envelope(429, "Rate limit reached, please slow down", "rate_limit_error"),
    500: refusals.server_error(),
    502: refusals.gateway_page(502, "Bad Gateway"),
    503: refusals.overloaded(),
    504: refusals.gateway_page(504, "Gateway Time-out"),
}
