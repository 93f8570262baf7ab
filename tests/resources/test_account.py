"""Models and balance."""

from __future__ import annotations

from decimal import Decimal

import pytest
from support.clients import Connect
from support.servers import Serve, response

from deepseek_async import (
    APIResponseValidationError,
    APIStatusError,
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
)

FLASH = {"id": "deepseek-flash", "object": "model", "owned_by": "deepseek", "context_window": 1048576, "mood": "fine"}
PRO = {"id": "deepseek-v4-pro", "object": "model", "owned_by": "deepseek"}


async def test_models_are_listed_with_their_undeclared_fields(serve: Serve, connect: Connect):
    server = await serve([response({"object": "list", "data": [FLASH, PRO]})])
    models = await connect(server).models.list()
    assert [model.id for model in models] == ["deepseek-flash", "deepseek-v4-pro"]
    assert models.data[0].context_window == 1048576
    assert models.data[0].mood == "fine"
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/models")
    assert server.requests[0].body == b""


async def test_one_model_is_asked_for_by_its_escaped_name(serve: Serve, connect: Connect):
    server = await serve([response(PRO)])
    model = await connect(server).models.retrieve("a/b c?d")
    assert model.id == "deepseek-v4-pro"
    assert server.requests[0].path == "/models/a%2Fb%20c%3Fd"


async def test_an_empty_model_name_is_refused(serve: Serve, connect: Connect):
    server = await serve([response(PRO)])
    with pytest.raises(InvalidRequestError):
        await connect(server).models.retrieve("")
    assert server.requests == []


async def test_an_unknown_model_is_not_found(serve: Serve, connect: Connect):
    server = await serve([response(b"", 404)])
    with pytest.raises(NotFoundError):
        await connect(server).models.retrieve("x")


async def test_the_balance_is_exact(serve: Serve, connect: Connect):
    info = {"currency": "USD", "total_balance": "1.10", "granted_balance": "0.00", "topped_up_balance": "1.10"}
    server = await serve([response({"is_available": True, "balance_infos": [info]})])
    balance = await connect(server).user.balance(timeout=30)
    assert balance.is_available
    assert balance.balance_infos[0].total_balance == Decimal("1.10")
    assert server.requests[0].path == "/user/balance"


@pytest.mark.parametrize(
    "ask", [lambda c: c.models.list(), lambda c: c.models.retrieve("x"), lambda c: c.user.balance()]
)
async def test_an_error_object_in_a_200_is_not_an_account(serve: Serve, connect: Connect, ask):
    server = await serve([response({"error": {"message": "no", "type": "authentication_error"}})])
    with pytest.raises(AuthenticationError):
        await ask(connect(server))


@pytest.mark.parametrize("body", [b"[]", b"<html>", b'{"data": [7]}'])
async def test_another_body_is_not_an_account(serve: Serve, connect: Connect, body: bytes):
    server = await serve([response(body)])
    with pytest.raises(APIResponseValidationError):
        await connect(server).models.list()


async def test_a_list_of_null_is_empty(serve: Serve, connect: Connect):
    server = await serve([response({"data": None})])
    assert list(await connect(server).models.list()) == []


async def test_a_fault_is_retried(serve: Serve, connect: Connect):
    server = await serve([response(b"", 503)], [response(b"", 500)], [response({"data": [PRO]})])
    assert len((await connect(server).models.list()).data) == 1
    assert len(server.requests) == 3


async def test_a_refusal_is_not(serve: Serve, connect: Connect):
    server = await serve([response(b"no", 403)])
    with pytest.raises(APIStatusError, match="no"):
        await connect(server).user.balance()
    assert len(server.requests) == 1
