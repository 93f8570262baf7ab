"""Token counts of LangChain's model interface, for ``trim_messages`` and the like: estimates, without a request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from langchain_core.messages import BaseMessage

from deepseek_async.codec.tokens import estimate_prompt_tokens, weigh_text
from deepseek_async.errors import ConfigurationError
from deepseek_async.integrations.langchain.conversation import conversation
from deepseek_async.integrations.langchain.request import definition_of
from deepseek_async.text.unicode import encodable
from deepseek_async.types.json_text import write


class CountsTokens:
    """Methods of a chat model that count tokens."""

    custom_get_token_ids: Callable[[str], list[int]] | None

    def get_token_ids(self, text: str) -> list[int]:
        """Return what ``custom_get_token_ids`` does. Raises ConfigurationError without it."""
        if self.custom_get_token_ids is None:
            raise ConfigurationError("ids of tokens need custom_get_token_ids=; get_num_tokens estimates how many")
        return self.custom_get_token_ids(text)

    def get_num_tokens(self, text: str) -> int:
        """Return the tokens of ``text``: those of ``custom_get_token_ids``, or an estimate by kinds of characters."""
        if self.custom_get_token_ids is not None:
            return len(self.custom_get_token_ids(text))
        return ceil(weigh_text(encodable(text).encode()))

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """Return an estimate of the prompt tokens of ``messages`` and of the definitions of ``tools``.

        Raises InvalidRequestError for content that DeepSeek does not take.
        """
        if self.custom_get_token_ids is not None:
            counted: int = super().get_num_tokens_from_messages(messages, tools)  # type: ignore[misc]  # LangChain's
            return counted
        request: dict[str, Any] = {"messages": conversation(messages, thinking_with_tools=False)}
        if tools:
            request["tools"] = [definition_of(tool) for tool in tools]
        return estimate_prompt_tokens(write(request))
