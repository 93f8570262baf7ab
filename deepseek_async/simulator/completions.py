"""Completion endpoints: validation, token counts, answer and bill of one request."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from deepseek_async.simulator.faults import TELLS_ALL
from deepseek_async.simulator.ledger import LedgerEntry
from deepseek_async.simulator.model.answer import GeneratedAnswer
from deepseek_async.simulator.model.catalogue import ACCEPTED, FLASH, Model
from deepseek_async.simulator.model.generation import answer_chat, answer_text
from deepseek_async.simulator.model.prefix_cache import block_keys
from deepseek_async.simulator.model.prompt import effort_of, last_user_text, render, render_fim, render_output
from deepseek_async.simulator.model.seeded_random import Draw, draw
from deepseek_async.simulator.model.tokens import UNIT, weigh
from deepseek_async.simulator.model.web import Web, declared, steps_for
from deepseek_async.simulator.services.tariff import nano_yuan
from deepseek_async.simulator.wire import message_request, response_events, streaming, validation
from deepseek_async.simulator.wire.corruption import altered, usage_place
from deepseek_async.simulator.wire.delivery import Review
from deepseek_async.simulator.wire.extension_request import (
    UNSAFE_BEGINNING,
    UNSAFE_OUTPUT,
    is_reviewed,
    offence,
    title_of,
    without_extensions,
)
from deepseek_async.simulator.wire.message_events import MessageFormat
from deepseek_async.simulator.wire.response_request import UntranslatableError, chat_request
from deepseek_async.simulator.wire.streaming import Envelope
from deepseek_async.simulator.wire.web_tool_results import links_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepseek_async.simulator.answers import ScriptedAnswer
    from deepseek_async.simulator.exchange import ServedRequest
    from deepseek_async.simulator.faults import Fault
    from deepseek_async.simulator.settings import SimulatorSettings
    from deepseek_async.simulator.wire.validation import Problem

# Public captures show either 32 hex digits or this form.
FINGERPRINT = "fp_5f0c2a7d31_prod0820_fp8_kvcache"


class Format(NamedTuple):
    """Wire format of an answer, plain and streamed."""

    body: Callable[[Envelope, GeneratedAnswer, dict[str, Any] | None], bytes]
    events: Callable[..., list[bytes]]


CHAT = Format(streaming.completion_body, streaming.completion_events)
TEXT = Format(streaming.fim_body, streaming.fim_events)
RESPONSE = Format(response_events.response_body, response_events.response_events)


@dataclass(slots=True)
class CompletionEndpoint:
    """Built in two steps: `prepare` needs the cache hits and the fault."""

    model: Model
    stream: bool
    include_usage: bool
    prompt_tokens: int
    blocks: tuple[int, ...]
    answer: GeneratedAnswer
    chance: Draw
    format: Format | MessageFormat
    logprobs: bool
    top_logprobs: int
    said: ScriptedAnswer | None = None
    review_seconds: float = 0.0  # between the last token and the end, during the content review
    hit_tokens: int = 0
    _envelope: Envelope | None = field(default=None)
    _usage: dict[str, Any] = field(default_factory=dict)
    _fault: Fault | None = None

    def prepare(self, fault: Fault | None, hit_tokens: int, number: str, created: int) -> None:
        if fault is not None:
            self.answer = altered(self.answer, fault)
        self._fault = fault
        dashed = f"{number[:8]}-{number[8:12]}-{number[12:16]}-{number[16:20]}-{number[20:]}"
        self._envelope = Envelope(dashed, created, self.model.id, FINGERPRINT, self.logprobs, self.top_logprobs)
        self._usage = streaming.usage_of(self.answer, self.prompt_tokens, hit_tokens)
        if self.said is not None:
            self._usage = streaming.usage_said(self._usage, self.said.usage)
        self.prompt_tokens, self.hit_tokens = self._counted("prompt_tokens"), self._counted("prompt_cache_hit_tokens")

    def _counted(self, name: str) -> int:
        """Return the billed count: the scripted usage, if it is a valid number."""
        value = self._usage.get(name)
        return value if isinstance(value, int) and value >= 0 else 0

    def bill(self, exchange: ServedRequest, nano_dollars: int) -> LedgerEntry:
        """Return the ledger entry after the request has ended, completely or not."""
        assert self._envelope is not None  # noqa: S101 - prepare comes first
        told = usage_place(self._fault) != "missing" and (self.include_usage or not self.stream)
        whole = self._fault is None or self._fault.kind in TELLS_ALL
        return LedgerEntry(
            id=self._envelope.id,
            account=exchange.account,
            path=exchange.record.path,
            model=self.model.id,
            cache_hit_tokens=self.hit_tokens,
            cache_miss_tokens=self.prompt_tokens - self.hit_tokens,
            completion_tokens=self.made(exchange),
            reasoning_tokens=min(self.answer.reasoning_tokens, self.made(exchange)),
            nano_dollars=nano_dollars,
            usage_sent=exchange.delivery.ended and told and whole,
            fees=self.fees,
            nano_yuan=nano_yuan(self.fees),
        )

    @property
    def fees(self) -> Mapping[str, int]:
        """Fees: every search that was started, whether or not the client waited for the answer."""
        return {} if self.answer.web is None else self.answer.web.fees

    def made(self, exchange: ServedRequest) -> int:
        """Return the generated tokens: all, or those sent before the client disconnected."""
        return math.ceil(self._counted("completion_tokens") * exchange.delivery.share)

    @property
    def body(self) -> bytes:
        assert self._envelope is not None  # noqa: S101 - prepare comes first
        usage = None if usage_place(self._fault) == "missing" else self._usage
        return self.format.body(self._envelope, self.answer, usage)

    def waiting(self, settings: SimulatorSettings) -> float:
        """Return the seconds before the headers; a plain answer includes the time of its tokens and review."""
        seconds = settings.latency + (self.said.after if self.said is not None else 0.0)
        if settings.latency_spread:
            seconds += settings.latency_spread * self.chance.fraction()
        if not self.stream:
            seconds += self.review_seconds
            if settings.tokens_per_second:
                seconds += self.answer.completion_tokens / settings.tokens_per_second
        return seconds

    @property
    def review(self) -> Review:
        """Return the pause before the end of a stream; a response has one final event, other formats two."""
        return Review(self.review_seconds, 1 if self.format is RESPONSE else 2)

    def frames(self) -> list[bytes]:
        """Return the events of a stream, or the single body."""
        if not self.stream:
            return [self.body]
        assert self._envelope is not None  # noqa: S101 - prepare comes first
        return self.format.events(
            self._envelope,
            self.answer,
            self._usage,
            include_usage=self.include_usage,
            usage_place=usage_place(self._fault),
        )


class ChatEndpoint:
    """`/chat/completions`."""

    @staticmethod
    def problem(body: Any, settings: SimulatorSettings) -> Problem | None:
        asked = without_extensions(body)
        problem = validation.chat_problem(asked, replay_required=_replay_required(asked, settings))
        if problem is None and (found := offence(body)) is not None:
            problem = validation.Problem(*found)
        return problem

    @staticmethod
    def question(body: dict[str, Any]) -> str:
        """Return the user's question."""
        return last_user_text(without_extensions(body)["messages"])

    @staticmethod
    def completion(
        body: dict[str, Any], settings: SimulatorSettings, said: ScriptedAnswer | None
    ) -> CompletionEndpoint | Problem:
        """Render, count and answer a valid request."""
        model = ACCEPTED[body["model"]]
        effort = effort_of(body)
        extended, body = body, without_extensions(body)
        prompt = render(body, model, effort)
        chance = draw(settings.seed, prompt)
        prompt_tokens = -(-weigh(prompt) // UNIT)
        problem = validation.context_problem(prompt_tokens, body.get("max_tokens"))
        if problem is not None:
            return problem
        answer = answer_chat(
            body,
            effort,
            chance,
            answer_tokens=settings.answer_tokens,
            reasoning_tokens=settings.reasoning_tokens,
            spread=settings.answer_spread,
        )
        if said is not None:
            answer = said.instead_of(answer, body.get("tools") or (), chance, ChatEndpoint.question(body))
        answer = _extended(answer, extended, settings, chance, thinking=effort is not None)
        return _completion(
            extended,
            settings,
            said=said,
            model=model,
            prompt=prompt,
            prompt_tokens=prompt_tokens,
            answer=answer,
            chance=chance,
            domain=(model.id, str(body.get("user_id") or "")),
            format_=CHAT,
        )


class ResponsesEndpoint:
    """`/responses`: chat in another format."""

    @staticmethod
    def problem(body: Any, settings: SimulatorSettings) -> Problem | None:
        try:
            translated = chat_request(body)
        except UntranslatableError as reason:
            return validation.Problem(validation.BAD_REQUEST, str(reason))
        return ChatEndpoint.problem(translated, settings)

    @staticmethod
    def question(body: dict[str, Any]) -> str:
        """Return the user's question."""
        return ChatEndpoint.question(chat_request(body))

    @staticmethod
    def completion(
        body: dict[str, Any], settings: SimulatorSettings, said: ScriptedAnswer | None
    ) -> CompletionEndpoint | Problem:
        """Answer the equivalent chat request."""
        completion = ChatEndpoint.completion(chat_request(body), settings, said)
        if isinstance(completion, CompletionEndpoint):
            completion.format = RESPONSE
        return completion


class MessagesEndpoint:
    """`/anthropic/v1/messages`: chat in Anthropic's format."""

    @staticmethod
    def problem(body: Any, settings: SimulatorSettings) -> Problem | None:
        try:
            translated = message_request.chat_request(body, lenient=settings.unknown_blocks)
        except UntranslatableError as reason:
            return validation.Problem(validation.BAD_REQUEST, str(reason))
        problem = ChatEndpoint.problem(translated, settings)
        # One check names another field here (official validator).
        return problem and problem._replace(message=problem.message.replace("reasoning_content", "content[].thinking"))

    @staticmethod
    def question(body: dict[str, Any]) -> str:
        """Return the user's question."""
        return ChatEndpoint.question(message_request.chat_request(body, lenient=True))

    @staticmethod
    def completion(
        body: dict[str, Any], settings: SimulatorSettings, said: ScriptedAnswer | None
    ) -> CompletionEndpoint | Problem:
        """Answer the equivalent chat request."""
        asked = message_request.chat_request(body, lenient=True)
        completion = ChatEndpoint.completion(asked, settings, said)
        if isinstance(completion, CompletionEndpoint):
            completion.format = MessageFormat(_stop_met(asked, settings, completion.answer), settings.unknown_blocks)
            completion.include_usage = True
        return completion


def _stop_met(asked: dict[str, Any], settings: SimulatorSettings, answer: GeneratedAnswer) -> str | None:
    """Return the stop sequence that ended the answer: the first one in the answer without stop sequences."""
    stops = asked.get("stop")
    free = ChatEndpoint.completion({**asked, "stop": None}, settings, None) if stops else None
    if not stops or not isinstance(free, CompletionEndpoint) or free.answer.content == answer.content:
        return None
    text = "".join(free.answer.content)
    return min((stop for stop in stops if stop in text), key=text.find, default=None)


class TextEndpoint:
    """`/beta/completions`, and `/v1/completions` as in tutorials."""

    @staticmethod
    def problem(body: Any, _settings: SimulatorSettings) -> Problem | None:
        return validation.fim_problem(body)

    @staticmethod
    def question(body: dict[str, Any]) -> str:
        """Return the prompt to continue."""
        return str(body["prompt"])

    @staticmethod
    def completion(
        body: dict[str, Any], settings: SimulatorSettings, said: ScriptedAnswer | None
    ) -> CompletionEndpoint | Problem:
        """Render, count and answer a valid request."""
        model = ACCEPTED[body["model"]]
        prompt = render_fim(body)
        chance = draw(settings.seed, prompt)
        prompt_tokens = -(-weigh(prompt) // UNIT)
        problem = validation.context_problem(prompt_tokens, body.get("max_tokens"))
        if problem is not None:
            return problem
        answer = answer_text(body, chance, answer_tokens=settings.answer_tokens, spread=settings.answer_spread)
        if said is not None:
            answer = replace(said.instead_of(answer, (), chance, TextEndpoint.question(body)), reasoning=None, calls=())
        return _completion(
            body,
            settings,
            said=said,
            model=model,
            prompt=prompt,
            prompt_tokens=prompt_tokens,
            answer=answer,
            chance=chance,
            domain=(model.id, "", "fim"),
            format_=TEXT,
        )


Kind = type[ChatEndpoint | ResponsesEndpoint | MessagesEndpoint | TextEndpoint]


def _completion(
    body: dict[str, Any],
    settings: SimulatorSettings,
    *,
    said: ScriptedAnswer | None,
    model: Model,
    prompt: bytes,
    prompt_tokens: int,
    answer: GeneratedAnswer,
    chance: Draw,
    domain: tuple[str, ...],
    format_: Format,
) -> CompletionEndpoint:
    blocks: tuple[int, ...] = ()
    if settings.prefix_cache:
        # One cache unit is written at the end of the input and another at the end of the output.
        blocks = block_keys(domain, prompt + render_output(answer))
    logprobs = body.get("logprobs")
    return CompletionEndpoint(
        model=model,
        stream=bool(body.get("stream")),
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        prompt_tokens=prompt_tokens,
        blocks=blocks,
        answer=answer,
        said=said,
        chance=chance,
        format=format_,
        review_seconds=settings.review_seconds if is_reviewed(body) else 0.0,
        logprobs=logprobs is not None and logprobs is not False,
        top_logprobs=(body.get("top_logprobs") or 0) if format_ is not TEXT else (logprobs or 0),
    )


def _extended(
    answer: GeneratedAnswer, body: dict[str, Any], settings: SimulatorSettings, chance: Draw, *, thinking: bool
) -> GeneratedAnswer:
    """Return the answer with extensions: a search, a title; refused if its review fails."""
    question = ChatEndpoint.question(body)
    tools = declared(body)
    if tools and not answer.calls:
        steps = steps_for(tools, question, chance, thinking=thinking, most=settings.search_steps)
        if steps:
            web = Web(steps, settings.web_shape, settings.count_server_tools)
            answer = replace(answer, web=web, content=(*answer.content, *links_of(web)))
    if is_reviewed(body) and (UNSAFE_OUTPUT in question or UNSAFE_BEGINNING in question):
        kept = answer.content if UNSAFE_OUTPUT in question else answer.content[: len(answer.content) // 2]
        return replace(answer, content=kept, finish_reason="content_filter")
    if answer.finish_reason in ("length", "content_filter"):
        return answer
    return replace(answer, title=title_of(body, question))


def _replay_required(body: Any, settings: SimulatorSettings) -> bool:
    if settings.reasoning_replay != "by-model":
        return settings.reasoning_replay == "required"
    name = body.get("model") if isinstance(body, dict) else None
    return isinstance(name, str) and ACCEPTED.get(name, FLASH) is not FLASH
