"""langchain-tests' standard suites, run by ``test_langchain_suites.py`` in an environment of their own."""

from __future__ import annotations

import base64
import os
from typing import Any

import httpx
import pytest
from langchain_core.load import load
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from langchain_tests.unit_tests import chat_models as unit_tests

from deepseek_async.integrations.langchain import ChatDeepSeek

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)
SERVER = {"model": "deepseek-flash", "base_url": os.environ.get("DEEPSEEK_BASE_URL", "http://127.0.0.1:1")}


@pytest.fixture(autouse=True)
def pictures_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suites fetch a picture from the internet, which is not there in a test."""
    request = httpx.Request("GET", "https://example.org/picture.png")
    monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(200, content=PICTURE, request=request))


@pytest.fixture(autouse=True)
def class_named_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a program does: LangChain's own list of what may be loaded has no class of other packages."""
    monkeypatch.setattr(
        unit_tests, "load", lambda value, **options: load(value, **{**options, "allowed_objects": [ChatDeepSeek]})
    )


class TestUnit(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[ChatDeepSeek]:
        return ChatDeepSeek

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "deepseek-flash", "base_url": "http://127.0.0.1:1"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        environment = {"DEEPSEEK_API_KEY": "sk-of-the-environment"}
        return environment, {"model": "deepseek-flash"}, {"model_name": "deepseek-flash"}


class TestIntegration(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[ChatDeepSeek]:
        return ChatDeepSeek

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return SERVER

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supported_usage_metadata_details(self) -> dict[str, list[str]]:
        return {"invoke": ["reasoning_output", "cache_read_input"], "stream": ["reasoning_output", "cache_read_input"]}

    @property
    def model_override_value(self) -> str:
        return "deepseek-v4-pro"

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> Any:
        return _asked("Think.", stream=stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> Any:
        question = "A long beginning. " * 100
        _asked(question, stream=False)
        return _asked(question, stream=stream)


def _asked(question: str, *, stream: bool) -> Any:
    model = ChatDeepSeek(**SERVER, streaming=stream)
    return model.invoke(question)
