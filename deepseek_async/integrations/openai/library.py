"""The installed openai-python, and the HTTP library that it is written on: httpx2 since 3.0, httpx before."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any, Final

from deepseek_async.errors import ConfigurationError

_OLDEST: Final = 2
_HTTP_LIBRARIES: Final = ("httpx2", "httpx")


@cache
def openai_library() -> Any:
    """Return openai-python. Raises ConfigurationError if it is missing or too old."""
    try:
        openai = importlib.import_module("openai")
    except ImportError:
        raise ConfigurationError(
            'as_openai needs the package openai: pip install "deepseek-async[openai]"',
        ) from None
    version = str(getattr(openai, "__version__", "0"))
    if int(version.partition(".")[0]) < _OLDEST:
        raise ConfigurationError(f"as_openai needs openai {_OLDEST}.0 or newer, found {version}: upgrade it")
    return openai


def http_library(name: str | None = None) -> Any:
    """Return ``httpx2`` or ``httpx``, by default the one of the installed openai-python.

    Raises ConfigurationError for another name, or one that is not installed.
    """
    if name is None:
        bases = openai_library().DefaultAsyncHttpxClient.__mro__
        roots = {base.__module__.partition(".")[0] for base in bases}
        name = next(known for known in _HTTP_LIBRARIES if known in roots)
    if name not in _HTTP_LIBRARIES:
        raise ConfigurationError(f"library must be 'httpx2' or 'httpx', got {name!r}")
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ConfigurationError(f"{name} is not installed: pip install {name}") from None
