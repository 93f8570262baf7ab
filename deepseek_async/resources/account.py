"""``client.models`` and ``client.user``: models available to the key, and the account's balance."""

from __future__ import annotations

from typing import Final

from deepseek_async.codec.answer_decoder import AnswerDecoder
from deepseek_async.resources.raw import Rawable
from deepseek_async.resources.resource_client import ResourceClient
from deepseek_async.resources.route import Route, entries, named
from deepseek_async.transport.timeouts import Timeouts
from deepseek_async.types import Model, ModelList, UserBalance
from deepseek_async.types.operation import Operation

_LIST: Final = Operation("models.list")
_RETRIEVE: Final = Operation("models.retrieve")
_BALANCE: Final = Operation("user.balance")

_decode_models: Final = AnswerDecoder(ModelList).decode
_decode_model: Final = AnswerDecoder(Model).decode
_decode_balance: Final = AnswerDecoder(UserBalance).decode


class Models(Rawable):
    """``client.models``."""

    def __init__(self, connection: ResourceClient) -> None:
        self._route = Route(connection)

    async def list(self, *, timeout: float | Timeouts | None = None) -> ModelList:
        """List the models available to the key."""
        route = self._route
        models = await route.answer(route.call(_LIST, "GET", "/models", timeout=timeout), _decode_models)
        models.data = entries(models, _decode_model)
        return models

    async def retrieve(self, model: str, *, timeout: float | Timeouts | None = None) -> Model:
        """Return one model. Raises NotFoundError for an unknown name, InvalidRequestError for an empty one."""
        route = self._route
        call = route.call(_RETRIEVE, "GET", f"/models/{named('model', model)}", timeout=timeout)
        return await route.answer(call, _decode_model)


class User(Rawable):
    """``client.user``."""

    def __init__(self, connection: ResourceClient) -> None:
        self._route = Route(connection)

    async def balance(self, *, timeout: float | Timeouts | None = None) -> UserBalance:
        """Return the balance of the account. Free of charge."""
        route = self._route
        return await route.answer(route.call(_BALANCE, "GET", "/user/balance", timeout=timeout), _decode_balance)
