"""Answers, chunks and usage, as typed objects."""

from deepseek_async.types.account import BalanceInfo, Model, ModelList, UserBalance
from deepseek_async.types.answer import Answer, LinkedPart, Part
from deepseek_async.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    Choice,
    ChoiceDelta,
    ChoiceLogprobs,
    ChunkChoice,
    Function,
    FunctionDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    TopLogprob,
)
from deepseek_async.types.completion import Completion, CompletionChoice, CompletionLogprobs
from deepseek_async.types.usage import CompletionTokensDetails, CompletionUsage, PromptTokensDetails

__all__ = [
    "Answer",
    "BalanceInfo",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatCompletionMessage",
    "Choice",
    "ChoiceDelta",
    "ChoiceLogprobs",
    "ChunkChoice",
    "Completion",
    "CompletionChoice",
    "CompletionLogprobs",
    "CompletionTokensDetails",
    "CompletionUsage",
    "Function",
    "FunctionDelta",
    "LinkedPart",
    "Model",
    "ModelList",
    "Part",
    "PromptTokensDetails",
    "TokenLogprob",
    "ToolCall",
    "ToolCallDelta",
    "TopLogprob",
    "UserBalance",
]
