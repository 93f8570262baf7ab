"""``client.models`` and ``client.user``: what the key may use, and the money behind it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import orjson

from deepseek_async.codec.body import AnswerDecoder
from deepseek_async.codec.verdict import error_in
from deepseek_async.errors import APIError, InvalidRequestError
from deepseek_async.resources.connection import Connection, chosen_timeouts
from deepseek_async.transport.protocol import Outgoing
from deepseek_async.transport.watchdog import Timeouts
from deepseek_async.types import Answer, Model, ModelList, UserBalance

_decode_models: Final = AnswerDecoder(ModelList).decode
_decode_model: Final = AnswerDecoder(Model).decode
_decode_balance: Final = AnswerDecoder(UserBalance).decode


class Models:
    """``client.models``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self, *, timeout: float | Timeouts | None = None) -> ModelList:
        """The models that the key may use."""
        connection = self._connection
        call = connection.caller().call(
            Outgoing("GET", "/models"),
            retry=connection.retry,
            timeouts=chosen_timeouts(timeout, connection.timeouts),
        )
        models = await call.answer(_decode_models, _error_in)
        # Each model keeps its own bytes, so that fields nobody declared are reachable on it too.
        models.data = [_decode_model(orjson.dumps(model)) for model in models.to_dict().get("data") or []]
        return models

    async def retrieve(self, model: str, *, timeout: float | Timeouts | None = None) -> Model:
        """One model. Raises NotFoundError if there is none of that name, InvalidRequestError for an empty name."""
        if not model:
            raise InvalidRequestError("model must be a model's name, for example 'deepseek-flash', not ''")
        connection = self._connection
        call = connection.caller().call(
            Outgoing("GET", f"/models/{quote(model, safe='')}"),
            retry=connection.retry,
            timeouts=chosen_timeouts(timeout, connection.timeouts),
        )
        return await call.answer(_decode_model, _error_in)


class User:
    """``client.user``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def balance(self, *, timeout: float | Timeouts | None = None) -> UserBalance:
        """What is left on the account. The call costs nothing."""
        connection = self._connection
        call = connection.caller().call(
            Outgoing("GET", "/user/balance"),
            retry=connection.retry,
            timeouts=chosen_timeouts(timeout, connection.timeouts),
        )
        return await call.answer(_decode_balance, _error_in)


def _error_in(answer: Answer, headers: Mapping[str, str]) -> APIError | None:
    return error_in(answer, headers, now=time.time())
