"""Clients of openai-python that belong to an engine: what would lead around it is refused, and no answer is lost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from deepseek_async.errors import APIResponseValidationError, ConfigurationError
from deepseek_async.integrations.openai.library import openai_library
from deepseek_async.types import ChatCompletion

NO_KEY: Final = "held-by-deepseek-async"
"""openai-python requires a key; the engine sends its own."""

_OF_THE_ENGINE: Final = {
    "api_key": "the key",
    "base_url": "the server",
    "http_client": "the connections",
    "provider": "the server",
}


def refuse(given: Iterable[str]) -> None:
    """Raise ConfigurationError if one of the arguments ``given`` belongs to the engine."""
    for name in given:
        if name in _OF_THE_ENGINE:
            raise ConfigurationError(
                f"{name} cannot be set here: {_OF_THE_ENGINE[name]} and the limits of the deepseek_async client would "
                "not be used; set it on an AsyncDeepSeek and pass that to as_openai"
            )


class Relayed:
    """Methods of an OpenAI or AsyncOpenAI whose requests go through an engine."""

    _client: Any
    _key: Any = None

    @property
    def api_key(self) -> Any:
        """No key: the engine's is sent."""
        return self._key

    @api_key.setter
    def api_key(self, key: Any) -> None:
        # Without a transport of ours it is a client of the program's own, made from the class of this one.
        if key != NO_KEY and self._is_of_an_engine():
            refuse(("api_key",))
        self._key = key

    def _is_of_an_engine(self) -> bool:
        return hasattr(vars(self).get("_client"), "_relay_transport")

    def copy(self, **options: Any) -> Any:
        """Return a client with other options, as openai-python's, for those that are not the engine's."""
        if self._is_of_an_engine():
            refuse(name for name, value in options.items() if value is not None and not _is_absent(value))
        return super().copy(**options)  # type: ignore[misc]  # of openai-python

    def with_options(self, **options: Any) -> Any:
        """Return a client with other options: ``copy``."""
        return self.copy(**options)


class BlockingRelayed(Relayed):
    """Methods of an OpenAI."""

    def _process_response(self, *, response: Any, **options: Any) -> Any:
        try:
            return super()._process_response(response=response, **options)  # type: ignore[misc]
        except Exception as error:
            raise error from paid_for(error, response)


class AsyncRelayed(Relayed):
    """Methods of an AsyncOpenAI."""

    async def _process_response(self, *, response: Any, **options: Any) -> Any:
        try:
            return await super()._process_response(response=response, **options)  # type: ignore[misc]
        except Exception as error:
            raise error from paid_for(error, response)


def paid_for(error: BaseException, response: Any) -> BaseException | None:
    """Return the engine's error with the answer that openai-python could not convert; the error's own cause if none."""
    content = getattr(response, "content", None) if getattr(response, "is_stream_consumed", True) else None
    return kept(error, content) if isinstance(content, bytes) else error.__cause__


def kept(error: BaseException, wire: bytes) -> APIResponseValidationError:
    """Return the engine's error with the answer ``wire``, which ``error`` kept openai-python from returning."""
    try:
        partial = ChatCompletion.model_validate_json(wire)
    except (ValueError, RecursionError):
        partial = None
    return APIResponseValidationError(
        f"openai-python cannot convert the answer ({type(error).__name__}), which was paid for; cause_of(error) has it "
        "as .partial and .received_text",
        reason="form",
        retryable=False,
        partial=partial if partial is not None and partial.choices else None,
        received_text=wire.decode("utf-8", "replace"),
    )


def _is_absent(value: Any) -> bool:
    openai = openai_library()
    return isinstance(value, openai.NotGiven | openai.Omit)
