"""Typed request parameters for type checkers; documented at each ``create``.

Unlisted parameters are sent too: the last overload of each ``create`` accepts any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from deepseek_async.lint import LintMode
from deepseek_async.resources.chat_extensions import SafetyCheck
from deepseek_async.resources.parameters import Thinking
from deepseek_async.resources.resource_client import AnyTimeout


class CallOptions(TypedDict, total=False):
    """Options of every call."""

    extra_body: Mapping[str, Any] | None
    extra_headers: Mapping[str, str] | None
    extra_query: Mapping[str, Any] | None
    timeout: AnyTimeout | None


class LintedCallOptions(CallOptions, total=False):
    """Options of calls whose request is linted."""

    lint: LintMode | None


class ChatParameters(LintedCallOptions, total=False):
    """Parameters of ``chat.completions.create`` beside model, messages, stream and response_format."""

    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    stop: str | Sequence[str] | None
    thinking: Thinking | None
    reasoning_effort: str | None
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: str | Mapping[str, Any] | None
    logprobs: bool | None
    top_logprobs: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    n: int | None
    user_id: str | None
    safety_check: SafetyCheck | None
    title: bool | Mapping[str, Any] | None
    stream_options: Mapping[str, Any] | None


class TextParameters(CallOptions, total=False):
    """Parameters of ``completions.create`` beside model, prompt and stream."""

    suffix: str | None
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    stop: str | Sequence[str] | None
    echo: bool | None
    logprobs: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    stream_options: Mapping[str, Any] | None


class ResponseParameters(CallOptions, total=False):
    """Parameters of ``responses.create`` beside model, input and stream."""

    instructions: str | None
    max_output_tokens: int | None
    reasoning: Mapping[str, Any] | None
    text: Mapping[str, Any] | None
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: str | Mapping[str, Any] | None
    temperature: float | None
    top_p: float | None
    safety_check: SafetyCheck | None
    title: bool | Mapping[str, Any] | None


class MessageParameters(LintedCallOptions, total=False):
    """Parameters of ``messages.create`` beside model, messages and stream."""

    max_tokens: int | None
    system: str | Sequence[Mapping[str, Any]] | None
    thinking: Mapping[str, Any] | None
    output_config: Mapping[str, Any] | None
    temperature: float | None
    top_p: float | None
    stop_sequences: Sequence[str] | None
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: Mapping[str, Any] | None
    metadata: Mapping[str, Any] | None
    safety_check: SafetyCheck | None
    title: bool | Mapping[str, Any] | None
    betas: Sequence[str] | None
