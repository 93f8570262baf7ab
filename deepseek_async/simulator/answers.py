"""What the simulator is told to answer, by match or in order."""

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
"""Of a line in a file of answers."""


@dataclass(slots=True, kw_only=True)
class ScriptedAnswer:
    """One answer, or refusal, and how often it was given. What it does not say is made up as ever."""

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

    def fits(self, request: Any, question: str) -> bool:
        """Whether it is for this request, and may still be given."""
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
        """The made-up answer with what is said in its place."""
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
    """The script: `simulator.answer(...)` adds to it, and each completion that is asked for looks into it."""

    def __init__(self, *, must: bool = False) -> None:
        self._must = must
        self._answers: list[ScriptedAnswer] = []

    @property
    def unused(self) -> int:
        """Answers that no request has got."""
        return sum(not answer.given for answer in self._answers)

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
        """Say what is answered to a chat, a response or a text completion, plain and streamed alike.

        - `when`: which requests it is for. A text or a pattern is looked for in the last message of the user (of a
          text completion, in its prompt); a function is given the request's body and says it. Of several that fit,
          those that nobody has got yet go first, in their order, and then the last one again and again.
          Without `when`, it is for the next request that no `when` fits, and for that one only.
        - `content`: the text. `parsed` is a value that is written as JSON in its place (a dict, dataclass, msgspec
          Struct or pydantic model), and `chunks` are the pieces in which a stream brings it.
        - `reasoning`: the thoughts; "" for none. Made up, if the request asks for them, unless said.
        - `tool_calls`: each a name, or `{"name", "arguments", "id"}`, or as the API writes it. Arguments that are not
          said are made to fit the schema of that tool in the request; a text is sent as it is.
        - `status`: another than 200 refuses the request: `content` is what the error says, `parsed` the whole body,
          and `headers` come with it.
        - `after`: seconds before the headers. `finish_reason`, and the fields of `usage`, in place of the usual ones.
        - `fields`: what the message has beside all that is known, whole and as a delta of a stream.
        - `times`: how many requests get it at most.

        Raises ValueError for what contradicts itself.
        """
        said = [name for name, text in zip(_TEXTS, (content, parsed, chunks), strict=True) if text is not None]
        if len(said) > 1:
            raise ValueError(f"an answer has one text, and {' and '.join(said)} are two")
        for name, value, good, wanted in (
            ("when", when, callable(when) or isinstance(when, str | re.Pattern | None), "a text, pattern or function"),
            ("content", content, isinstance(content, str | None), "a text"),
            ("reasoning", reasoning, isinstance(reasoning, str | None), "a text"),
            ("chunks", chunks, chunks is None or _are_texts(chunks), "a list of texts"),
            ("headers", headers, _are_headers(headers or {}), "names and texts of one line"),
            ("status", status, status in range(200, 600), "a status of HTTP, 200 to 599"),
            ("after", after, isinstance(after, int | float) and after >= 0, "seconds"),
            ("times", times, times is None or (isinstance(times, int) and times > 0), "a number of requests above 0"),
        ):
            if not good:
                raise ValueError(f"{name} must be {wanted}, not {value!r}")
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
        """Add the answers in a file, one JSON object a line with the arguments of `add` as keys.

        `pattern` is a `when` that is a regular expression. Raises OSError, and ValueError naming the line.
        """
        for number, line in _lines(path):
            try:
                said = json.loads(line)
                if not isinstance(said, dict):
                    raise ValueError("it is no JSON object")  # noqa: TRY301, TRY004 - one error for all that is wrong
                if unknown := sorted(said.keys() - _KEYS):
                    raise ValueError(f"an answer has no {unknown[0]!r}; it has {', '.join(sorted(_KEYS))}")  # noqa: TRY301
                if "pattern" in said:
                    said["when"] = re.compile(said.pop("pattern"))
                self.add(**said)
            except (ValueError, TypeError, re.error) as error:
                raise ValueError(f"{path}, line {number}: {error}") from None

    def next(self, request: Any, question: str) -> ScriptedAnswer | None:
        """The answer to a request. Where the script says nothing about it: None, or an error if it must."""
        try:
            found = self._found(request, question)
        except Exception as error:  # noqa: BLE001 - of the user's own function
            reason = f"the simulator could not ask whether an answer fits: {type(error).__name__}: {error}"
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
        known = ", ".join(dict.fromkeys(map(str, self._answers))) or "none"
        return refusals.invalid_request(
            f"the simulator was told no answer to this request: {shown[:_SHOWN]}{'…' if len(shown) > _SHOWN else ''}; "
            f"it was told answers for: {known}"
        )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE + 1), b""), 1):
            if len(line) > _LONGEST_LINE:
                raise ValueError(f"{path}, line {number}: it is longer than {_LONGEST_LINE:,} bytes")
            if line.strip():
                yield number, line


def _arguments_of(call: ToolCall) -> str | None:
    """The arguments that are sent as they are."""
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
        raise ValueError(f"a text must be what UTF-8 can carry, and half of a pair is in {text[:80]!r}") from None


def _are_texts(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(value, str) for value in values)


def _name_of(call: ToolCall) -> str:
    name: Any = call
    if isinstance(call, Mapping):
        function = call.get("function") or call
        name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str) or not name:
        raise ValueError(f"a tool call is the tool's name, or an object with one, not {call!r}")
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
    """An object of a class as what JSON has."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    if hasattr(value, "__struct_fields__"):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    raise ValueError(f"parsed must be what JSON can hold, not {value!r}")


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
