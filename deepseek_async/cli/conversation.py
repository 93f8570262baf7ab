"""Terminal conversation: message history, one streamed answer, and the prompt loop."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from deepseek_async.call.stream.deltas import ReasoningDelta, StreamEvent, TextDelta
from deepseek_async.call.stream.service_steps import Reading, Reviewing, Searching
from deepseek_async.cli.process import runner
from deepseek_async.cli.screen import Screen
from deepseek_async.cli.terminal import say
from deepseek_async.client import AsyncDeepSeek
from deepseek_async.errors import AuthenticationError, ConfigurationError, DeepSeekError
from deepseek_async.pricing.prices import Meter, price_table
from deepseek_async.text.number_format import dollars, duration
from deepseek_async.types import ChatCompletion, ChatCompletionMessage, CompletionUsage
from deepseek_async.types.answer import bills_of

_CUT_OFF: Final = " […truncated here]"
_HOPELESS: Final = (AuthenticationError, ConfigurationError)
"""Errors that the next question would meet too."""


class History:
    """Messages of the conversation. Append-only, so that each question hits the API's prefix cache at a fraction of
    the price.
    """

    def __init__(self, system: str | None) -> None:
        self._system = system
        self.messages: list[Any] = []
        self.forget()

    def forget(self) -> None:
        """Start a new conversation with the same system prompt."""
        self.messages = [{"role": "system", "content": self._system}] if self._system else []

    def ask(self, prompt: str) -> None:
        """Append the user's message."""
        self.messages.append({"role": "user", "content": prompt})

    def answered(self, answer: str | ChatCompletionMessage) -> None:
        """Append the complete answer: the model's message, which includes its searches, or a text."""
        self.messages.append({"role": "assistant", "content": answer} if isinstance(answer, str) else answer)

    def broken(self, text: str) -> bool:
        """Record a truncated answer. Return False if nothing of it was shown: the question is then removed.

        The answer is marked as truncated for the model, so that "go on" is understood. Two consecutive questions
        without an answer would not be.
        """
        if not text:
            self.messages.pop()
            return False
        self.answered(text + _CUT_OFF)
        return True


def ask_once(
    client: AsyncDeepSeek,
    history: History,
    parameters: Mapping[str, Any],
    prompt: str,
    *,
    raw: bool = False,
) -> int:
    """Ask one question. Return the exit code."""
    history.ask(prompt)

    async def ask() -> None:
        async with client:
            await _answer(client, history, parameters, Screen(raw=raw))

    with runner() as loop:
        try:
            loop.run(ask())
        except KeyboardInterrupt:
            return 130
    return 0


def talk(client: AsyncDeepSeek, history: History, parameters: Mapping[str, Any], *, raw: bool = False) -> int:
    """Ask questions until the user exits. Return the exit code.

    Input blocks the event loop. That is safe: nothing is in flight meanwhile, and a connection that the server
    closed is replaced by the retry of the next call.
    """
    with suppress(ImportError):
        import readline  # noqa: F401, PLC0415  enables line editing and history in input()
    say(f"{parameters['model']} · Ctrl-C stops an answer, /new starts a new conversation, /quit or Ctrl-D exits")
    with runner() as loop:
        try:
            while True:
                prompt = _read_prompt()
                if prompt is None:
                    return 0
                if prompt == "/new":
                    history.forget()
                    say("new conversation")
                elif prompt:
                    history.ask(prompt)
                    _show_answer(loop, client, history, parameters, Screen(raw=raw))
        finally:
            loop.run(client.aclose())


def _read_prompt() -> str | None:
    """Return the user's input, or None to exit."""
    prompt = "> "
    if not sys.stdout.isatty():
        # input() would write the prompt to stdout, among the answers.
        sys.stderr.write(prompt)
        sys.stderr.flush()
        prompt = ""
    try:
        line = input(prompt).strip()
    except EOFError:
        sys.stderr.write("\n")
        return None
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        say("/quit or Ctrl-D exits")
        return ""
    # Pasted lone surrogates would otherwise fail only when the message is sent.
    line = line.encode("utf-8", "replace").decode()
    return None if line in {"/quit", "/exit"} else line


def _show_answer(
    loop: asyncio.Runner,
    client: AsyncDeepSeek,
    history: History,
    parameters: Mapping[str, Any],
    screen: Screen,
) -> None:
    try:
        loop.run(_answer(client, history, parameters, screen))
    except KeyboardInterrupt:
        kept = history.broken(screen.text)
        say("stopped; the partial answer is kept" if kept else "stopped; the question was removed")
    except DeepSeekError as error:
        history.broken(screen.text)
        if isinstance(error, _HOPELESS):
            raise
        say(f"error: {error.message}")


async def _answer(client: AsyncDeepSeek, history: History, parameters: Mapping[str, Any], screen: Screen) -> None:
    began, started = time.time(), time.monotonic()
    try:
        async with client.chat.completions.stream(messages=history.messages, **parameters) as stream:
            async for event in stream.events():
                _show(screen, event)
            completion = stream.completion
    finally:
        # Also after Ctrl-C or an error: what follows must start on a new line.
        screen.end()
    if completion.refused:
        # A withdrawn answer is not part of the conversation.
        history.broken("")
        say("the service's content check withdrew this answer; the question was removed")
    else:
        history.answered(completion.choices[0].message if completion.choices else screen.text)
        for source in completion.sources:
            screen.note(f"{source.title or source.url}: {source.url}")
    _show_figures(screen, completion, began, time.monotonic() - started)


def _show(screen: Screen, event: StreamEvent) -> None:
    match event:
        case TextDelta(text):
            screen.answer(text)
        case ReasoningDelta(text):
            screen.reason(text)
        case Searching():
            screen.note(f"searching: {', '.join(event.queries) or '…'}")
        case Reading():
            screen.note(f"reading: {event.url or '…'}")
        case Reviewing():
            screen.note("content check of the answer")
        case _:
            pass


def _show_figures(screen: Screen, completion: ChatCompletion, began: float, seconds: float) -> None:
    usage = completion.usage or CompletionUsage()
    cost = price_table().cost(usage, completion.model, began)
    reasoning = f" ({usage.reasoning_tokens:,} reasoning)" if usage.reasoning_tokens else ""
    reason = completion.choices[0].finish_reason if completion.choices else None
    parts = [
        f"{usage.prompt_tokens:,} tokens in ({usage.cached_tokens:,} cached)",
        f"{usage.completion_tokens:,} out{reasoning}",
        "cost unknown" if cost is None else dollars(cost),
        duration(seconds),
    ]
    if usage.fees:
        parts += map(str, Meter(price_table()).fees(bills_of(completion)))
    if reason not in {"stop", None}:
        parts.append(f"finish reason {reason}")
    screen.note(" · ".join(parts))
