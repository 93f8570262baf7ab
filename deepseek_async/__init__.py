"""Asyncio-native, high-throughput client for the DeepSeek API.

    from deepseek_async import AsyncDeepSeek

    async with AsyncDeepSeek() as client:
        done = await client.chat.completions.create(model="deepseek-flash", messages=[…])

The path of one request, with the package of each step:

    prompts ─► batch/ ─┐
                       ├─► resources/ ─► call/ ─► admission/ ─► transport/ ─► codec/ ─► types/ ─► caller | output file
    await create(…) ───┘                   ▲                                    │
                                           └────── retry, admitted again ◄──────┘

Public names are imported on first use: importing aiohttp alone takes longer than ``--help`` should.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from deepseek_async.deprecated_names import install as _install_renamed

if TYPE_CHECKING:
    from deepseek_async.admission.budget import Budget
    from deepseek_async.admission.outage.breaker import BreakerPolicy
    from deepseek_async.admission.statistics import Statistics
    from deepseek_async.admission.tool_limits import ToolLimits
    from deepseek_async.batch import BatchReport, BatchResult
    from deepseek_async.cache import Cache
    from deepseek_async.call.retry import RetryPolicy
    from deepseek_async.call.stream import (
        AudioStream,
        ChatCompletionStream,
        ChoicesStream,
        CompletionStream,
        MessageStream,
        ResponseStream,
    )
    from deepseek_async.call.stream.deltas import AnswerEnd, ReasoningDelta, TextDelta, ToolArgumentsDelta
    from deepseek_async.call.stream.service_steps import (
        AnswerWithdrawn,
        Reading,
        Reviewing,
        Searching,
        TitleGiven,
        UnknownDelta,
    )
    from deepseek_async.client import AsyncDeepSeek
    from deepseek_async.codec.size_limits import Limits
    from deepseek_async.configuration.endpoint import Endpoint
    from deepseek_async.content import ContentFilter
    from deepseek_async.errors import (
        APIConnectionError,
        APIError,
        APIResponseValidationError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        BatchError,
        BudgetExceededError,
        CircuitOpenError,
        ConcurrencyLimitError,
        ConfigurationError,
        ConflictError,
        ContentBlockedError,
        ContentRefusedError,
        ContentRiskError,
        ContextWindowExceededError,
        DeepSeekError,
        InputChangedError,
        InputFormatError,
        InsufficientBalanceError,
        InternalServerError,
        InvalidRequestError,
        NotFoundError,
        OutputLockedError,
        OutputWriteError,
        PermissionDeniedError,
        QuotaExceededError,
        RateLimitError,
        ReasoningBudgetExhaustedError,
        RowsLostError,
        ServerOverloadedError,
        StreamInterruptedError,
        StructuredOutputError,
        ToolRunError,
        UnprocessableEntityError,
    )
    from deepseek_async.labels import labelled
    from deepseek_async.lint import IgnoredParameterWarning, RequestLintWarning
    from deepseek_async.prompt_cache import CacheCause, CacheFigures, CacheReport, PromptCacheWatch
    from deepseek_async.resources.raw import RawResponse
    from deepseek_async.structured import ChatCompletionEventStream, ParsedChatCompletionStream, StructuredOutput
    from deepseek_async.tools import FunctionTool, ToolRun
    from deepseek_async.transport.timeouts import Timeouts
    from deepseek_async.types import (
        ChatCompletion,
        ChatCompletionChunk,
        Completion,
        FeeCharge,
        FetchedPage,
        Message,
        ParsedChatCompletion,
        RecognizedDocument,
        Response,
        SearchResult,
        SearchResults,
        Source,
        SpokenText,
        Transcription,
    )

__version__ = "0.1.0"

_install_renamed()

_HOME = {
    "APIConnectionError": "errors",
    "APIError": "errors",
    "APIResponseValidationError": "errors",
    "APIStatusError": "errors",
    "APITimeoutError": "errors",
    "AnswerEnd": "call.stream.deltas",
    "AnswerWithdrawn": "call.stream.service_steps",
    "AsyncDeepSeek": "client",
    "AudioStream": "call.stream",
    "AuthenticationError": "errors",
    "BadRequestError": "errors",
    "BatchError": "errors",
    "BatchReport": "batch",
    "BatchResult": "batch",
    "BreakerPolicy": "admission.outage.breaker",
    "Budget": "admission.budget",
    "BudgetExceededError": "errors",
    "Cache": "cache",
    "CacheCause": "prompt_cache",
    "CacheFigures": "prompt_cache",
    "CacheReport": "prompt_cache",
    "ChatCompletion": "types",
    "ChatCompletionChunk": "types",
    "ChatCompletionEventStream": "structured",
    "ChatCompletionStream": "call.stream",
    "ChoicesStream": "call.stream",
    "CircuitOpenError": "errors",
    "Completion": "types",
    "CompletionStream": "call.stream",
    "ConcurrencyLimitError": "errors",
    "ConfigurationError": "errors",
    "ConflictError": "errors",
    "ContentBlockedError": "errors",
    "ContentFilter": "content",
    "ContentRefusedError": "errors",
    "ContentRiskError": "errors",
    "ContextWindowExceededError": "errors",
    "DeepSeekError": "errors",
    "Endpoint": "configuration.endpoint",
    "FeeCharge": "types",
    "FetchedPage": "types",
    "FunctionTool": "tools",
    "IgnoredParameterWarning": "lint",
    "InputChangedError": "errors",
    "InputFormatError": "errors",
    "InsufficientBalanceError": "errors",
    "InternalServerError": "errors",
    "InvalidRequestError": "errors",
    "Limits": "codec.size_limits",
    "Message": "types",
    "MessageStream": "call.stream",
    "NotFoundError": "errors",
    "OutputLockedError": "errors",
    "OutputWriteError": "errors",
    "ParsedChatCompletion": "types",
    "ParsedChatCompletionStream": "structured",
    "PermissionDeniedError": "errors",
    "PromptCacheWatch": "prompt_cache",
    "QuotaExceededError": "errors",
    "RateLimitError": "errors",
    "RawResponse": "resources.raw",
    "Reading": "call.stream.service_steps",
    "ReasoningBudgetExhaustedError": "errors",
    "ReasoningDelta": "call.stream.deltas",
    "RecognizedDocument": "types",
    "RequestLintWarning": "lint",
    "Response": "types",
    "ResponseStream": "call.stream",
    "RetryPolicy": "call.retry",
    "Reviewing": "call.stream.service_steps",
    "RowsLostError": "errors",
    "SearchResult": "types",
    "SearchResults": "types",
    "Searching": "call.stream.service_steps",
    "ServerOverloadedError": "errors",
    "Source": "types",
    "SpokenText": "types",
    "Statistics": "admission.statistics",
    "StreamInterruptedError": "errors",
    "StructuredOutput": "structured",
    "StructuredOutputError": "errors",
    "TextDelta": "call.stream.deltas",
    "Timeouts": "transport.timeouts",
    "TitleGiven": "call.stream.service_steps",
    "ToolArgumentsDelta": "call.stream.deltas",
    "ToolLimits": "admission.tool_limits",
    "ToolRun": "tools",
    "ToolRunError": "errors",
    "Transcription": "types",
    "UnknownDelta": "call.stream.service_steps",
    "UnprocessableEntityError": "errors",
    "labelled": "labels",
}

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AnswerEnd",
    "AnswerWithdrawn",
    "AsyncDeepSeek",
    "AudioStream",
    "AuthenticationError",
    "BadRequestError",
    "BatchError",
    "BatchReport",
    "BatchResult",
    "BreakerPolicy",
    "Budget",
    "BudgetExceededError",
    "Cache",
    "CacheCause",
    "CacheFigures",
    "CacheReport",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatCompletionEventStream",
    "ChatCompletionStream",
    "ChoicesStream",
    "CircuitOpenError",
    "Completion",
    "CompletionStream",
    "ConcurrencyLimitError",
    "ConfigurationError",
    "ConflictError",
    "ContentBlockedError",
    "ContentFilter",
    "ContentRefusedError",
    "ContentRiskError",
    "ContextWindowExceededError",
    "DeepSeekError",
    "Endpoint",
    "FeeCharge",
    "FetchedPage",
    "FunctionTool",
    "IgnoredParameterWarning",
    "InputChangedError",
    "InputFormatError",
    "InsufficientBalanceError",
    "InternalServerError",
    "InvalidRequestError",
    "Limits",
    "Message",
    "MessageStream",
    "NotFoundError",
    "OutputLockedError",
    "OutputWriteError",
    "ParsedChatCompletion",
    "ParsedChatCompletionStream",
    "PermissionDeniedError",
    "PromptCacheWatch",
    "QuotaExceededError",
    "RateLimitError",
    "RawResponse",
    "Reading",
    "ReasoningBudgetExhaustedError",
    "ReasoningDelta",
    "RecognizedDocument",
    "RequestLintWarning",
    "Response",
    "ResponseStream",
    "RetryPolicy",
    "Reviewing",
    "RowsLostError",
    "SearchResult",
    "SearchResults",
    "Searching",
    "ServerOverloadedError",
    "Source",
    "SpokenText",
    "Statistics",
    "StreamInterruptedError",
    "StructuredOutput",
    "StructuredOutputError",
    "TextDelta",
    "Timeouts",
    "TitleGiven",
    "ToolArgumentsDelta",
    "ToolLimits",
    "ToolRun",
    "ToolRunError",
    "Transcription",
    "UnknownDelta",
    "UnprocessableEntityError",
    "labelled",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        from deepseek_async.openai_names import INSTEAD  # noqa: PLC0415  for a mistake only

        instead = f": {INSTEAD[name]}" if name in INSTEAD else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{instead}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
