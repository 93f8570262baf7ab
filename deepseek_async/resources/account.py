"""``client.models`` and ``client.user``: models available to the key, and the account's balance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from deepseek_async.codec.answer_decoder import AnswerDecoder
from deepseek_async.resources.listing import Listing
from deepseek_async.resources.raw import RoutedResource, raw
from deepseek_async.resources.resource_client import AnyTimeout, ResourceClient
from deepseek_async.resources.route import Route, entries, named
from deepseek_async.resources.streaming_response import streaming
from deepseek_async.text.not_here import NotHere
from deepseek_async.types import Model, ModelList, UserBalance
from deepseek_async.types.operation import Operation

_LIST: Final = Operation("models.list")
_RETRIEVE: Final = Operation("models.retrieve")
_BALANCE: Final = Operation("user.balance")

_decode_models: Final = AnswerDecoder(ModelList).decode
_decode_model: Final = AnswerDecoder(Model).decode
_decode_balance: Final = AnswerDecoder(UserBalance).decode


class Models(RoutedResource):
    """``client.models``."""

    delete = NotHere("DeepSeek has no models of an account")

    def __init__(self, connection: ResourceClient) -> None:
        self._route = Route(connection)

    @property
    def with_raw_response(self) -> RawModels:
        """The same methods, each returning a RawResponse: ``.parse()``, ``.headers``, ``.status_code``, ``.text``."""
        return RawModels(self)

    @property
    def with_streaming_response(self) -> StreamedModels:
        """The same methods as context managers, each of a StreamingResponse that is read piece by piece."""
        return StreamedModels(self)

    def list(
        self,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        timeout: AnyTimeout | None = None,
    ) -> Listing[ModelList, Model]:
        """List the models available to the key: await it, or iterate with ``async for``."""
        return Listing(lambda: self._listed(extra_headers, extra_query, timeout), lambda models: models.data)

    async def _listed(
        self, headers: Mapping[str, str] | None, query: Mapping[str, Any] | None, timeout: AnyTimeout | None
    ) -> ModelList:
        route = self._route
        call = route.call(_LIST, "GET", "/models", headers=headers, query=query, timeout=timeout)
        models = await route.answer(call, _decode_models)
        models.data = entries(models, _decode_model)
        return models

    async def retrieve(
        self,
        model: str,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        timeout: AnyTimeout | None = None,
    ) -> Model:
        """Return one model. Raises NotFoundError for an unknown name, InvalidRequestError for an empty one."""
        route = self._route
        path = f"/models/{named('model', model)}"
        call = route.call(_RETRIEVE, "GET", path, headers=extra_headers, query=extra_query, timeout=timeout)
        return await route.answer(call, _decode_model)


class RawModels:
    """Methods of ``client.models``, returning a RawResponse."""

    def __init__(self, resource: Models) -> None:
        self.list = raw(resource, resource.list)
        self.retrieve = raw(resource, resource.retrieve)


class StreamedModels:
    """Methods of ``client.models``, returning a StreamingResponse to enter."""

    def __init__(self, resource: Models) -> None:
        self.list = streaming(resource, resource.list)
        self.retrieve = streaming(resource, resource.retrieve)


class User(RoutedResource):
    """``client.user``."""

    def __init__(self, connection: ResourceClient) -> None:
        self._route = Route(connection)

    @property
    def with_raw_response(self) -> RawUser:
        """The same methods, each returning a RawResponse: ``.parse()``, ``.headers``, ``.status_code``, ``.text``."""
        return RawUser(self)

    @property
    def with_streaming_response(self) -> StreamedUser:
        """The same methods as context managers, each of a StreamingResponse that is read piece by piece."""
        return StreamedUser(self)

    async def balance(self, *, timeout: AnyTimeout | None = None) -> UserBalance:
        """Return the balance of the account. Free of charge."""
        route = self._route
        return await route.answer(route.call(_BALANCE, "GET", "/user/balance", timeout=timeout), _decode_balance)


class RawUser:
    """Methods of ``client.user``, returning a RawResponse."""

    def __init__(self, resource: User) -> None:
        self.balance = raw(resource, resource.balance)


class StreamedUser:
    """Methods of ``client.user``, returning a StreamingResponse to enter."""

    def __init__(self, resource: User) -> None:
        self.balance = streaming(resource, resource.balance)
