"""Arguments of the ChatDeepSeek in langchain-deepseek that have another place here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from deepseek_async.errors import ConfigurationError

_CONNECTIONS: Final = "pass client=AsyncDeepSeek(proxy=…, timeout=…)"
_NOTHING: Final = "leave it out: DeepSeek has nothing like it"

_INSTEAD: Final[Mapping[str, str]] = {
    "openai_api_key": "pass api_key=",
    "openai_api_base": "pass base_url=",
    "openai_proxy": _CONNECTIONS,
    "http_client": _CONNECTIONS,
    "http_async_client": _CONNECTIONS,
    "http_socket_options": _CONNECTIONS,
    "stream_chunk_timeout": _CONNECTIONS,
    "default_query": _CONNECTIONS,
    "stream_usage": "leave it out: usage comes with every stream",
    "tiktoken_model_name": "pass custom_get_token_ids=, or leave it out: get_num_tokens estimates",
    "reasoning": "pass reasoning_effort=",
    "n": "pass model_kwargs={'n': …}",
    "seed": "pass model_kwargs={'seed': …}",
    "logit_bias": "pass model_kwargs={'logit_bias': …}",
    "disabled_params": "leave it out: only what you set is sent",
    "include_response_headers": "pass client=AsyncDeepSeek(listeners=[…]), which are told of each call",
    "organization": _NOTHING,
    "openai_organization": _NOTHING,
    "service_tier": _NOTHING,
    "store": _NOTHING,
    "truncation": _NOTHING,
    "verbosity": _NOTHING,
    "use_responses_api": _NOTHING,
    "use_previous_response_id": _NOTHING,
    "include": _NOTHING,
    "context_management": _NOTHING,
    "prompt_cache_options": _NOTHING,
}


def refuse(given: Iterable[str]) -> None:
    """Raise ConfigurationError if one of the arguments ``given`` has another place."""
    for name in given:
        if name in _INSTEAD:
            raise ConfigurationError(f"ChatDeepSeek has no argument {name}: {_INSTEAD[name]}")
