"""openai-python over a client of this library: an ``AsyncOpenAI`` whose requests pass its limits and protections.

    async with AsyncDeepSeek(budget=5, cache=True) as client:
        openai = as_openai(client)
        await openai.chat.completions.create(model="deepseek-flash", messages=[...])

and an ``OpenAI`` for code without coroutines:

    with as_openai_sync(budget=5, cache=True) as openai:
        openai.chat.completions.create(model="deepseek-flash", messages=[...])

For programs and frameworks that ask for an openai client: pydantic-ai, OpenAI Agents SDK, instructor, LangChain,
LlamaIndex, litellm. Requires the extra ``openai``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from deepseek_async.blocking import DeepSeek
from deepseek_async.client import AsyncDeepSeek
from deepseek_async.configuration.options import ClientOptions, takes_client_options, with_secrets_hidden
from deepseek_async.integrations.openai.blocking_sending import blocking_http_client
from deepseek_async.integrations.openai.direct import blocking_class, direct_class
from deepseek_async.integrations.openai.failures import cause_of
from deepseek_async.integrations.openai.relayed import NO_KEY, refuse
from deepseek_async.integrations.openai.sending import http_client

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

__all__ = ["as_openai", "as_openai_sync", "blocking_http_client", "cause_of", "http_client"]


def as_openai(client: AsyncDeepSeek, **options: Any) -> AsyncOpenAI:
    """Return an ``openai.AsyncOpenAI`` whose requests go through ``client``.

    - Retries are the client's; openai-python's own are off.
    - ``timeout``, here or per call: how long the caller waits for an answer, queueing and retries included, or for the
      next part of a stream; default: the client's.
    - Errors are openai's, with DeepSeek's status and body; ``cause_of(error)`` returns this library's, with what was
      paid for.
    - ``options``: others of AsyncOpenAI, e.g. ``default_headers``.

    Closing it does not close ``client``. Raises ConfigurationError if openai is missing or too old, and for options
    that are the client's: ``api_key``, ``base_url``, ``http_client``.
    """
    refuse(options)
    given = {"timeout": client.timeouts.total, "max_retries": 0, **options}
    made: AsyncOpenAI = direct_class()(
        api_key=NO_KEY, base_url=client.settings.base_url, http_client=http_client(client), **given
    )
    return made


@takes_client_options
def as_openai_sync(client: DeepSeek | None = None, **options: Unpack[ClientOptions]) -> OpenAI:
    """Return an ``openai.OpenAI`` whose requests go through ``client``, on the loop thread of ``blocking.DeepSeek``.

    - ``client``: a blocking client, which closing it does not close. Without one, ``options`` are those of
      AsyncDeepSeek, for a client that is closed with it.

    Otherwise as ``as_openai``. Use it from as many threads as you like. Raises ConfigurationError if openai is missing
    or too old.
    """
    options = with_secrets_hidden(options)
    kind = blocking_class()
    owner = DeepSeek(**options) if client is None else client.with_options(**options) if options else client
    settings = owner.asynchronous.settings
    made: OpenAI = kind(
        api_key=NO_KEY,
        base_url=settings.base_url,
        http_client=blocking_http_client(owner, owned=client is None),
        timeout=owner.asynchronous.timeouts.total,
        max_retries=0,
    )
    return made
