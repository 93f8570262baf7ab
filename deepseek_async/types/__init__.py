"""Typed answers, chunks and usage."""

from deepseek_async.types.account import BalanceInfo, Model, ModelList, UserBalance
from deepseek_async.types.answer import Answer
from deepseek_async.types.answer_part import LinkedPart, Part
from deepseek_async.types.chat_completion import (
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
from deepseek_async.types.embedding import CreateEmbeddingResponse, Embedding
from deepseek_async.types.fee import FeeCharge, PaidAnswer
from deepseek_async.types.file import FileDeleted, FileList, FileObject
from deepseek_async.types.fine_tune import FineTune, FineTuneEvent, FineTuneEventList, FineTuneList, Hyperparameters
from deepseek_async.types.image import Image, ImagesResponse
from deepseek_async.types.message import (
    ContentBlock,
    EventDelta,
    Message,
    MessageStreamEvent,
    MessageUsage,
    RedactedThinkingBlock,
    ServerToolUseBlock,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    WebSearchToolResultBlock,
)
from deepseek_async.types.parsed import ParsedChatCompletion, ParsedChatCompletionMessage, ParsedChoice
from deepseek_async.types.recognition import RecognizedDocument, RecognizedPage, Transcription
from deepseek_async.types.response import (
    IncompleteDetails,
    Response,
    ResponseContent,
    ResponseError,
    ResponseOutputItem,
    ResponseStreamEvent,
    ResponseUsage,
)
from deepseek_async.types.search import FetchedPage, SearchResult, SearchResults
from deepseek_async.types.source import Source
from deepseek_async.types.speech import SpokenText
from deepseek_async.types.usage import BilledAttempt, CompletionTokensDetails, CompletionUsage, PromptTokensDetails

__all__ = [
    "Answer",
    "BalanceInfo",
    "BilledAttempt",
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
    "ContentBlock",
    "CreateEmbeddingResponse",
    "Embedding",
    "EventDelta",
    "FeeCharge",
    "FetchedPage",
    "FileDeleted",
    "FileList",
    "FileObject",
    "FineTune",
    "FineTuneEvent",
    "FineTuneEventList",
    "FineTuneList",
    "Function",
    "FunctionDelta",
    "Hyperparameters",
    "Image",
    "ImagesResponse",
    "IncompleteDetails",
    "LinkedPart",
    "Message",
    "MessageStreamEvent",
    "MessageUsage",
    "Model",
    "ModelList",
    "PaidAnswer",
    "ParsedChatCompletion",
    "ParsedChatCompletionMessage",
    "ParsedChoice",
    "Part",
    "PromptTokensDetails",
    "RecognizedDocument",
    "RecognizedPage",
    "RedactedThinkingBlock",
    "Response",
    "ResponseContent",
    "ResponseError",
    "ResponseOutputItem",
    "ResponseStreamEvent",
    "ResponseUsage",
    "SearchResult",
    "SearchResults",
    "ServerToolUseBlock",
    "Source",
    "SpokenText",
    "TextBlock",
    "ThinkingBlock",
    "TokenLogprob",
    "ToolCall",
    "ToolCallDelta",
    "ToolUseBlock",
    "TopLogprob",
    "Transcription",
    "UserBalance",
    "WebSearchToolResultBlock",
]
